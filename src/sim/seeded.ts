import { ticketLifeMs } from '../wire/peer/limits.ts';
import { coreletProgram, type SimStore } from './corelet-program.ts';
import { simHardware } from './hardware.ts';
import type { SimOptions } from './options.ts';
import type { RunOptions } from './run.ts';

/** Every fourth seed lets two slots be out of order at once: arcs lose their quorum, and must get it back. */
const doubleTroubleEvery = 4;
const thinkMs = 10;
const patienceMs = 1500;
/** A ticket's life by the slowest clock, and a moment for the rounding. */
const effectMsMax = ticketLifeMs * 1.003 + 2;
const rareShare = 0.08;
/** Every second seed has short faults, and so more of them. */
const shortFaults = 0.25;

const tightMapBytes = 24 * 1024;
const roomyFlashBytes = 1 << 30;
const tightSegmentBytes = 2 << 20;
const tightSegments = 2;
const segmentsMin = 6;

/** A third of the seeds has ample flash; on the others space is given back all the time, on half of those with next to no memory for the map. */
function storeOf(seed: number, volumeBytes: number): SimStore {
  if (seed % 3 === 0) return { flashBytes: roomyFlashBytes };
  // Any two slots may be out: the others then hold a copy of all.
  const segments = Math.max(segmentsMin, tightSegments + Math.ceil((2 * volumeBytes) / tightSegmentBytes));
  const flashBytes = (1 << 20) + segments * tightSegmentBytes;
  const tight = { flashBytes, segmentBytes: tightSegmentBytes };
  return seed % 3 === 1 ? tight : { ...tight, mapBytes: tightMapBytes };
}

/** The run that a seed and the options name: the same everywhere, for ever. */
export function runOptionsOf(options: SimOptions, seed: number): RunOptions {
  const { slots, arcs, copies, volumeBytes, virtualMs, hosts, queueDepth, operations, faultsPerSecond, weights } =
    options;
  const store = storeOf(seed, volumeBytes);
  return {
    seed,
    shape: { slots, arcs, copies },
    volumeBytes,
    virtualMs,
    workload: { volume: 'sim', hosts, queueDepth, operations, thinkMs, patienceMs, effectMsMax, rareShare },
    nemesis: {
      meanIntervalMs: faultsPerSecond > 0 ? 1000 / faultsPerSecond : Number.POSITIVE_INFINITY,
      disturbedMax: seed % doubleTroubleEvery === 0 ? 2 : 1,
      weights,
      lastingFactor: seed % 2 === 0 ? 1 : shortFaults,
      leaveOut: new Set(options.leaveOut),
    },
    story: options.story,
    program: coreletProgram(store),
    hardware: simHardware(store.flashBytes),
  };
}
