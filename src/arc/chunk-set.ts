import type { ChunkKey } from '../store/types.ts';

const chunksPerPart = 65_536;

/** A set of chunks, a bit each: an arc may have very many. */
export class ChunkSet {
  readonly #parts = new Map<string, Uint8Array>();

  #nameOf({ volume, layer, chunk }: ChunkKey): string {
    return `${volume}/${layer}/${Math.floor(chunk / chunksPerPart)}`;
  }

  add(key: ChunkKey): void {
    const name = this.#nameOf(key);
    let part = this.#parts.get(name);
    if (part === undefined) {
      part = new Uint8Array(chunksPerPart / 8);
      this.#parts.set(name, part);
    }
    const at = key.chunk % chunksPerPart;
    part[at >>> 3] = (part[at >>> 3] as number) | (1 << (at & 7));
  }

  has(key: ChunkKey): boolean {
    const at = key.chunk % chunksPerPart;
    return (((this.#parts.get(this.#nameOf(key))?.[at >>> 3] ?? 0) >>> (at & 7)) & 1) === 1;
  }
}
