import { rmSync } from 'node:fs';
import { Prng } from '../../src/base/prng.ts';
import { median } from '../jobs.ts';
import type { Figure, JobReport } from './figures.ts';
import { largeWrites, runFio, smallWrites, writeWholeFile } from './fio.ts';
import { type LoadResult, writeLap, writeMany } from './load.ts';
import { format, openStore, type Owner } from './owner.ts';
import { type Payload, payloads } from './payloads.ts';
import { gib, mapBytes, mib, needSpace, openDevice, pathIn, repetitions, type Setting } from './setting.ts';

const blockBytes = 4096;
const noFio = 'fio is not on this machine: no yardstick, only our own figures (Debian: apt-get install fio, as root).';

interface Shape {
  readonly deviceBytes: number;
  readonly seconds: number;
}

function shapeOf(setting: Setting): Shape {
  return setting.quick ? { deviceBytes: 1 * gib, seconds: 2 } : { deviceBytes: 8 * gib, seconds: 10 };
}

const conditions = (shape: Shape): string =>
  `a file of ${shape.deviceBytes / gib} GiB each for the store and for fio, both written whole before, the store's log once ` +
  `round its device; in turn, ${repetitions} times ${shape.seconds} s each, medians; segments as by default, map ${mapBytes / mib} MiB, one arc, applied when durable`;

/** Runs of the store and of fio in turn, so that a machine that changes its mind touches both. */
async function alternate(
  setting: Setting,
  shape: Shape,
  run: (owner: Owner) => Promise<number>,
  yardstick: (path: string) => number,
  before?: (owner: Owner) => Promise<void>,
): Promise<{ readonly ours: number[]; readonly theirs: number[]; readonly health: readonly string[] }> {
  needSpace(setting, 2.1 * shape.deviceBytes);
  const path = pathIn(setting, 'store.flash');
  const other = pathIn(setting, 'yardstick.file');
  const ours: number[] = [];
  const theirs: number[] = [];
  setting.tell('writing both files whole');
  await writeWholeFile(path, shape.deviceBytes);
  if (setting.fio !== undefined) await writeWholeFile(other, shape.deviceBytes);
  const flash = await openDevice(path);
  await format(flash);
  const owner = await openStore(flash, 1, mapBytes);
  try {
    await before?.(owner);
    setting.tell('the log once round the device');
    await writeLap(owner, shape.deviceBytes, payloads(2, 256));
    const from = owner.store.health();
    for (let i = 1; i <= repetitions; i++) {
      setting.tell(`run ${i} of ${repetitions}`);
      ours.push(await run(owner));
      if (setting.fio !== undefined) theirs.push(yardstick(other));
    }
    const to = owner.store.health();
    const amplification = (to.deviceBytes - from.deviceBytes) / (to.hostBytes - from.hostBytes);
    const share = (100 * to.usedBytes) / to.sizeBytes;
    return {
      ours,
      theirs,
      health: [
        `In these runs the device got ${amplification.toFixed(2)} times the bytes written (heads, map pages, cleaning); at the end ${share.toFixed(0)} % of it was live.`,
        `The newest syncs took ${to.syncMsP50.toFixed(2)} ms (median), ${to.syncMsP99.toFixed(2)} ms (99 %), ${to.syncMsMax.toFixed(1)} ms at most.`,
      ],
    };
  } finally {
    await owner.store.close();
    rmSync(path, { force: true });
    rmSync(other, { force: true });
  }
}

function compared(what: string, unit: string, ours: number[], theirs: number[], fio: string, bar: number): Figure[] {
  const figures: Figure[] = [{ what, value: median(ours), unit, runs: ours }];
  if (theirs.length === 0) return figures;
  figures.push({ what: fio, value: median(theirs), unit, runs: theirs });
  const ratio = (100 * median(ours)) / median(theirs);
  figures.push({ what: 'the store, of fio', value: ratio, unit: '%', bar: { sense: 'at least', value: bar } });
  return figures;
}

export async function measureWrites(setting: Setting): Promise<JobReport> {
  const shape = shapeOf(setting);
  const blocks = Math.floor(shape.deviceBytes / 2 / blockBytes);
  const random = new Prng(9);
  const pool = payloads(64, 1);
  const run = async (owner: Owner): Promise<number> => {
    const { writes, seconds } = await writeMany(owner, {
      depth: 16,
      writesMax: Number.POSITIVE_INFINITY,
      secondsMax: shape.seconds,
      at: () => random.below(blocks),
      payload: (i) => pool[i % pool.length] as Payload,
    });
    return writes / seconds;
  };
  let fresh = 0;
  const { ours, theirs, health } = await alternate(
    setting,
    shape,
    run,
    (path) => runFio(path, shape.deviceBytes, shape.seconds, smallWrites).iops,
    async (owner) => {
      setting.tell('a device never used before');
      fresh = await run(owner);
    },
  );
  return {
    job: 'writes',
    how: `4 KiB random durable writes over ${blocks} blocks, depth 16; ${conditions(shape)}; fio ${smallWrites.join(' ')}`,
    figures: [
      ...compared('4 KiB random durable writes, depth 16', '/s', ours, theirs, 'fio', 60),
      { what: 'the same into segments never used before (one run)', value: fresh, unit: '/s' },
    ],
    notes: setting.fio === undefined ? [noFio, ...health] : health,
  };
}

export async function measureAppends(setting: Setting): Promise<JobReport> {
  const shape = shapeOf(setting);
  const chunks = shape.deviceBytes / 4 / mib;
  const pool = payloads(8, 256);
  const alone: number[] = [];
  let at = 0;
  const append = (owner: Owner, depth: number): Promise<LoadResult> =>
    writeMany(owner, {
      depth,
      writesMax: Number.POSITIVE_INFINITY,
      secondsMax: shape.seconds,
      at: () => (at++ % chunks) * 256,
      payload: (i) => pool[i % pool.length] as Payload,
    });
  const megabytesPerSecond = ({ writes, seconds }: LoadResult): number => (writes * mib) / 1e6 / seconds;
  const depth = 8;
  const { ours, theirs, health } = await alternate(
    setting,
    shape,
    async (owner) => {
      alone.push(megabytesPerSecond(await append(owner, 1)));
      return megabytesPerSecond(await append(owner, depth));
    },
    (path) => runFio(path, shape.deviceBytes, shape.seconds, largeWrites).bytesPerSecond / 1e6,
  );
  return {
    job: 'appends',
    how: `entries of 1 MiB (256 blocks, CRCs given), in sequence over ${chunks} chunks, round and round; ${conditions(shape)}; fio ${largeWrites.join(' ')}`,
    figures: [
      ...compared(`1 MiB appends, depth ${depth}`, 'MB/s', ours, theirs, 'fio', 80),
      { what: '1 MiB appends, depth 1 (as fio has it)', value: median(alone), unit: 'MB/s', runs: alone },
    ],
    notes: setting.fio === undefined ? [noFio, ...health] : health,
  };
}
