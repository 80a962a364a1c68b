import { joined } from '../base/bytes.ts';
import { crc32c, crcOf } from '../base/crc32c.ts';
import { blockBytes } from '../base/ids.ts';
import type { BlockRange, ChunkKey } from '../store/types.ts';
import type { Mending } from './mending.ts';
import type { CompareWriteBytes, PatchBytes } from '../wire/peer/types.ts';

function nameOf(key: ChunkKey): string {
  return `${key.volume}:${key.layer}:${key.chunk}`;
}

interface Gate {
  /** The patch that holds it: one that outlived a change of leadership must not open its successor's. */
  readonly owner: ChunkKey;
  readonly waiting: { readonly closesAgain: boolean; readonly run: () => void }[];
}

/** While a chunk is read to be changed (a patch, a compare-and-write), later operations on it wait, in order. Nothing is kept for chunks without a patch. */
export class ChunkGates {
  readonly #gates = new Map<string, Gate>();
  readonly #waitingMax: number;
  #count = 0;

  constructor(waitingMax: number) {
    this.#waitingMax = waitingMax;
  }

  isClosed(key: ChunkKey): boolean {
    return this.#gates.size > 0 && this.#gates.has(nameOf(key));
  }

  /** Closes the gate for `patch` and runs, now or when it is this patch's turn. False: too many wait. */
  close(patch: ChunkKey, run: () => void): boolean {
    const name = nameOf(patch);
    const enter = () => {
      this.#gates.set(name, { owner: patch, waiting: [] });
      run();
    };
    if (this.#gates.has(name)) return this.#queue(name, true, enter);
    enter();
    return true;
  }

  /** Runs when the gate opens. False: too many wait. */
  wait(key: ChunkKey, run: () => void): boolean {
    return this.#queue(nameOf(key), false, run);
  }

  /** The patch is proposed or given up: whoever waits goes on, up to the next patch. */
  open(patch: ChunkKey): void {
    const name = nameOf(patch);
    const gate = this.#gates.get(name);
    if (gate === undefined || gate.owner !== patch) return;
    this.#gates.delete(name);
    for (let next = gate.waiting.shift(); next !== undefined; next = gate.waiting.shift()) {
      this.#count -= 1;
      next.run();
      if (!next.closesAgain) continue;
      this.#gates.get(name)?.waiting.unshift(...gate.waiting);
      return;
    }
  }

  clear(): void {
    this.#gates.clear();
    this.#count = 0;
  }

  #queue(name: string, closesAgain: boolean, run: () => void): boolean {
    if (this.#count >= this.#waitingMax) return false;
    this.#count += 1;
    this.#gates.get(name)?.waiting.push({ closesAgain, run });
    return true;
  }
}

/** Bytes within one chunk, as operations name them. */
export interface ByteRange extends ChunkKey {
  readonly byteOffset: number;
}

/** The whole blocks that bytes touch. */
export function blocksAround(at: ByteRange, lengthBytes: number): BlockRange {
  const firstBlock = Math.floor(at.byteOffset / blockBytes);
  const blockCount = Math.ceil((at.byteOffset + lengthBytes) / blockBytes) - firstBlock;
  return { volume: at.volume, layer: at.layer, chunk: at.chunk, firstBlock, blockCount };
}

/** The whole blocks that a patch touches. */
export function blocksOfPatch(patch: PatchBytes): BlockRange {
  return blocksAround(patch, lengthOf(patch.data));
}

/** … and a compare-and-write, whose data holds as many expected bytes as new ones. */
export function blocksOfCompare(body: CompareWriteBytes): BlockRange {
  return blocksAround(body, lengthOf(body.data) / 2);
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.length;
  return bytes;
}

/** Where the old bytes come from: the replica, which mends what it can't read. */
export type BlockSource = Pick<Mending, 'read'>;

export type MergeResult =
  | { readonly code: 'ok'; readonly data: Uint8Array; readonly crcs: Uint32Array }
  /** The bytes were damaged on the way, or no voter can give a block. */
  | { readonly code: 'corrupt' }
  /** A block is bad here, and a voter that may have it doesn't answer now. */
  | { readonly code: 'busy' }
  | { readonly code: 'miscompare'; readonly byteOffset: number };

/** The blocks as they are, with the patch's bytes over them. */
export async function mergePatch(blocks: BlockSource, patch: PatchBytes): Promise<MergeResult> {
  if (crcOf(patch.data) !== patch.crc) return { code: 'corrupt' };
  const range = blocksOfPatch(patch);
  const data = await edgeBlocks(blocks, range);
  if (typeof data === 'string') return { code: data === 'lost' ? 'corrupt' : 'busy' };
  let at = patch.byteOffset - range.firstBlock * blockBytes;
  for (const part of patch.data) {
    data.set(part, at);
    at += part.length;
  }
  return { code: 'ok', data, crcs: blockCrcs(data) };
}

/** The same for a compare-and-write; at most two blocks, so all of them are read. */
export async function mergeCompared(blocks: BlockSource, body: CompareWriteBytes): Promise<MergeResult> {
  if (crcOf(body.data) !== body.crc) return { code: 'corrupt' };
  const range = blocksOfCompare(body);
  const data = await edgeBlocks(blocks, range);
  if (typeof data === 'string') return { code: data === 'lost' ? 'corrupt' : 'busy' };
  const both = joined(body.data);
  const length = both.length / 2;
  const start = body.byteOffset - range.firstBlock * blockBytes;
  for (let i = 0; i < length; i++) {
    if (data[start + i] !== both[i]) return { code: 'miscompare', byteOffset: i };
  }
  data.set(both.subarray(length), start);
  return { code: 'ok', data, crcs: blockCrcs(data) };
}

/** Room for the range, with its first and last block as they are now: what lies between is overwritten whole. */
async function edgeBlocks(blocks: BlockSource, range: BlockRange): Promise<Uint8Array | 'later' | 'lost'> {
  const data = new Uint8Array(range.blockCount * blockBytes);
  const edges = range.blockCount === 1 ? [0] : [0, range.blockCount - 1];
  const into = new Uint8Array(edges.length * blockBytes);
  const numbers = edges.map((edge) => range.firstBlock + edge);
  const read = await blocks.read(range, numbers, into);
  if (read !== 'ok') return read;
  for (const [i, edge] of edges.entries()) {
    data.set(into.subarray(i * blockBytes, (i + 1) * blockBytes), edge * blockBytes);
  }
  return data;
}

function blockCrcs(data: Uint8Array): Uint32Array {
  const crcs = new Uint32Array(data.length / blockBytes);
  for (let i = 0; i < crcs.length; i++) crcs[i] = crc32c(data.subarray(i * blockBytes, (i + 1) * blockBytes));
  return crcs;
}
