import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { blockBytes, blocksPerChunk, type VolumeId } from '../../../src/base/ids.ts';
import { Prng } from '../../../src/base/prng.ts';
import { sectorsOf } from '../../../src/sim/store/device.ts';
import type { StoreModel } from '../../../src/sim/store/model.ts';
import { blankWitness, formatted, type RigShape, StoreRig } from '../../../src/sim/store/rig.ts';
import { randomFates } from '../../../src/sim/store/subsets.ts';
import { verify } from '../../../src/sim/store/verify.ts';

// 10 segments of 4 MiB, of which less than half may hold data: a few fillings, and segments have to be cleaned.
const shape: RigShape = { segments: 10, arcs: 2, mapBytes: 60_000 };
const chunks = 20;
const waitsMax = 20_000;

interface Place {
  readonly arc: number;
  readonly chunk: number;
  readonly block: number;
  readonly count: number;
}

/** What is done, as data, so that a failure shrinks to the few steps that it takes. */
type Step =
  | ({ readonly do: 'write' | 'trim' } & Place)
  | { readonly do: 'drop'; readonly arc: number }
  | { readonly do: 'fill'; readonly arc: number; readonly chunks: number }
  | { readonly do: 'crash'; readonly seed: number }
  | { readonly do: 'sync' | 'turn' | 'restart' | 'checkpoint' };

const arc = fc.nat({ max: shape.arcs - 1 });
const place = {
  arc,
  chunk: fc.nat({ max: chunks - 1 }),
  block: fc.nat({ max: 247 }),
  count: fc.integer({ min: 1, max: 8 }),
};
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('write' as const), ...place }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('trim' as const), ...place }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drop' as const), arc }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('fill' as const), arc, chunks: fc.integer({ min: 1, max: chunks }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), seed: fc.nat() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom<('sync' | 'turn' | 'restart' | 'checkpoint')[]>('sync', 'turn', 'restart', 'checkpoint'),
    }),
  },
);

/**
 * A map as anybody would write it: block to the newest write told, or tried since. It knows nothing of logs, entries or
 * maps of the store; what is told is what a host was told.
 */
interface Tried {
  readonly arc: number;
  readonly index: number;
  readonly names: readonly string[];
  readonly value: number;
}

class PlainMap {
  /** Entry that wrote it, or -entry that trimmed it; 0: nothing was ever there. */
  readonly told = new Map<string, number>();
  #trying: Tried[] = [];

  try(tried: Tried): void {
    this.#trying.push(tried);
  }

  /** Entries up to `index` of the arc are there. */
  settle(arcNumber: number, index: number): void {
    const there = this.#trying.filter((tried) => tried.arc === arcNumber && tried.index <= index);
    for (const { names, value } of there) for (const name of names) this.told.set(name, value);
    this.#trying = this.#trying.filter((tried) => !there.includes(tried));
  }

  /** What isn't there after a restart never will be. */
  forget(): void {
    this.#trying = [];
  }
}

function nameOf(arcNumber: number, volume: number, chunk: number, block: number): string {
  return `${arcNumber}:${volume}:${chunk}:${block}`;
}

class Subject {
  readonly rig: StoreRig;
  readonly plain = new PlainMap();
  full = 0;

  constructor(rig: StoreRig) {
    this.rig = rig;
  }

  get model(): StoreModel {
    return this.rig.model;
  }

