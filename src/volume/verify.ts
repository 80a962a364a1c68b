import { joined } from '../base/bytes.ts';
import { crc32c } from '../base/crc32c.ts';
import { blockBytes } from '../base/ids.ts';
import type { BlockRangeFields, ReadReply } from '../wire/peer/types.ts';
import { pushZeros } from './pieces.ts';

/** Whether a block of the range asked for holds data. */
export function isPresent(bits: Uint8Array, block: number): boolean {
  return (((bits[block >>> 3] ?? 0) >>> (block & 7)) & 1) === 1;
}

/** The bytes wanted, as views of what came; undefined when a block isn't what its CRC says. */
export function verifiedParts(
  reply: ReadReply,
  range: BlockRangeFields,
  skip: number,
  lengthBytes: number,
): Uint8Array[] | undefined {
  const data = reply.data.length > 1 ? joined(reply.data) : reply.data[0];
  const parts: Uint8Array[] = [];
  let run = 0; // start of the run of present blocks not yet pushed
  let taken = 0;
  let present = 0;
  const end = skip + lengthBytes;
  const pushRun = () => {
    if (data !== undefined && taken > run) parts.push(data.subarray(run, taken));
    run = taken;
  };
  for (let i = 0; i < range.blockCount; i++) {
    const from = Math.max(0, skip - i * blockBytes);
    const to = Math.min(blockBytes, end - i * blockBytes);
    if (!isPresent(reply.present, i)) {
      pushRun();
      pushZeros(parts, to - from);
      continue;
    }
    const at = present * blockBytes;
    if (data === undefined || data.length < at + blockBytes) return undefined;
    if (crc32c(data.subarray(at, at + blockBytes)) !== reply.crcs[present]) return undefined; // INV-4
    if (at + from !== taken) {
      pushRun();
      run = at + from;
    }
    taken = at + to;
    present += 1;
  }
  pushRun();
  return parts;
}
