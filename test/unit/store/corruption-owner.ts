import assert from 'node:assert/strict';
import type { ArcId } from '../../../src/base/ids.ts';
import type { Clock } from '../../../src/ports/clock.ts';
import type { Flash } from '../../../src/ports/flash.ts';
import { MapSpace } from '../../../src/store/map-space.ts';
import { Store } from '../../../src/store/store.ts';
import type {
  ArcCheckpoint,
  BlockRange,
  LostBatches,
  RecoveryVisitor,
  StoredChunkCopy,
  StoredEntry,
  StoreOwner,
} from '../../../src/store/types.ts';
import { arcId, block, blockBytes, crcsOf, rangeOf, synced } from './workload.ts';

export const trimKind = 3;
const writeKind = 2;

/** Holds zeros, as hosts write them when they clear space: data that takes no room in a compressed image. */
export const zerosChunk = 63;
const zeros = new Uint8Array(blockBytes);

/** What a block's content tells: whoever wrote it, where, and as what version. */
export function contentOf(life: number, arc: number, chunk: number, number: number, version: number): Uint8Array {
  if (chunk === zerosChunk) return zeros;
  return block(life * 500_009 + arc * 10_000_019 + chunk * 65_537 + version * 1009 + number);
}

export interface OwnedArc {
  applied: number;
  term: number;
  copies: number;
  /** In the log, not applied: ascending, from applied + 1. */
  tail: StoredEntry[];
  /** Over the indexes of all applied entries, in order: what the state machine came to. */
  digest: number;
}

/** What the device ought to hold at one moment: per block its version, negative where it is trimmed. */
export interface Truth {
  readonly life: number;
  readonly blocks: ReadonlyMap<string, number>;
  readonly arcs: ReadonlyMap<ArcId, Readonly<OwnedArc>>;
  readonly registers: ReadonlyMap<string, string>;
}

export function nameOf(arc: number, chunk: number, number: number): string {
  return `${arc}:${chunk}:${number}`;
}

/** Refused, with the store's own words for it. */
export class Refused extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Owns arcs as replicas do, as small as can be: entries are appended, applied once durable, and a restart applies what the
 * log has. Unlike a Corelet it goes on behind lost batches, to see what of the rest is served.
 */
export class Owner implements StoreOwner, RecoveryVisitor {
  readonly space: MapSpace;
  readonly life: number;
  readonly arcsHere = new Map<ArcId, OwnedArc>();
  readonly registers = new Map<string, string>();
  readonly lostBatches: LostBatches[] = [];
  /** What applying came to: since it was opened, over what was known before. */
  readonly #blocks = new Map<string, number>();
  store!: Store;

  private constructor(life: number, arcs: number, mapBytes: number | undefined) {
    this.life = life;
    this.space = new MapSpace(mapBytes);
    for (let arc = 0; arc < arcs; arc++) this.arcsHere.set(arcId(arc), blankArc());
  }

  /** @throws Refused */
  static async open(
    flash: Flash,
    clock: Clock,
    options: { arcs: number; life: number; mapBytes?: number | undefined; known?: Truth },
  ): Promise<Owner> {
    const owner = new Owner(options.life, options.arcs, options.mapBytes);
    for (const [name, version] of options.known?.blocks ?? []) owner.#blocks.set(name, version);
    const opened = await Store.open(flash, { clock }, owner, owner.space);
    if (!opened.ok) throw new Refused(opened.code, opened.message);
    owner.store = opened.store;
    for (const [arc, { applied, tail }] of owner.arcsHere) owner.#applyUpTo(arc, applied + tail.length);
    return owner;
  }

