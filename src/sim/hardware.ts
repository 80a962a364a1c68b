import { SimClock } from './clock.ts';
import type { SimEngine } from './engine.ts';
import { SimNetwork } from './fabric.ts';
import { SimFlash } from './flash.ts';
import type { SimHardware, SimMedium } from './program.ts';
import type { SimRandom } from './random.ts';

/** Frames whose protocols bear it are doubled or overtaken this often, always: a run without it proves less. */
const duplicateShare = 0.002;
const reorderShare = 0.002;

/** Simulated fabric on an engine, and flash of that size: only what is written takes memory. */
export function simHardware(flashBytes: number): (engine: SimEngine, random: SimRandom) => SimHardware {
  return (engine, random) => makeHardware(engine, random, flashBytes);
}

function makeHardware(engine: SimEngine, random: SimRandom, flashBytes: number): SimHardware {
  const clock = new SimClock(engine, engine.world);
  const network = new SimNetwork(clock, random.stream('network'), { duplicateShare, reorderShare });
  network.onFrame = () => engine.trace.number(network.traceHash);
  return {
    wires: network,
    makeMedium: (label): SimMedium => {
      const flash = new SimFlash(clock, random.stream(`flash of ${label}`), { sizeBytes: flashBytes });
      return {
        attach: () => flash.attach(),
        crash: () => flash.crash({ tear: true }),
        setSlowness: (factor) => {
          flash.slowFactor = factor;
        },
      };
    },
  };
}
