import { assert } from '../../base/assert.ts';
import type { Reader, Writer } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { blocksPerChunk } from '../../base/ids.ts';
import { writeU16 } from './fields.ts';

// count u16 · block u8 × count, ascending · version u64 × count
export function writeBlocks(out: Writer, blocks: Uint16Array, versions: Float64Array): void {
  assert(blocks.length === versions.length && blocks.length <= blocksPerChunk, 'one version per block');
  writeU16(out, blocks.length);
  for (let i = 0; i < blocks.length; i++) out.u8(blocks[i] as number);
  for (let i = 0; i < versions.length; i++) out.u64(versions[i] as number);
}

export function readBlocks(from: Reader): Uint16Array {
  const count = from.u16();
  if (count > blocksPerChunk || count * 9 > from.left) throw new RemoteProtocolError(`${count} blocks of a chunk`);
  const blocks = new Uint16Array(count);
  let last = -1;
  for (let i = 0; i < count; i++) {
    const block = from.u8();
    if (block <= last) throw new RemoteProtocolError('block numbers do not ascend');
    blocks[i] = block;
    last = block;
  }
  return blocks;
}

export function readVersions(from: Reader, count: number): Float64Array {
  const versions = new Float64Array(count);
  for (let i = 0; i < count; i++) versions[i] = from.u64();
  return versions;
}
