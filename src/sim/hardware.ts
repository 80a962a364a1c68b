import type { Prng } from '../base/prng.ts';
import { SimClock } from './clock.ts';
import type { SimEngine } from './engine.ts';
import { SimNetwork } from './fabric.ts';
import { SimFlash } from './flash.ts';
import { LandedValues } from './landed.ts';
import type { DamageTarget, MediumDamage, SimHardware, SimMedium } from './program.ts';
import type { SimRandom } from './random.ts';

/** Frames whose protocols bear it are doubled or overtaken this often, always: a run without it proves less. */
const duplicateShare = 0.002;
const reorderShare = 0.002;
/** A store writes by the page; damage is aimed at one. */
const pageBytes = 4096;

/** Simulated fabric on an engine, and flash of that size: only what is written takes memory. */
export function simHardware(flashBytes: number): (engine: SimEngine, random: SimRandom) => SimHardware {
  return (engine, random) => makeHardware(engine, random, flashBytes);
}

function makeHardware(engine: SimEngine, random: SimRandom, flashBytes: number): SimHardware {
  const clock = new SimClock(engine, engine.world);
  const network = new SimNetwork(clock, random.stream('network'), { duplicateShare, reorderShare });
  network.onFrame = () => engine.trace.number(network.traceHash);
  const makeMedium = (label: string, image?: FlashImage): SimMedium => {
    const draw = random.stream(`flash of ${label}`);
    const flash = new SimFlash(clock, draw, { sizeBytes: flashBytes });
    if (image !== undefined) flash.restore(image.flash);
    const landed = image?.landed.clone() ?? new LandedValues(random.seed);
    flash.onLanded = (page) => landed.note(page);
    return {
      attach: () => flash.attach(),
      crash: () => flash.crash({ tear: true }),
      setSlowness: (factor) => {
        flash.slowFactor = factor;
      },
      damage: damageTo(flash, random.stream(`damage to ${label}`)),
      image: () => {
        const taken = { flash: flash.clone(), landed: landed.clone() };
        return { copy: (name) => makeMedium(name, taken) };
      },
      holds: (key, value) => landed.holds(key, value),
    };
  };
  return { wires: network, makeMedium };
}

interface FlashImage {
  readonly flash: SimFlash;
  readonly landed: LandedValues;
}

/** Aims at what was written lately: what lies in the log, and is read again by restarts, copies and hosts. */
function damageTo(flash: SimFlash, draw: Prng): MediumDamage {
  const aim = (target: DamageTarget): number | undefined => {
    const extents = flash.recent.filter(({ lengthBytes }) => target === 'metadata' || lengthBytes > pageBytes);
    const extent = extents[draw.below(Math.max(1, extents.length))];
    if (extent === undefined) return undefined;
    // A batch: its head in the first page, then the blocks.
    const pages = extent.lengthBytes / pageBytes;
    const page = target === 'metadata' || pages < 2 ? 0 : 1 + draw.below(pages - 1);
    return extent.offset + page * pageBytes + draw.below(pageBytes / flash.sectorBytes) * flash.sectorBytes;
  };
  let hurt: (typeof flash.recent)[number] | undefined;
  return {
    rot: (target) => {
      const at = aim(target);
      if (at === undefined) return undefined;
      flash.rot(at, flash.sectorBytes);
      const newest = flash.recent.at(-1);
      if (newest !== undefined && at >= newest.offset && at < newest.offset + newest.lengthBytes) hurt = newest;
      return `${target} at ${at}`;
    },
    get newestIsHurt() {
      return hurt !== undefined && flash.recent.at(-1) === hurt;
    },
    loseSectors: (target) => {
      const at = aim(target);
      if (at === undefined) return undefined;
      const sectors = draw.between(1, 9);
      flash.loseSectors(at, Math.floor(sectors) * flash.sectorBytes);
      return `${Math.floor(sectors)} sectors of ${target} at ${at}`;
    },
    misdirectNextWrite: () => {
      const at = aim(draw.chance(0.5) ? 'data' : 'metadata');
      if (at === undefined) return undefined;
      const to = at - (at % pageBytes);
      flash.misdirectNextWrite(to);
      return `to ${to}`;
    },
    loseNextWrite: () => flash.loseNextWrite(),
    failNextWrite: () => flash.failNextWrite(),
    spareNextWrite: () => flash.spareNextWrite(),
    setFull: (full) => {
      const end = Math.max(0, ...flash.recent.map(({ offset, lengthBytes }) => offset + lengthBytes));
      flash.fullAtBytes = full ? end : Number.POSITIVE_INFINITY;
    },
  };
}
