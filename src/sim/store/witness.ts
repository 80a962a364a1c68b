import { assert } from '../../base/assert.ts';
import { blocksPerChunk } from '../../base/ids.ts';
import type { BlockRange, ChunkKey } from '../../store/types.ts';

/** Kinds of entries: without effect, data, data taken away, a volume forgotten. */
export const entryKinds = { noop: 1, write: 2, trim: 3, drop: 4 } as const;
export type EntryKind = (typeof entryKinds)[keyof typeof entryKinds];

/** One record as it was appended. `serial`: its number among all, over all arcs. */
export type Appended =
  | {
      readonly type: 'entry';
      readonly serial: number;
      readonly term: number;
      readonly index: number;
      readonly kind: EntryKind;
      readonly range: BlockRange | undefined;
    }
  | { readonly type: 'truncate'; readonly serial: number; readonly fromIndex: number }
  | { readonly type: 'hardState'; readonly serial: number; readonly term: number }
  | {
      readonly type: 'arcState';
      readonly serial: number;
      readonly status: 'active' | 'copying' | 'retired';
      readonly generation: number;
    }
  | {
      readonly type: 'copy';
      readonly serial: number;
      readonly key: ChunkKey;
      readonly blocks: Uint16Array;
      readonly emptyBlocks: Uint16Array;
    };

/** What each block of a chunk has to be. */
export class ExpectedChunk {
  readonly key: ChunkKey;
  readonly versions: Float64Array;
  /** Of the entry that wrote it; 0: a copy brought it. */
  readonly terms: Float64Array;
  /** 1: data; 0: zeros. */
  readonly holds: Uint8Array;

  constructor(key: ChunkKey, from?: ExpectedChunk) {
    this.key = key;
    this.versions = from?.versions.slice() ?? new Float64Array(blocksPerChunk);
    this.terms = from?.terms.slice() ?? new Float64Array(blocksPerChunk);
    this.holds = from?.holds.slice() ?? new Uint8Array(blocksPerChunk);
  }

  put(block: number, version: number, term: number, holds: 0 | 1): void {
    if ((this.versions[block] as number) >= version) return;
    this.versions[block] = version;
    this.terms[block] = term;
    this.holds[block] = holds;
  }
}

/** What an arc has to be, from its founding or the start of its first copy to its retirement. */
export interface Life {
  readonly generation: number;
  readonly status: 'active' | 'copying';
  /** Everything up to here was told to be committed: it is applied, and stays so. */
  committed: number;
  /** By `chunkName`. */
  readonly chunks: Map<string, ExpectedChunk>;
}

export interface ArcWitness {
  readonly records: Appended[];
  life: Life | undefined;
}

/** What a record that isn't known durable has changed already: as it was before. */
type Undo =
  | { readonly serial: number; readonly arc: number; readonly life: Life | undefined }
  | { readonly serial: number; readonly arc: number; readonly name: string; readonly chunk: ExpectedChunk | undefined };

/** A block that rotted, as it was then, and the record that brought it anew; 0: none did yet. */
interface BadBlock {
  readonly version: number;
  mended: number;
}

export function blockName(arc: number, generation: number, key: ChunkKey, block: number): string {
  return `${arc}.${generation}/${chunkName(key)}/${block}`;
}

export function chunkName(key: ChunkKey): string {
  return `${key.volume}/${key.layer}/${key.chunk}`;
}

/**
 * What the world outside a store knows: all that was appended, in order, what of it was told durable, and what every
 * block is. A restart has to come to the state behind one of these records, at or behind the last one told.
 */
export class Witness {
  readonly arcs: readonly ArcWitness[];
  /** Serials of the values that were set, ascending. */
  readonly registers: Map<string, number[]>;
  /** Of the newest record. */
  serial: number;
  /** All records up to here were told durable. */
  told: number;
  #undo: Undo[] = [];
  /** Batches of the log rotted: a restart may have lost some, and has to say so. */
  hasRotted = false;
  /** Blocks that rotted, by `blockName`. */
  readonly bad = new Map<string, BadBlock>();

  private constructor(arcs: readonly ArcWitness[], registers: Map<string, number[]>, serial: number) {
    this.arcs = arcs;
    this.registers = registers;
    this.serial = serial;
    this.told = serial;
  }

  /** Of a blank device, on which these arcs are founded. */
  static founded(arcCount: number, generation: number): Witness {
    const arcs = Array.from({ length: arcCount }, () => ({ records: [], life: newLife(generation, 'active', 0) }));
    return new Witness(arcs, new Map(), 0);
  }

  arc(arc: number): ArcWitness {
    const found = this.arcs[arc];
    assert(found !== undefined, `arc ${arc} was never founded`);
    return found;
  }

  life(arc: number): Life {
    const { life } = this.arc(arc);
    assert(life !== undefined, `arc ${arc} is retired`);
    return life;
  }

  next(): number {
    return this.serial + 1;
  }

  // ---- what is appended -----------------------------------------------------------------------------------------------

  appended(arc: number, record: Appended): void {
    assert(record.serial === this.serial + 1, 'records are witnessed in order');
    this.serial = record.serial;
    this.arc(arc).records.push(record);
  }

