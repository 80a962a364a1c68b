import assert from 'node:assert/strict';
import { Prng } from '../../../src/base/prng.ts';
import { blankWitness, formatted, type RigShape, StoreRig } from '../../../src/sim/store/rig.ts';
import { verify } from '../../../src/sim/store/verify.ts';

/** Runs `work` on an open store with a simulated device of its own, on virtual time. */
export async function onRig(shape: RigShape, seed: number, work: (rig: StoreRig) => Promise<void>): Promise<void> {
  const rig = new StoreRig(await formatted(shape, seed), blankWitness(shape), shape, new Prng(seed, 'rig'));
  const all = async (): Promise<void> => {
    await rig.open();
    await work(rig);
  };
  const settled = await rig.engine.settle(all(), Number.MAX_SAFE_INTEGER);
  assert(settled !== undefined, 'the store came to a standstill');
}

/** Every block of every arc is what was told. Returns how many were read. */
export async function verifyAll(rig: StoreRig): Promise<number> {
  const { store, space, replicas, witness } = rig.model;
  return verify({ store, space, replicas, serial: witness.serial }, witness, 'all');
}
