import { blockBytes } from '../../src/base/ids.ts';
import { crc32c } from '../../src/base/crc32c.ts';
import { Prng } from '../../src/base/prng.ts';

/** What one entry writes. The CRCs come with it: a gateway computes them once, before the store sees the data. */
export interface Payload {
  readonly data: readonly Uint8Array[];
  readonly crcs: Uint32Array;
}

/** `count` payloads of `blocks` blocks each, of random bytes, so that nothing below can compress them or find them alike. */
export function payloads(count: number, blocks: number): readonly Payload[] {
  const random = new Prng(5, 'payloads');
  return Array.from({ length: count }, () => {
    const data = random.bytes(blocks * blockBytes);
    const crcs = Uint32Array.from({ length: blocks }, (_, i) =>
      crc32c(data.subarray(i * blockBytes, (i + 1) * blockBytes)),
    );
    return { data: [data], crcs };
  });
}