  /** What it holds now, if it was told at its start what the device held. */
  truth(): Truth {
    const arcs = new Map<ArcId, OwnedArc>();
    for (const [arc, state] of this.arcsHere) arcs.set(arc, { ...state, tail: [...state.tail] });
    return { life: this.life, blocks: new Map(this.#blocks), arcs, registers: new Map(this.registers) };
  }

  #arc(arc: ArcId): OwnedArc {
    let found = this.arcsHere.get(arc);
    if (found === undefined) {
      assert.ok(this.lostBatches.length > 0, `arc ${arc} is not known, and nothing was lost`);
      found = blankArc();
      this.arcsHere.set(arc, found);
    }
    return found;
  }

  // ---- for checkpoints --------------------------------------------------------------------------------------------------

  arcs(): Iterable<ArcId> {
    return this.arcsHere.keys();
  }
  checkpointMark(arc: ArcId): string {
    const { applied, tail, term, copies } = this.#arc(arc);
    return `${applied} ${tail.length} ${term} ${copies}`;
  }
  checkpoint(arc: ArcId): ArcCheckpoint {
    const { applied, digest, copies, term, tail } = this.#arc(arc);
    return { state: numbers(applied, digest, copies), hardState: numbers(term), tail };
  }
  appliedIndex(arc: ArcId): number {
    return this.#arc(arc).applied;
  }
  holds(from: number, to: number): boolean {
    for (const { tail } of this.arcsHere.values()) {
      if (tail.some(({ position }) => position !== undefined && position >= from && position < to)) return true;
    }
    return false;
  }
  freed(): void {}

  // ---- the restart ------------------------------------------------------------------------------------------------------

  checkpointBegins(): void {
    this.arcsHere.clear();
  }
  arcCheckpoint(arc: ArcId, checkpoint: ArcCheckpoint): void {
    const [applied, digest, copies] = numbersIn(checkpoint.state) as [number, number, number];
    const [term] = numbersIn(checkpoint.hardState) as [number];
    this.arcsHere.set(arc, { applied, term, copies, tail: [], digest });
    for (const entry of checkpoint.tail) this.entry(entry);
  }
  entry(entry: StoredEntry): void {
    const arc = this.#arc(entry.arc);
    if (entry.index !== arc.applied + arc.tail.length + 1) {
      assert.ok(this.lostBatches.length > 0, `arc ${entry.arc}: a gap before ${entry.index}, and nothing was lost`);
      this.#applyUpTo(entry.arc, arc.applied + arc.tail.length);
      arc.applied = entry.index - 1;
    }
    arc.tail.push(entry);
    this.#applyUpTo(entry.arc, Math.min(entry.commit, entry.index));
  }
  truncated(arc: ArcId, fromIndex: number): void {
    const state = this.#arc(arc);
    const kept = fromIndex - state.applied - 1;
    assert.ok(kept >= 0 || this.lostBatches.length > 0, 'INV-3: an applied entry was truncated');
    state.tail.length = Math.max(0, Math.min(state.tail.length, kept));
  }
  /** Behind lost batches entries may be missing: then as far as there are some. */
  appliedUpTo(arc: ArcId, index: number): void {
    const state = this.#arc(arc);
    this.#applyUpTo(arc, Math.min(index, state.applied + state.tail.length));
  }
  hardState(arc: ArcId, state: Uint8Array): void {
    this.#arc(arc).term = numbersIn(state)[0] as number;
  }
  arcState(arc: ArcId, state: Uint8Array): void {
    const [applied, digest, copies, term] = numbersIn(state) as [number, number, number, number];
    // The map isn't part of the state: it has what the entries up to there brought.
    this.appliedUpTo(arc, applied);
    this.arcsHere.set(arc, { applied, term, copies, tail: [], digest });
  }
  chunkCopy(copy: StoredChunkCopy): void {
    this.#arc(copy.arc).copies++;
    this.space.of(copy.arc).applyCopy(copy);
    this.#note(copy.arc, copy.key.chunk, copy.blocks, copy.versions, 1);
    this.#note(copy.arc, copy.key.chunk, copy.emptyBlocks, copy.emptyVersions, -1);
  }
  register(name: string, value: Uint8Array): void {
    this.registers.set(name, value.join(' '));
  }
  lost(batches: LostBatches): void {
    this.lostBatches.push(batches);
  }

  #note(arc: number, chunk: number, blocks: Uint16Array, versions: Float64Array, sign: 1 | -1): void {
    for (const [i, number] of blocks.entries()) {
      const name = nameOf(arc, chunk, number);
      const version = versions[i] as number;
      if (Math.abs(this.#blocks.get(name) ?? 0) < version) this.#blocks.set(name, sign * version);
    }
  }

  #applyUpTo(arc: ArcId, index: number): void {
    const state = this.#arc(arc);
    while (state.applied < index) {
      const entry = state.tail.shift();
      assert.ok(entry !== undefined);
      state.applied++;
      state.digest = (Math.imul(state.digest, 31) + entry.index) >>> 0;
      const { range } = entry;
      if (range === undefined) continue;
      const map = this.space.of(arc);
      if (entry.kind === trimKind) map.clear(range, entry.index);
      else map.set(range, entry.position as number, entry.index, entry.crcs);
      const sign = entry.kind === trimKind ? -1 : 1;
      for (let i = 0; i < range.blockCount; i++) {
        this.#blocks.set(nameOf(arc, range.chunk, range.firstBlock + i), sign * entry.index);
      }
    }
  }

  // ---- work -------------------------------------------------------------------------------------------------------------

  #append(arc: ArcId, kind: number, range: BlockRange | undefined, data: Uint8Array, applies: boolean): void {
    const state = this.#arc(arc);
    const index = state.applied + state.tail.length + 1;
    const head = new Uint8Array(24).fill(index & 255);
    const record = { arc, term: state.term, index, kind, commit: state.applied, head, range };
    const crcs = crcsOf(data);
    const position = this.store.appendEntry({ ...record, crcs, data: [data] });
    const entry = { ...record, crcs, position };
    state.tail.push(entry);
    if (!applies) return;
    this.store.afterSync(() => {
      if (state.tail.includes(entry)) this.#applyUpTo(arc, index);
    });
  }

