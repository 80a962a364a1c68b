import { usualWeights } from '../../src/sim/nemesis.ts';
import type { RunOptions } from '../../src/sim/run.ts';
import { StandIn, idleHardware } from './stand-in.ts';
import type { Fault } from './stand-in.ts';

/** A short run of the whole simulator with the stand-in in the slots. */
export function standInRun(seed: number, fault: Fault = 'none'): RunOptions {
  return {
    seed,
    shape: { slots: 4, arcs: 1, copies: 3 },
    volumeBytes: 4 << 20,
    virtualMs: 60_000,
    workload: { volume: 'v', hosts: 3, queueDepth: 4, operations: 4000, thinkMs: 5, patienceMs: 300 },
    // A gateway that dies ends what hangs in it: to see a hang, nothing dies. Modules of the stand-in can't change places.
    nemesis: {
      meanIntervalMs: 150,
      disturbedMax: 2,
      weights: fault === 'hangs' ? { pause: 1 } : { ...usualWeights, blank: 0, swap: 0 },
    },
    program: new StandIn(fault),
    hardware: idleHardware,
  };
}
