import { Prng } from '../../src/base/prng.ts';
import { writeAmplification } from '../../src/store/health.ts';
import type { Figure, JobReport } from './figures.ts';
import { writeMany } from './load.ts';
import { MemoryFlash } from './memory-flash.ts';
import { format, openStore, type Owner } from './owner.ts';
import { type Payload, payloads } from './payloads.ts';
import { arcs, mapBytes, mib, type Setting } from './setting.ts';
import { type CausedBytes, WriteCauses } from './write-causes.ts';

const blockBytes = 4096;
const segmentBytes = 4 * mib;
const liveShare = 0.8;
const depth = 64;
/** Laps overwrite as many blocks as there are live ones: until two in a row say nearly the same, and not for ever. */
const settlingLapsMin = 3;
const settlingLapsMax = 6;
const settledShare = 0.02;
const measuredLaps = 2;

interface Skew {
  readonly name: string;
  readonly barMax: number;
  readonly pick: (random: Prng, blocks: number) => number;
}

const skews: readonly Skew[] = [
  { name: 'uniform', barMax: 3.5, pick: (random, blocks) => random.below(blocks) },
  {
    name: '90/10',
    barMax: 2,
    pick: (random, blocks) => {
      const hot = Math.floor(blocks / 10);
      return random.fraction() < 0.9 ? random.below(hot) : hot + random.below(blocks - hot);
    },
  },
];

interface Measured {
  readonly amplification: number;
  /** Of each lap, those before the measured ones too. */
  readonly laps: readonly number[];
  readonly causes: CausedBytes;
  readonly hostBytes: number;
  /** What the device saw, in place of what the store says of itself. */
  readonly seenAmplification: number;
  readonly writesPerSecond: number;
  readonly busy: number;
  readonly usedShare: number;
}

export async function measureAmplification(setting: Setting): Promise<JobReport> {
  const segments = setting.quick ? 128 : 1000;
  const figures: Figure[] = [];
  const notes: string[] = [];
  for (const skew of skews) {
    const measured = await measureSkew(setting, segments, skew);
    const bar = { sense: 'at most', value: skew.barMax } as const;
    figures.push({ what: `write amplification, ${skew.name} 4 KiB`, value: measured.amplification, unit: '×', bar });
    for (const [cause, bytes] of Object.entries(measured.causes) as [keyof CausedBytes, number][]) {
      if (bytes > 0) figures.push({ what: `  ${skew.name}: ${cause}`, value: bytes / measured.hostBytes, unit: '×' });
    }
    notes.push(
      `${skew.name}, lap by lap: ${measured.laps.map((lap) => lap.toFixed(2)).join(' ')}; as the device counts it ${measured.seenAmplification.toFixed(2)}; ` +
        `${(100 * measured.usedShare).toFixed(1)} % used in the end (map pages and tables included); ${measured.writesPerSecond.toFixed(0)} writes/s in memory, ${measured.busy} waits at the door.`,
    );
  }
  return {
    job: 'amplification',
    how:
      `a device of ${segments} segments of ${segmentBytes / mib} MiB in memory, live blocks ${100 * liveShare} % of the segments' bytes, written in sequence, then overwritten at random, ` +
      `depth ${depth}: ${settlingLapsMin} to ${settlingLapsMax} times the live data until two such laps differ by less than ${100 * settledShare} %, ${measuredLaps} more measured; ${arcs} arcs, map ${mapBytes / mib} MiB; 90/10: 90 % of the writes to the first 10 % of the blocks`,
    figures,
    notes,
  };
}

async function measureSkew(setting: Setting, segments: number, skew: Skew): Promise<Measured> {
  const flash = new MemoryFlash(1 * mib + segments * segmentBytes);
  await format(flash, segmentBytes);
  const owner = await openStore(flash, arcs, mapBytes);
  const blocks = Math.floor((segments * segmentBytes * liveShare) / blockBytes);
  const random = new Prng(3, skew.name);
  const pool = payloads(16, 1);
  const payload = (i: number): Payload => pool[i % pool.length] as Payload;
  setting.tell(`${skew.name}: filling`);
  await writeMany(owner, { depth, writesMax: blocks, at: (i) => i, payload });
  const laps: number[] = [];
  const lap = async (): Promise<{ seconds: number; busy: number }> => {
    const before = owner.store.health();
    const at = (): number => skew.pick(random, blocks);
    const done = await writeMany(owner, { depth, writesMax: blocks, at, payload });
    laps.push(between(before, owner.store.health()));
    setting.tell(
      `${skew.name}: lap ${laps.length}: ${laps.at(-1)?.toFixed(2)}, ${(blocks / done.seconds).toFixed(0)} writes/s`,
    );
    return done;
  };
  while (laps.length < settlingLapsMin || (laps.length < settlingLapsMax && !isSettled(laps))) await lap();
  const causes = new WriteCauses(owner.superblock);
  flash.observe = causes.observe;
  const before = owner.store.health();
  const writtenBefore = flash.writtenBytes;
  let seconds = 0;
  let busy = 0;
  for (let i = 0; i < measuredLaps; i++) {
    const done = await lap();
    seconds += done.seconds;
    busy += done.busy;
  }
  const after = owner.store.health();
  const hostBytes = measuredLaps * blocks * blockBytes;
  const seenAmplification = (flash.writtenBytes - writtenBefore) / hostBytes;
  await checkSome(owner, blocks);
  await owner.store.close();
  return {
    amplification: between(before, after),
    laps,
    causes: causes.bytes,
    hostBytes,
    seenAmplification,
    writesPerSecond: (measuredLaps * blocks) / seconds,
    busy,
    usedShare: after.usedBytes / after.sizeBytes,
  };
}

function isSettled(laps: readonly number[]): boolean {
  const [before = 0, last = 0] = laps.slice(-2);
  return Math.abs(last - before) < settledShare * last;
}

type Counted = Parameters<typeof writeAmplification>[0];

function between(before: Counted, after: Counted): number {
  return writeAmplification({
    hostBytes: after.hostBytes - before.hostBytes,
    deviceBytes: after.deviceBytes - before.deviceBytes,
  });
}

/** What was cleaned that often is still all there. */
async function checkSome(owner: Owner, blocks: number): Promise<void> {
  const random = new Prng(13);
  const into = new Uint8Array(blockBytes);
  for (let i = 0; i < 10_000; i++) {
    const at = random.below(blocks);
    const page = await owner.space.of(owner.arcOf(at >>> 8)).load(owner.keyOf(at >>> 8));
    const position = page?.positions[at & 255] ?? 0;
    if (position === 0 || page === undefined) throw new Error(`block ${at} is not in the map any more`);
    const read = await owner.store.readBlocks([position], [page.crcs[at & 255] as number], into);
    if (!read.ok) throw new Error(`block ${at}: ${read.code}`);
  }
}
