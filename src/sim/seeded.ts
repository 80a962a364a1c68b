import { coreletProgram } from './corelet-program.ts';
import { simHardware } from './hardware.ts';
import type { SimOptions } from './options.ts';
import type { RunOptions } from './run.ts';

/** Every fourth seed lets two slots be out of order at once: arcs lose their quorum, and must get it back. */
const doubleTroubleEvery = 4;
const thinkMs = 10;
const patienceMs = 1500;

/** The run that a seed and the options name: the same everywhere, for ever. */
export function runOptionsOf(options: SimOptions, seed: number): RunOptions {
  const { slots, arcs, copies, volumeBytes, virtualMs, hosts, queueDepth, operations, faultsPerSecond, weights } =
    options;
  return {
    seed,
    shape: { slots, arcs, copies },
    volumeBytes,
    virtualMs,
    workload: { volume: 'sim', hosts, queueDepth, operations, thinkMs, patienceMs },
    nemesis: {
      meanIntervalMs: faultsPerSecond > 0 ? 1000 / faultsPerSecond : Number.POSITIVE_INFINITY,
      disturbedMax: seed % doubleTroubleEvery === 0 ? 2 : 1,
      weights,
    },
    program: coreletProgram,
    hardware: simHardware,
  };
}