  registered(name: string, serial: number): void {
    assert(serial === this.serial + 1, 'records are witnessed in order');
    this.serial = serial;
    const values = this.registers.get(name);
    if (values === undefined) this.registers.set(name, [serial]);
    else values.push(serial);
  }

  /** A record that begins, goes on with, or ends a life counts from when it is appended. */
  lived(arc: number, life: Life | undefined): void {
    const known = this.arc(arc);
    this.#undo.push({ serial: this.serial, arc, life: known.life });
    known.life = life;
  }

  /** So do copied blocks. `version` of each block, the empty ones included. */
  copied(arc: number, key: ChunkKey, put: (chunk: ExpectedChunk) => void): void {
    const { chunks } = this.life(arc);
    const name = chunkName(key);
    const before = chunks.get(name);
    this.#undo.push({ serial: this.serial, arc, name, chunk: before });
    const chunk = new ExpectedChunk(key, before);
    put(chunk);
    chunks.set(name, chunk);
  }

  tell(serial: number): void {
    this.told = Math.max(this.told, serial);
    while ((this.#undo[0]?.serial ?? Number.POSITIVE_INFINITY) <= this.told) this.#undo.shift();
  }

  /** An entry was told committed, and is applied. */
  committed(arc: number, index: number, term: number, kind: number, range: BlockRange | undefined): void {
    const life = this.life(arc);
    assert(index === life.committed + 1, 'entries are committed one after the other');
    life.committed = index;
    if (range === undefined) return;
    if (kind === entryKinds.drop) {
      const prefix = `${range.volume}/`;
      for (const name of life.chunks.keys()) if (name.startsWith(prefix)) life.chunks.delete(name);
      return;
    }
    const name = chunkName(range);
    let chunk = life.chunks.get(name);
    if (chunk === undefined) {
      chunk = new ExpectedChunk({ volume: range.volume, layer: range.layer, chunk: range.chunk });
      life.chunks.set(name, chunk);
    }
    const holds = kind === entryKinds.write ? 1 : 0;
    for (let i = 0; i < range.blockCount; i++) chunk.put(range.firstBlock + i, index, term, holds);
  }

  // ---- what a restart has to agree with -------------------------------------------------------------------------------

  /** What the arc has to be if the record `serial` is the last one that is there. Not to be changed. */
  lifeAt(arc: number, serial: number): Life | undefined {
    let { life } = this.arc(arc);
    let copied = false;
    for (let i = this.#undo.length - 1; i >= 0; i--) {
      const undo = this.#undo[i] as Undo;
      if (undo.serial <= serial) break;
      if (undo.arc !== arc) continue;
      if ('life' in undo) {
        life = undo.life;
        copied = false;
        continue;
      }
      if (life === undefined) continue;
      if (!copied) life = { ...life, chunks: new Map(life.chunks) };
      copied = true;
      if (undo.chunk === undefined) life.chunks.delete(undo.name);
      else life.chunks.set(undo.name, undo.chunk);
    }
    return life;
  }

  /** Whether a block may be found bad, if the record `serial` is the last one that is there. */
  mayBeBad(name: string, version: number, serial: number): boolean {
    const bad = this.bad.get(name);
    return bad?.version === version && (bad.mended === 0 || bad.mended > serial);
  }

  /** A life of the arc that no record speaks of. */
  nextGeneration(arc: number): number {
    let newest = this.arc(arc).life?.generation ?? 1;
    for (const record of this.arc(arc).records) {
      if (record.type === 'arcState') newest = Math.max(newest, record.generation);
    }
    return newest + 1;
  }

  /** The world in which `serial` is the last record that is there, and was told. Shares nothing that changes. */
  at(serial: number): Witness {
    const arcs = this.arcs.map(({ records }, arc) => {
      const life = this.lifeAt(arc, serial);
      return { records: records.slice(0, countUpTo(records, serial)), life: life && copyOf(life) };
    });
    const registers = new Map<string, number[]>();
    for (const [name, values] of this.registers) {
      const kept = values.filter((value) => value <= serial);
      if (kept.length > 0) registers.set(name, kept);
    }
    const witness = new Witness(arcs, registers, serial);
    witness.hasRotted = this.hasRotted;
    for (const [name, { version, mended }] of this.bad) {
      if (mended === 0 || mended > serial) witness.bad.set(name, { version, mended: 0 });
    }
    return witness;
  }
}

export function newLife(generation: number, status: Life['status'], committed: number): Life {
  return { generation, status, committed, chunks: new Map() };
}

function copyOf(life: Life): Life {
  const chunks = new Map<string, ExpectedChunk>();
  for (const [name, chunk] of life.chunks) chunks.set(name, new ExpectedChunk(chunk.key, chunk));
  return { ...life, chunks };
}

/** How many records have a serial of at most this. */
export function countUpTo(records: readonly { readonly serial: number }[], serial: number): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((records[middle] as { serial: number }).serial <= serial) low = middle + 1;
    else high = middle;
  }
  return low;
}
