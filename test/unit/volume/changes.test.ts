import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimRandom } from '../../../src/sim/random.ts';
import { mebi, World } from './world.ts';

// Administrators don't know of each other: volumes of the same few names are made, changed and deleted through all Corelets at once, while these
// sleep, die and are slow to hear. Whatever they were told, in the end there is one volume of a name, and the arcs know those that there are: one more could
// be written to and never be freed.

const names = ['a', 'b', 'c'];
const slots = 4;
const steps = 60;
/** Each of these once left two volumes of one name, or brought a deleted one back in some arcs. */
const seeds = [4, 5, 6, 9, 16, 27];

class Administrators {
  readonly #world: World;
  readonly #random;
  readonly #paused = new Set<number>();
  readonly #down = new Set<number>();

  constructor(world: World, seed: number) {
    this.#world = world;
    this.#random = new SimRandom(seed).stream('administrators');
  }

  async work(): Promise<void> {
    for (let step = 0; step < steps; step++) {
      await this.#act(this.#below(slots), names[this.#below(names.length)] as string, this.#below(12));
      await this.#world.pass(this.#random.fraction() * (this.#below(4) === 0 ? 400 : 6));
    }
    await this.#allWell();
    for (let slot = 0; slot < slots; slot++) this.#world.cluster.slowLink(slot, 1);
  }

  async #act(slot: number, name: string, what: number): Promise<void> {
    const { cluster } = this.#world;
    const answers = cluster.handle(slot) !== undefined;
    if (what < 4 && answers) void this.#world.control(slot).create({ name, sizeBytes: 4 * mebi, copies: 3 });
    else if (what >= 4 && what < 7 && answers) void this.#world.control(slot).delete(name);
    else if (what >= 7 && what < 9 && answers) {
      void this.#world.control(slot).setAccess(name, { hosts: [`h${this.#below(3)}`], readOnly: false });
    } else if (what === 9) cluster.slowLink(slot, 1 + this.#below(30));
    else if (what === 10 && this.#paused.size + this.#down.size === 0) this.#fell(slot);
    else if (what === 11) await this.#allWell();
  }

  #fell(slot: number): void {
    if (this.#below(2) === 1) {
      this.#world.cluster.pause(slot);
      this.#paused.add(slot);
    } else {
      this.#world.cluster.crash(slot);
      this.#down.add(slot);
    }
  }

  async #allWell(): Promise<void> {
    for (const slot of this.#paused) this.#world.cluster.resume(slot);
    for (const slot of this.#down) await this.#world.settle(this.#world.cluster.start(slot));
    this.#paused.clear();
    this.#down.clear();
  }

  #below(limit: number): number {
    return Math.floor(this.#random.fraction() * limit);
  }
}

/** How many volumes each arc's leader knows. */
function knownByArcs({ cluster }: World): number[] {
  const known: number[] = [];
  for (let slot = 0; slot < slots; slot++) {
    for (const { role, bounds } of cluster.handle(slot)?.inspect() ?? []) {
      if (role === 'leader') known.push(bounds?.().find(({ name }) => name === 'volumes known')?.length ?? -1);
    }
  }
  return known;
}

for (const seed of seeds) {
  test(`many make, change and delete volumes of the same names: each name is one volume's, and the arcs know what there is (seed ${seed})`, async () => {
    const world = await new World(seed).started();
    await new Administrators(world, seed).work();
    await world.pass(40_000);
    // Whoever meets what was left half done brings it to its end.
    for (const name of names) await world.settle(world.catalog(1).open(name));
    await world.pass(5000);
    const records = await world.settle(world.catalog(2).records());
    assert.ok(records !== 'unavailable');
    assert.equal(new Set(records.map(({ name }) => name)).size, records.length, 'one volume of a name');
    assert.deepEqual(new Set(records.map(({ state }) => state)), new Set(['open']));
    const known = knownByArcs(world);
    assert.deepEqual(
      known,
      Array.from({ length: 8 }, () => records.length),
      'the arcs know the volumes that there are',
    );
    assert.deepEqual(world.cluster.violations, []);
  });
}
