import type { Prng } from '../base/prng.ts';
import { blockBytes, blocksPerChunk } from '../base/ids.ts';
import { sectorBytes } from './contents.ts';
import type { OperationKind, RegisterKey } from './history.ts';

const sectorsPerBlock = blockBytes / sectorBytes;
const keysPerBlock = sectorsPerBlock + 1;
/** Blocks at each edge of a chunk that hosts use: few, so that operations meet; at the edges, so that they cross chunks. */
const edgeBlocks = 6;
/** In each chunk, blocks that hosts also write by the sector. */
const sectorBlocks: readonly number[] = [2, 3];
/** At the end of a chunk no block is written by the sector: patterns of whole blocks fit. */
const wholeEdgeBlocks = 4;

/** What a host does next, and where. */
export interface Target {
  readonly kind: OperationKind;
  readonly offset: number;
  readonly lengthBytes: number;
}

/** Chooses what hosts do: few places, so that operations meet; some across chunks, some by the sector. */
export class Targets {
  readonly #draw: Prng;
  readonly #sizeBlocks: number;
  readonly #rareShare: number;

  /** `rareShare`: of operations that compare before they write, or write one pattern many times. */
  constructor(draw: Prng, sizeBlocks: number, rareShare: number) {
    this.#draw = draw;
    this.#sizeBlocks = sizeBlocks;
    this.#rareShare = rareShare;
  }

  next(): Target {
    const draw = this.#draw;
    if (this.#rareShare > 0 && draw.chance(this.#rareShare)) return this.#rare();
    const chunks = this.#sizeBlocks / blocksPerChunk;
    const chunk = draw.below(chunks);
    const choice = draw.fraction();
    if (choice < 0.18) {
      // By the sector: read or write, never across the block's edge.
      const block = chunk * blocksPerChunk + (sectorBlocks[draw.below(sectorBlocks.length)] as number);
      const first = draw.below(sectorsPerBlock);
      const count = 1 + draw.below(sectorsPerBlock - first);
      const kind = draw.chance(0.45) ? 'read' : draw.chance(0.9) ? 'write' : 'zero';
      return { kind, offset: block * blockBytes + first * sectorBytes, lengthBytes: count * sectorBytes };
    }
    const atStart = draw.chance(0.5);
    const inEdge = draw.below(edgeBlocks);
    const block = chunk * blocksPerChunk + (atStart ? inEdge : blocksPerChunk - edgeBlocks + inEdge);
    // From the end of a chunk into the next: its first blocks are an edge too.
    const runMax = Math.min(edgeBlocks - inEdge + (atStart ? 0 : edgeBlocks), this.#sizeBlocks - block);
    const blocks = draw.chance(0.75) ? 1 : 1 + draw.below(runMax);
    const kind = choice < 0.55 ? 'read' : choice < 0.94 ? 'write' : choice < 0.97 ? 'zero' : 'trim';
    return { kind, offset: block * blockBytes, lengthBytes: blocks * blockBytes };
  }

  /** Compare-and-write of one register, or one pattern over some of a kind. */
  #rare(): Target {
    const draw = this.#draw;
    const kind = draw.chance(0.6) ? 'compare' : 'same';
    const firstBlock = draw.below(this.#sizeBlocks / blocksPerChunk) * blocksPerChunk;
    const count = kind === 'compare' ? 1 : 1 + draw.below(wholeEdgeBlocks);
    if (draw.chance(0.3)) {
      const block = firstBlock + (sectorBlocks[draw.below(sectorBlocks.length)] as number);
      const sector = draw.below(sectorsPerBlock + 1 - count);
      return { kind, offset: block * blockBytes + sector * sectorBytes, lengthBytes: count * sectorBytes };
    }
    const block = firstBlock + blocksPerChunk - edgeBlocks + draw.below(wholeEdgeBlocks + 1 - count);
    return { kind, offset: block * blockBytes, lengthBytes: count * blockBytes };
  }

  /** Every range that hosts ever use, for reading all of it back. */
  *edges(): Iterable<{ readonly offset: number; readonly lengthBytes: number }> {
    for (let first = 0; first < this.#sizeBlocks; first += blocksPerChunk) {
      for (const start of [first, first + blocksPerChunk - edgeBlocks])
        yield { offset: start * blockBytes, lengthBytes: edgeBlocks * blockBytes };
    }
  }
}

export function registerName(key: RegisterKey): string {
  const block = Math.floor(key / keysPerBlock);
  const part = key % keysPerBlock;
  return part === 0 ? `block ${block}` : `block ${block} sector ${part - 1}`;
}

/** Bytes of the registers at an offset. */
export function registerBytesAt(offset: number): number {
  return sectorBlocks.includes(Math.floor(offset / blockBytes) % blocksPerChunk) ? sectorBytes : blockBytes;
}

/** The registers that [offset, offset + lengthBytes) covers: its key, and where its bytes are in the range. */
export function eachRegister(
  offset: number,
  lengthBytes: number,
  visit: (key: RegisterKey, at: number, lengthBytes: number) => void,
): void {
  for (let at = 0; at < lengthBytes; ) {
    const block = Math.floor((offset + at) / blockBytes);
    if (sectorBlocks.includes(block % blocksPerChunk)) {
      const sector = ((offset + at) % blockBytes) / sectorBytes;
      visit(block * keysPerBlock + 1 + sector, at, sectorBytes);
      at += sectorBytes;
    } else {
      visit(block * keysPerBlock, at, blockBytes);
      at += blockBytes;
    }
  }
}
