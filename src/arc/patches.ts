import { crc32c } from '../base/crc32c.ts';
import { blockBytes } from '../base/ids.ts';
import type { ArcMap } from '../store/map.ts';
import type { Store } from '../store/store.ts';
import type { BlockRange, ChunkKey } from '../store/types.ts';
import type { PatchBytes } from '../wire/peer/types.ts';

function nameOf(key: ChunkKey): string {
  return `${key.volume}:${key.layer}:${key.chunk}`;
}

interface Gate {
  /** The patch that holds it: one that outlived a change of leadership must not open its successor's. */
  readonly owner: ChunkKey;
  readonly waiting: { readonly closesAgain: boolean; readonly run: () => void }[];
}

/** While a chunk is patched, later operations on it wait, in order. Nothing is kept for chunks without a patch. */
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

/** The whole blocks that a patch touches. */
export function blocksOfPatch(patch: PatchBytes): BlockRange {
  const length = patch.data.reduce((sum, part) => sum + part.length, 0);
  const firstBlock = Math.floor(patch.byteOffset / blockBytes);
  const blockCount = Math.ceil((patch.byteOffset + length) / blockBytes) - firstBlock;
  return { volume: patch.volume, layer: patch.layer, chunk: patch.chunk, firstBlock, blockCount };
}

export type MergeResult =
  | { readonly ok: true; readonly data: Uint8Array; readonly crcs: Uint32Array }
  | { readonly ok: false };

/** The blocks as they are, with the patch's bytes over them. Not ok: the bytes were damaged on the way, or a block can't be read. */
export async function mergePatch(map: ArcMap, store: Store, patch: PatchBytes): Promise<MergeResult> {
  let crc = 0;
  for (const part of patch.data) crc = crc32c(part, crc);
  if (crc !== patch.crc) return { ok: false };
  const range = blocksOfPatch(patch);
  const data = new Uint8Array(range.blockCount * blockBytes);
  const loaded = map.load(range);
  const page = loaded instanceof Promise ? await loaded : loaded;
  // Only the edges need their old bytes: what lies between is overwritten whole.
  const edges = range.blockCount === 1 ? [0] : [0, range.blockCount - 1];
  const positions = edges.map((edge) => page?.positions[range.firstBlock + edge] ?? 0);
  const old = edges.map((edge) => page?.crcs[range.firstBlock + edge] ?? 0);
  const into = new Uint8Array(edges.length * blockBytes);
  const read = await store.readBlocks(positions, old, into);
  if (!read.ok) return { ok: false };
  for (const [i, edge] of edges.entries()) {
    data.set(into.subarray(i * blockBytes, (i + 1) * blockBytes), edge * blockBytes);
  }
  let at = patch.byteOffset - range.firstBlock * blockBytes;
  for (const part of patch.data) {
    data.set(part, at);
    at += part.length;
  }
  const crcs = new Uint32Array(range.blockCount);
  for (let i = 0; i < range.blockCount; i++) crcs[i] = crc32c(data.subarray(i * blockBytes, (i + 1) * blockBytes));
  return { ok: true, data, crcs };
}
