import { blocksPerChunk } from '../base/ids.ts';
import { crc32c } from '../base/crc32c.ts';
import type { ChunkMap } from '../store/types.ts';

const rows = new Float64Array(blocksPerChunk * 3);
const bytes = new Uint8Array(rows.buffer);

/** Over number, version and CRC of the blocks that hold something: what two replicas at one applied index have in common (INV-6). */
export function heldDigest(page: ChunkMap): number {
  rows.fill(0);
  for (let i = 0; i < blocksPerChunk; i++) {
    if (page.positions[i] === 0) continue;
    rows[3 * i] = page.versions[i] as number;
    rows[3 * i + 1] = page.crcs[i] as number;
    rows[3 * i + 2] = 1;
  }
  return crc32c(bytes);
}

/** Over number, version, CRC of every block of a chunk, and whether it holds anything: equal where the chunks are. */
export function chunkDigest(page: ChunkMap): number {
  for (let i = 0; i < blocksPerChunk; i++) {
    const mapped = page.positions[i] !== 0;
    rows[3 * i] = page.versions[i] as number;
    rows[3 * i + 1] = mapped ? (page.crcs[i] as number) : 0;
    rows[3 * i + 2] = mapped ? 1 : 0;
  }
  return crc32c(bytes);
}
