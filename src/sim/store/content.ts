import { blockBytes } from '../../base/ids.ts';

const sectorBytes = 512;
const magic = 0x5eed_b10c;

/** What a block holds: who wrote it. `term` 0: it came as a copy. */
export interface Author {
  readonly arc: number;
  readonly generation: number;
  readonly term: number;
  readonly index: number;
}

/** Fills one block so that each of its sectors tells author, place and sector: nothing torn or taken for another passes. */
export function fillBlock(into: Uint8Array, at: number, author: Author, chunk: number, block: number): void {
  const view = new DataView(into.buffer, into.byteOffset + at, blockBytes);
  for (let sector = 0; sector < blockBytes; sector += sectorBytes) {
    view.setUint32(sector, magic ^ sector, true);
    view.setUint32(sector + 4, author.arc * 65_536 + author.generation, true);
    view.setUint32(sector + 8, author.term, true);
    view.setUint32(sector + 12, author.index, true);
    view.setUint32(sector + 16, chunk * 256 + block, true);
    // Both halves, for a sector that is torn in the middle.
    view.setUint32(sector + sectorBytes - 4, magic ^ author.index, true);
    view.setUint32(sector + sectorBytes - 8, author.arc * 65_536 + author.term, true);
  }
}

/** Whether a block is what `fillBlock` made of it. */
export function isFilled(bytes: Uint8Array, at: number, author: Author, chunk: number, block: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, blockBytes);
  for (let sector = 0; sector < blockBytes; sector += sectorBytes) {
    const same =
      view.getUint32(sector, true) === (magic ^ sector) >>> 0 &&
      view.getUint32(sector + 4, true) === author.arc * 65_536 + author.generation &&
      view.getUint32(sector + 8, true) === author.term &&
      view.getUint32(sector + 12, true) === author.index &&
      view.getUint32(sector + 16, true) === chunk * 256 + block &&
      view.getUint32(sector + sectorBytes - 4, true) === (magic ^ author.index) >>> 0 &&
      view.getUint32(sector + sectorBytes - 8, true) === author.arc * 65_536 + author.term;
    if (!same) return false;
  }
  return true;
}

/** The data of one entry's, or one copy's, blocks. `author(i)`: of the i-th. */
export function dataOf(blocks: readonly number[], chunk: number, author: (i: number) => Author): Uint8Array {
  const data = new Uint8Array(blocks.length * blockBytes);
  for (const [i, block] of blocks.entries()) fillBlock(data, i * blockBytes, author(i), chunk, block);
  return data;
}