  #volume(arcNumber: number): VolumeId {
    return this.model.replica(arcNumber).volumes[0] as VolumeId;
  }

  #names(arcNumber: number, at: { chunk: number; firstBlock: number; blockCount: number }): string[] {
    const volume = this.#volume(arcNumber);
    return Array.from({ length: at.blockCount }, (_, i) => nameOf(arcNumber, volume, at.chunk, at.firstBlock + i));
  }

  /** Asks at the door as a host does that is told to try again. */
  async #room(blocks: number, purpose: 'new' | 'replacing' = 'new'): Promise<'ok' | 'full'> {
    for (let waits = 0; waits < waitsMax; waits++) {
      const answer = this.model.store.roomFor(blocks * blockBytes, purpose);
      if (answer !== 'busy') return answer;
      await this.rig.pause(1);
    }
    throw new Error(`no room, and not full: ${JSON.stringify(this.model.store.health())}`);
  }

  #entry(arcNumber: number, names: readonly string[], holds: boolean, append: () => void): void {
    const { applied, tail } = this.model.replica(arcNumber);
    const index = applied + tail.length + 1;
    this.plain.try({ arc: arcNumber, index, names, value: holds ? index : -index });
    append();
    this.model.store.afterSync(() => this.plain.settle(arcNumber, index));
  }

  async write(at: Place, purpose: 'new' | 'replacing' = 'new'): Promise<'ok' | 'full'> {
    if ((await this.#room(at.count, purpose)) === 'full') return 'full';
    this.#adopt();
    const range = {
      volume: this.#volume(at.arc),
      layer: 0,
      chunk: at.chunk,
      firstBlock: at.block,
      blockCount: at.count,
    };
    this.#entry(at.arc, this.#names(at.arc, range), true, () => this.model.write(at.arc, range, 'commits'));
    return 'ok';
  }

  trim(at: Place): void {
    this.#adopt();
    const range = {
      volume: this.#volume(at.arc),
      layer: 0,
      chunk: at.chunk,
      firstBlock: at.block,
      blockCount: at.count,
    };
    this.#entry(at.arc, this.#names(at.arc, range), false, () => this.model.trim(at.arc, range, 'commits'));
  }

  async drop(arcNumber: number): Promise<void> {
    this.#adopt();
    await this.model.synced();
    const volume = this.#volume(arcNumber);
    const names = [...this.plain.told.keys()].filter((name) => name.startsWith(`${arcNumber}:${volume}:`));
    const { applied } = this.model.replica(arcNumber);
    this.plain.try({ arc: arcNumber, index: applied + 1, names, value: 0 });
    this.model.drop(arcNumber, volume, 'commits');
    this.model.store.afterSync(() => this.plain.settle(arcNumber, applied + 1));
    await this.model.synced();
  }

  /** What a crash left behind the last told entry is as good as any: it is committed now. */
  #adopt(): void {
    for (const { arc: one, doomedFrom } of this.model.replicas.values()) {
      if (doomedFrom !== Number.POSITIVE_INFINITY) this.model.adoptDoomed(one);
    }
  }

  async reopen(): Promise<void> {
    await this.rig.open();
    this.#adopt();
    await this.model.synced();
    for (const { arc: one, applied } of this.model.replicas.values()) this.plain.settle(one, applied);
    this.plain.forget();
    await this.check();
  }

  /** Every block is what the plain map says; none is there that it doesn't know. */
  async check(): Promise<void> {
    await this.model.synced();
    const { store, space, replicas, witness } = this.model;
    await verify({ store, space, replicas, serial: witness.serial }, witness, 'all');
    for (const [name, value] of this.plain.told) {
      const [one, volume, chunk, block] = name.split(':').map(Number) as [number, number, number, number];
      const page = await space.of(one as never).load({ volume: volume as VolumeId, layer: 0, chunk });
      assert.equal(page?.versions[block] ?? 0, Math.abs(value), `version of block ${name}`);
      assert.equal((page?.positions[block] ?? 0) !== 0, value > 0, `block ${name} holds data`);
    }
    this.rig.check();
  }

  async fill(arcNumber: number, count: number): Promise<void> {
    for (let chunk = 0; chunk < count; chunk++) {
      const at = { arc: arcNumber, chunk, block: 0, count: blocksPerChunk };
      if ((await this.write(at)) === 'ok') continue;
      await this.whenFull(arcNumber);
      return;
    }
  }

  /** New data is refused: what replaces, takes away or deletes goes on, and brings space back. */
  async whenFull(arcNumber: number): Promise<void> {
    this.full++;
    await this.model.synced();
    const held = [...this.plain.told].filter(([, value]) => value > 0).map(([name]) => name.split(':').map(Number));
    for (const [one, , chunk, block] of held.filter((_, i) => i % 200 === 0) as [number, number, number, number][]) {
      assert.equal(
        await this.write({ arc: one, chunk, block, count: 1 }, 'replacing'),
        'ok',
        'a full device takes overwrites',
      );
    }
    await this.model.synced();
    for (let chunk = 0; chunk < chunks; chunk++) this.trim({ arc: arcNumber, chunk, block: 0, count: blocksPerChunk });
    await this.model.synced();
    const others = [...this.model.replicas.keys()].filter((one) => one !== arcNumber);
    for (const one of others) await this.drop(one);
    await this.model.synced();
    // What deleted volumes held is counted when their pages were looked at: that takes a moment.
    const again = { arc: arcNumber, chunk: 0, block: 0, count: blocksPerChunk };
    for (let waits = 0; (await this.write(again)) === 'full'; waits++) {
      assert(
        waits < waitsMax,
        `what was trimmed and deleted is space again: ${JSON.stringify(this.model.store.health())}`,
      );
      await this.rig.pause(1);
    }
  }

  async do(step_: Step): Promise<void> {
    switch (step_.do) {
      case 'write':
        if ((await this.write(step_)) === 'full') await this.whenFull(step_.arc);
        return;
      case 'trim':
        return this.trim(step_);
      case 'drop':
        return this.drop(step_.arc);
      case 'fill':
        return this.fill(step_.arc, step_.chunks);
      case 'sync':
        return this.model.synced();
      case 'turn':
        return this.rig.pause(0.7);
      case 'checkpoint':
        return this.model.store.checkpoint();
      case 'restart':
        await this.rig.close();
        return this.reopen();
      case 'crash':
        this.rig.crash(randomFates(sectorsOf(this.rig.device.underWay), new Prng(step_.seed)));
        return this.reopen();
    }
  }
}

