import { Reader, Writer } from '../base/bytes.ts';
import type { ArcId, Version, VolumeId } from '../base/ids.ts';
import type { Store } from '../store/store.ts';
import type { ChunkKey, ChunkMap } from '../store/types.ts';

/** Blocks of one arc that are remembered; of more, each scrub tells again. */
const blocksPerArcMax = 1024;
const registerPrefix = 'quarantine/';
const blockBytesMax = 30;

interface Quarantined {
  readonly key: ChunkKey;
  readonly block: number;
  readonly version: Version;
}

/**
 * Blocks of which two valid contents of one version were found (design §10.8). Neither is proven wrong, so neither is given to a
 * host, by whichever copy leads, also after a restart: who reads hears that the block can't be read. A block leaves as soon as
 * it has another version: it was written anew, or trimmed.
 */
export class Quarantine {
  readonly #store: Store;
  readonly #ofArc = new Map<ArcId, Map<string, Quarantined>>();

  /** `registers`: what the device kept of them. @throws RemoteProtocolError */
  constructor(store: Store, registers: ReadonlyMap<string, Uint8Array>) {
    this.#store = store;
    for (const [name, value] of registers) {
      if (!name.startsWith(registerPrefix)) continue;
      const reader = new Reader(value);
      const held = new Map<string, Quarantined>();
      for (let left = reader.count(blocksPerArcMax, blockBytesMax); left > 0; left--) {
        const key = { volume: reader.u64() as VolumeId, layer: reader.u32(), chunk: reader.u64() };
        const one = { key, block: reader.u16(), version: reader.u64() };
        held.set(nameOf(key, one.block), one);
      }
      if (held.size > 0) this.#ofArc.set(Number(name.slice(registerPrefix.length)) as ArcId, held);
    }
  }

  /** True: it is news. Goes into the log with what is appended now. */
  add(arc: ArcId, key: ChunkKey, block: number, version: Version): boolean {
    const held = this.#ofArc.get(arc) ?? new Map<string, Quarantined>();
    const name = nameOf(key, block);
    if ((held.get(name)?.version ?? 0) >= version) return false;
    if (held.size >= blocksPerArcMax && !held.has(name)) return true;
    const { volume, layer, chunk } = key;
    held.set(name, { key: { volume, layer, chunk }, block, version });
    this.#ofArc.set(arc, held);
    this.#persist(arc);
    return true;
  }

  /** Whether one of these blocks, as the map has them now, may be given to nobody. */
  holds(arc: ArcId, page: ChunkMap | undefined, blocks: Iterable<number>): boolean {
    const held = this.#ofArc.get(arc);
    if (held === undefined || page === undefined) return false;
    for (const block of blocks) {
      const known = held.get(nameOf(page.key, block));
      if (known !== undefined && known.version === page.versions[block]) return true;
    }
    return false;
  }

  /** Those of an arc, as far as they were looked at. */
  of(arc: ArcId): readonly Quarantined[] {
    return [...(this.#ofArc.get(arc)?.values() ?? [])];
  }

  /** It has another version now, or its chunk is gone. */
  release(arc: ArcId, { key, block }: Quarantined): void {
    const held = this.#ofArc.get(arc);
    if (held?.delete(nameOf(key, block)) !== true) return;
    if (held.size === 0) this.#ofArc.delete(arc);
    this.#persist(arc);
  }

  /** Blocks of all arcs here. */
  get count(): number {
    let count = 0;
    for (const held of this.#ofArc.values()) count += held.size;
    return count;
  }

  // count u32 · (volume u64 · layer u32 · chunk u64 · block u16 · version u64) × count
  #persist(arc: ArcId): void {
    const blocks = this.of(arc);
    const writer = new Writer(4 + blockBytesMax * blocks.length);
    writer.u32(blocks.length);
    for (const { key, block, version } of blocks) {
      writer.u64(key.volume);
      writer.u32(key.layer);
      writer.u64(key.chunk);
      writer.u16(block);
      writer.u64(version);
    }
    this.#store.setRegister(`${registerPrefix}${arc}`, writer.copy());
  }
}

function nameOf({ volume, layer, chunk }: ChunkKey, block: number): string {
  return `${volume}/${layer}/${chunk}/${block}`;
}
