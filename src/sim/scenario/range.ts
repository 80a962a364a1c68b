import { blockBytes, blocksPerChunk } from '../../base/ids.ts';
import { sectorBytes } from '../contents.ts';
import type { RegisterKey } from '../history.ts';

const sectorsPerBlock = blockBytes / sectorBytes;
const keysPerBlock = sectorsPerBlock + 1;

/** Part of a volume, in bytes. `chunk`: of its first byte. */
export interface Range {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly chunk: number;
  readonly volume: string;
}

/** Registers of different volumes: far enough from each other. */
const volumeSpan = 2 ** 20;

function volumeNumber(volume: string): number {
  return Number(volume.slice(1) || '0');
}

const form = /^(blocks?|sectors?) (\d+)(?:\.(\d+))?(?:\.\.(\d+))?(?: of chunk (\d+))?(?: on (v\d*))?$/;

/** `block 3`, `blocks 3..5`, `sector 3.7`, `sectors 3.0..7`, counted from the beginning of a chunk, by default of chunk 0, of volume `v`. */
export function rangeOf(text: string): Range {
  const [, kind = '', first = '', sector = '0', last, chunkText = '0', volume = 'v'] = form.exec(text) ?? [];
  const chunk = Number(chunkText);
  const block = chunk * blocksPerChunk + Number(first);
  if (kind.startsWith('block')) {
    const count = last === undefined ? 1 : Number(last) - Number(first) + 1;
    if (!(count > 0)) throw new RangeError(`no blocks: ${text}`);
    return { offset: block * blockBytes, lengthBytes: count * blockBytes, chunk, volume };
  }
  const sectors = last === undefined ? 1 : Number(last) - Number(sector) + 1;
  if (!(sectors > 0 && Number(sector) + sectors <= sectorsPerBlock)) throw new RangeError(`no sectors: ${text}`);
  return {
    offset: block * blockBytes + Number(sector) * sectorBytes,
    lengthBytes: sectors * sectorBytes,
    chunk,
    volume,
  };
}

/** Registers of one story: blocks that it names by the sector are eight registers each, all others one. */
export class Registers {
  readonly #bySector: ReadonlySet<number>;

  constructor(bySector: ReadonlySet<number>) {
    this.#bySector = bySector;
  }

  /** Each register that [offset, offset + lengthBytes) covers, and where its bytes are in the range. */
  each(
    volume: string,
    offset: number,
    lengthBytes: number,
    visit: (key: RegisterKey, at: number, lengthBytes: number) => void,
  ): void {
    const base = volumeNumber(volume) * volumeSpan;
    for (let at = 0; at < lengthBytes; ) {
      const block = Math.floor((offset + at) / blockBytes);
      if (this.#bySector.has(block)) {
        visit(base + block * keysPerBlock + 1 + ((offset + at) % blockBytes) / sectorBytes, at, sectorBytes);
        at += sectorBytes;
      } else {
        visit(base + block * keysPerBlock, at, blockBytes);
        at += blockBytes;
      }
    }
  }

  name(key: RegisterKey): string {
    const { volume, block, part } = placeOf(key);
    const chunk = Math.floor(block / blocksPerChunk);
    const where = `block ${block % blocksPerChunk}${chunk > 0 ? ` of chunk ${chunk}` : ''}`;
    return `${where}${part === 0 ? '' : `, sector ${part - 1}`}${volume === 'v' ? '' : ` on ${volume}`}`;
  }

  /** The whole block that a register is, or is part of. */
  blockOf(key: RegisterKey): Range {
    const { volume, block } = placeOf(key);
    return { offset: block * blockBytes, lengthBytes: blockBytes, chunk: Math.floor(block / blocksPerChunk), volume };
  }
}

function placeOf(key: RegisterKey): { readonly volume: string; readonly block: number; readonly part: number } {
  const within = key % volumeSpan;
  const number = (key - within) / volumeSpan;
  return {
    volume: number === 0 ? 'v' : `v${number}`,
    block: Math.floor(within / keysPerBlock),
    part: within % keysPerBlock,
  };
}

/** Blocks that a story names by the sector. */
export function blocksBySector(texts: readonly string[]): ReadonlySet<number> {
  const blocks = new Set<number>();
  for (const text of texts) {
    for (const [range] of text.matchAll(/sectors? \d+\.\d+(?:\.\.\d+)?(?: of chunk \d+)?/g)) {
      blocks.add(Math.floor(rangeOf(range).offset / blockBytes));
    }
  }
  return blocks;
}
