import assert from 'node:assert/strict';
import type { ArcId } from '../../../src/base/ids.ts';
import type { Flash } from '../../../src/ports/flash.ts';
import { MapSpace } from '../../../src/store/map-space.ts';
import { Store } from '../../../src/store/store.ts';
import type {
  ArcCheckpoint,
  BlockRange,
  LostBatches,
  RecoveryVisitor,
  StoredEntry,
  StoreOwner,
} from '../../../src/store/types.ts';
import type { TestClock } from './test-ports.ts';
import { arcId, block, blockBytes, crcsOf, rangeOf, synced } from './workload.ts';

interface ModelArc {
  applied: number;
  term: number;
  /** In the log, not applied: ascending, from applied + 1. */
  tail: StoredEntry[];
  /** Over the heads of all applied entries, in order: what the state machine came to. */
  digest: number;
}

const trimKind = 3;

function foldDigest(digest: number, index: number): number {
  return (Math.imul(digest, 31) + index) >>> 0;
}

function seedOf(arc: number, index: number, block: number): number {
  return arc * 10_000_019 + index * 1009 + block;
}

/** What a world outside knows: what was told durable, and what was ever tried. Outlives crashes of the model. */
export class Witnessed {
  /** Highest version told durable and applied, per block. */
  readonly told = new Map<string, number>();
  /** Versions that ever were appended, per block; negative: a trim. */
  readonly tried = new Map<string, number[]>();
  readonly lastTold = new Map<number, number>();
}

/**
 * The smallest thing that owns arcs as replicas do: entries are appended, applied once durable, and a restart begins from
 * the checkpoint. Every block's content tells its arc, index and number, so that a wrong byte shows.
 */
export class Model implements StoreOwner, RecoveryVisitor {
  readonly space: MapSpace;
  readonly seen: Witnessed;
  readonly lostBatches: LostBatches[] = [];
  readonly arcsHere = new Map<ArcId, ModelArc>();
  store!: Store;

  private constructor(space: MapSpace, seen: Witnessed) {
    this.space = space;
    this.seen = seen;
  }

  static async open(
    flash: Flash,
    clock: TestClock,
    options: { arcs: number; mapBytes?: number; seen?: Witnessed; attach?: boolean },
  ): Promise<Model> {
    const model = new Model(new MapSpace(options.mapBytes), options.seen ?? new Witnessed());
    for (let arc = 0; arc < options.arcs; arc++) {
      model.arcsHere.set(arcId(arc), { applied: 0, term: 1, tail: [], digest: 0 });
    }
    const opened = await Store.open(flash, { clock }, model, model.space);
    assert.ok(opened.ok, opened.ok ? '' : `${opened.code}: ${opened.message}`);
    model.store = opened.store;
    // Whoever leads has committed what a majority has: here, all of it.
    for (const [arc, state] of model.arcsHere) model.#applyUpTo(arc, state.applied + state.tail.length);
    if (options.attach !== false) model.store.attach(model);
    return model;
  }