  write(arc: number, chunk: number, firstBlock: number, blockCount: number, applies = true): void {
    const { applied, tail } = this.#arc(arcId(arc));
    const version = applied + tail.length + 1;
    const data = new Uint8Array(blockCount * blockBytes);
    for (let i = 0; i < blockCount; i++) {
      data.set(contentOf(this.life, arc, chunk, firstBlock + i, version), i * blockBytes);
    }
    this.#append(arcId(arc), writeKind, rangeOf(chunk, firstBlock, blockCount), data, applies);
  }

  trim(arc: number, chunk: number, firstBlock: number, blockCount: number): void {
    this.#append(arcId(arc), trimKind, rangeOf(chunk, firstBlock, blockCount), new Uint8Array(0), true);
  }

  /** An entry of another kind: no blocks. */
  note(arc: number): void {
    this.#append(arcId(arc), 1, undefined, new Uint8Array(0), true);
  }

  /** Entries that a new leader takes back before they were applied. */
  takeBack(arc: number, fromIndex: number): void {
    const state = this.#arc(arcId(arc));
    this.store.appendTruncate(arcId(arc), fromIndex);
    state.tail.length = fromIndex - state.applied - 1;
  }

  vote(arc: number): void {
    const state = this.#arc(arcId(arc));
    state.term++;
    this.store.appendHardState(arcId(arc), numbers(state.term));
  }

  /** Says anew what the arc is, as the end of a catch-up does. Only with nothing unapplied. */
  restate(arc: number): void {
    const { applied, digest, copies, term, tail } = this.#arc(arcId(arc));
    assert.equal(tail.length, 0);
    this.store.appendArcState(arcId(arc), numbers(applied, digest, copies, term));
  }

  /** Blocks as a peer sends them: `blocks` hold data, the last one holds nothing, all at `version`. */
  copy(arc: number, chunk: number, blocks: readonly number[], version: number): void {
    const held = blocks.slice(0, -1);
    const data = new Uint8Array(held.length * blockBytes);
    for (const [i, number] of held.entries()) {
      data.set(contentOf(this.life, arc, chunk, number, version), i * blockBytes);
    }
    const { volume, layer } = rangeOf(chunk, 0, 1);
    const record = {
      arc: arcId(arc),
      key: { volume, layer, chunk },
      blocks: Uint16Array.from(held),
      versions: new Float64Array(held.length).fill(version),
      crcs: crcsOf(data),
      emptyBlocks: Uint16Array.of(blocks.at(-1) as number),
      emptyVersions: Float64Array.of(version),
    };
    const position = this.store.appendChunkCopy({ ...record, data: [data] });
    this.chunkCopy({ ...record, position });
  }

  setRegister(name: string, value: Uint8Array): void {
    this.registers.set(name, value.join(' '));
    this.store.setRegister(name, value);
  }

  synced(): Promise<void> {
    return synced(this.store);
  }
}

function blankArc(): OwnedArc {
  return { applied: 0, term: 1, copies: 0, tail: [], digest: 0 };
}
function numbers(...values: number[]): Uint8Array {
  return new Uint8Array(Float64Array.from(values).buffer);
}
function numbersIn(bytes: Uint8Array): number[] {
  return [...new Float64Array(bytes.slice().buffer)];
}