/** Runs that once were red. */
const onceRed: [number, Step[]][] = [
  // Full for ever after a restart: all garbage was newer than the checkpoint, and no segment was free to take another.
  [
    0,
    [
      { do: 'fill', arc: 1, chunks: 17 },
      { do: 'trim', arc: 1, chunk: 7, block: 0, count: 1 },
      { do: 'write', arc: 0, chunk: 0, block: 0, count: 1 },
      { do: 'fill', arc: 1, chunks: 9 },
      { do: 'fill', arc: 1, chunks: 8 },
      { do: 'drop', arc: 0 },
      { do: 'drop', arc: 0 },
      { do: 'crash', seed: 0 },
      { do: 'write', arc: 0, chunk: 0, block: 0, count: 1 },
    ],
  ],
];

test('any order of writes, trims, deletes, checkpoints, restarts and power losses, on a device that gets full: a plain map says the same', async (t) => {
  let full = 0;
  let reused = 0;
  let freed = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.array(step, { maxLength: 40, size: 'max' }), async (seed, steps) => {
      const rig = new StoreRig(await formatted(shape, seed), blankWitness(shape), shape, new Prng(seed, 'model'));
      const subject = new Subject(rig);
      const work = async (): Promise<void> => {
        await rig.open();
        for (const one of steps) await subject.do(one);
        await subject.check();
      };
      const settled = await rig.engine.settle(work(), Number.MAX_SAFE_INTEGER);
      assert(settled !== undefined, 'the store came to a standstill');
      full += subject.full;
      reused += rig.segmentsReused;
      freed += rig.model.store.health().segmentUsesMax > 1 ? 1 : 0;
    }),
    { numRuns: 30, examples: onceRed },
  );
  t.diagnostic(`full ${full} times; ${reused} segments were written again, in ${freed} of 30 runs`);
  assert(full > 0 && reused > 0, 'the runs fill their devices and use space again');
});
