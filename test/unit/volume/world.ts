import assert from 'node:assert/strict';
import type { CheckedVolumes } from '../../../src/corelet/volume-control.ts';
import { SimCluster } from '../../../src/sim/cluster.ts';
import { coreletProgram } from '../../../src/sim/corelet-program.ts';
import { SimEngine } from '../../../src/sim/engine.ts';
import { simHardware } from '../../../src/sim/hardware.ts';
import { SimRandom } from '../../../src/sim/random.ts';
import type { AccessRules } from '../../../src/volume/access.ts';
import type { BlockDevice } from '../../../src/volume/block-device.ts';
import type { Volumes } from '../../../src/volume/volumes.ts';

export const mebi = 1024 * 1024;
export const block = 4096;
const patienceMs = 60_000;

/** Four simulated Corelets with a volume `v`. */
export class World {
  readonly engine = new SimEngine();
  readonly cluster: SimCluster;

  constructor(seed: number) {
    const random = new SimRandom(seed);
    const flashBytes = 512 * mebi;
    const hardware = simHardware(flashBytes)(this.engine, random);
    const shape = { slots: 4, arcs: 8, copies: 3 };
    this.cluster = new SimCluster(this.engine, random, coreletProgram({ flashBytes }), hardware, shape);
  }

  async settle<Value>(promise: Promise<Value>): Promise<Value> {
    const settled = await this.engine.settle(promise, patienceMs);
    assert.ok(settled !== undefined, `nothing after ${patienceMs} ms`);
    return settled.value;
  }

  pass(ms: number): Promise<void> {
    return this.engine.run(this.engine.nowMs + ms);
  }

  async started(): Promise<this> {
    await this.settle(this.cluster.found());
    for (let tries = 0; tries < 20; tries++) {
      const made = await this.settle(this.control(0).create({ name: 'v', sizeBytes: 16 * mebi, copies: 3 }));
      if (made.ok) return this;
      await this.pass(500);
    }
    assert.fail('no volume could be made');
  }

  control(slot: number): CheckedVolumes {
    const handle = this.cluster.handle(slot);
    assert.ok(handle !== undefined, `slot ${slot} runs`);
    return handle.volumes as CheckedVolumes;
  }

  catalog(slot: number): Volumes {
    return this.cluster.handle(slot)?.catalog as Volumes;
  }

  async open(slot: number, host: string, registrant?: string): Promise<BlockDevice> {
    const device = await this.settle(this.catalog(slot).open('v', host, registrant));
    assert.ok(typeof device !== 'string', `${host} may open`);
    return device;
  }

  async byteAt(device: BlockDevice, offset: number): Promise<number> {
    const read = await this.settle(device.read(offset, 1));
    assert.ok(read.ok, JSON.stringify(read));
    return read.parts[0]?.[0] ?? -1;
  }

  async setAccess(slot: number, rules: AccessRules): Promise<void> {
    for (let tries = 0; tries < 20; tries++) {
      const set = await this.settle(this.control(slot).setAccess('v', rules));
      if (set.ok) return;
      await this.pass(500);
    }
    assert.fail('the change never ended');
  }
}