  #arc(arc: ArcId): ModelArc {
    const found = this.arcsHere.get(arc);
    assert.ok(found !== undefined, `arc ${arc}`);
    return found;
  }

  // ---- the owner ------------------------------------------------------------------------------------------------------

  arcs(): Iterable<ArcId> {
    return this.arcsHere.keys();
  }
  checkpointMark(arc: ArcId): string {
    const { applied, tail, term } = this.#arc(arc);
    return `${applied} ${tail.length} ${term}`;
  }
  checkpoint(arc: ArcId): ArcCheckpoint {
    const { applied, digest, term, tail } = this.#arc(arc);
    return { state: numbers(applied, digest), hardState: numbers(term, 0), tail };
  }
  holds(from: number, to: number): boolean {
    for (const { tail } of this.arcsHere.values()) {
      if (tail.some(({ position }) => position !== undefined && position >= from && position < to)) return true;
    }
    return false;
  }
  appliedIndex(arc: ArcId): number {
    return this.#arc(arc).applied;
  }
  freed(): void {}

  // ---- the restart ----------------------------------------------------------------------------------------------------

  checkpointBegins(): void {
    this.arcsHere.clear();
  }
  arcCheckpoint(arc: ArcId, checkpoint: ArcCheckpoint): void {
    const [applied, digest] = numbersIn(checkpoint.state);
    const [term] = numbersIn(checkpoint.hardState);
    this.arcsHere.set(arc, { applied: applied as number, term: term as number, tail: [], digest: digest as number });
    for (const entry of checkpoint.tail) this.entry(entry);
  }
  entry(entry: StoredEntry): void {
    const arc = this.#arc(entry.arc);
    assert.equal(entry.index, arc.applied + arc.tail.length + 1, `arc ${entry.arc}: entries follow one another`);
    arc.tail.push(entry);
    this.#applyUpTo(entry.arc, Math.min(entry.commit, entry.index));
  }
  appliedUpTo(arc: ArcId, index: number): void {
    this.#applyUpTo(arc, index);
  }
  truncated(arc: ArcId, fromIndex: number): void {
    const state = this.#arc(arc);
    assert.ok(fromIndex > state.applied);
    state.tail.length = Math.min(state.tail.length, fromIndex - state.applied - 1);
  }
  hardState(arc: ArcId, state: Uint8Array): void {
    this.#arc(arc).term = numbersIn(state)[0] as number;
  }
  arcState(): void {}
  chunkCopy(): void {}
  register(): void {}
  lost(batches: LostBatches): void {
    this.lostBatches.push(batches);
  }

  #applyUpTo(arc: ArcId, index: number): void {
    const state = this.#arc(arc);
    while (state.applied < index) {
      const entry = state.tail.shift();
      assert.ok(entry !== undefined);
      state.applied++;
      state.digest = foldDigest(state.digest, entry.index);
      if (entry.range === undefined) continue;
      const map = this.space.of(arc);
      if (entry.kind === trimKind) map.clear(entry.range, entry.index);
      else map.set(entry.range, entry.position as number, entry.index, entry.crcs);
    }
  }

  // ---- work -----------------------------------------------------------------------------------------------------------

  #append(arc: ArcId, kind: number, range: BlockRange, data: Uint8Array, tells = true): void {
    const state = this.#arc(arc);
    const index = state.applied + state.tail.length + 1;
    const record = { arc, term: state.term, index, kind, commit: state.applied, head: new Uint8Array(24), range };
    const crcs = crcsOf(data);
    const position = this.store.appendEntry({ ...record, crcs, data: [data] });
    state.tail.push({ ...record, crcs, position });
    for (let i = 0; i < range.blockCount; i++) {
      const name = nameOf(arc, range.chunk, range.firstBlock + i);
      const tried = this.seen.tried.get(name) ?? [];
      tried.push(kind === trimKind ? -index : index);
      this.seen.tried.set(name, tried);
    }
    if (!tells) return;
    this.store.afterSync(() => {
      if (state.applied + state.tail.length < index || state.applied >= index) return;
      this.#applyUpTo(arc, index);
      this.seen.lastTold.set(arc, index);
      for (let i = 0; i < range.blockCount; i++) {
        this.seen.told.set(nameOf(arc, range.chunk, range.firstBlock + i), index);
      }
    });
  }

  write(arc: number, chunk: number, firstBlock: number, blockCount: number): void {
    const state = this.#arc(arcId(arc));
    const index = state.applied + state.tail.length + 1;
    const data = new Uint8Array(blockCount * blockBytes);
    for (let i = 0; i < blockCount; i++) data.set(block(seedOf(arc, index, firstBlock + i)), i * blockBytes);
    this.#append(arcId(arc), 2, rangeOf(chunk, firstBlock, blockCount), data);
  }

  trim(arc: number, chunk: number, firstBlock: number, blockCount: number): void {
    this.#append(arcId(arc), trimKind, rangeOf(chunk, firstBlock, blockCount), new Uint8Array(0));
  }

  vote(arc: number): void {
    const state = this.#arc(arcId(arc));
    state.term++;
    this.store.appendHardState(arcId(arc), numbers(state.term, 0));
  }

  synced(): Promise<void> {
    return synced(this.store);
  }

  // ---- the check ------------------------------------------------------------------------------------------------------

  /** INV-1: nothing told durable is missing; nothing invented: each block's content is what that version wrote. */
  async verify(): Promise<number> {
    for (const [arc, index] of this.seen.lastTold) {
      const { applied, digest } = this.#arc(arcId(arc));
      assert.ok(applied >= index, `INV-1: arc ${arc} was told ${index}, has ${applied}`);
      let expected = 0;
      for (let i = 1; i <= applied; i++) expected = foldDigest(expected, i);
      assert.equal(digest, expected, `arc ${arc}: each entry is applied once, in order`);
    }
    let blocks = 0;
    for (const [name, tried] of this.seen.tried) {
      const [arc, chunk, number] = name.split(':').map(Number) as [number, number, number];
      const page = await this.space.of(arcId(arc)).load(rangeOf(chunk, 0, 1));
      const version = page?.versions[number] ?? 0;
      const told = this.seen.told.get(name) ?? 0;
      assert.ok(version >= told, `INV-1: block ${name} was told ${told}, has ${version}`);
      if (version === 0) continue;
      const position = page?.positions[number] as number;
      if (tried.includes(-version)) {
        assert.equal(position, 0, `block ${name} is trimmed`);
        continue;
      }
      assert.ok(tried.includes(version), `block ${name} has version ${version}, which nobody wrote`);
      const into = new Uint8Array(blockBytes);
      const read = await this.store.readBlocks([position], [page?.crcs[number] as number], into);
      assert.deepEqual(read, { ok: true }, `block ${name} at ${position}, version ${version}`);
      assert.deepEqual(into, block(seedOf(arc, version, number)), `INV-4: block ${name}`);
      blocks++;
    }
    return blocks;
  }
}

function nameOf(arc: number, chunk: number, block: number): string {
  return `${arc}:${chunk}:${block}`;
}

function numbers(...values: number[]): Uint8Array {
  return new Uint8Array(Float64Array.from(values).buffer);
}
function numbersIn(bytes: Uint8Array): number[] {
  return [...new Float64Array(bytes.slice().buffer)];
}
