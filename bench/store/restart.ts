import { rmSync, writeFileSync } from 'node:fs';
import { median } from '../jobs.ts';
import { askChild, runChild } from './children.ts';
import type { Figure, JobReport } from './figures.ts';
import { format } from './owner.ts';
import { entryBlocksMax, type Filled, type Restarted } from './restart-tasks.ts';
import { arcs, gib, mapBytes, mib, needSpace, openDevice, pathIn, repetitions, type Setting } from './setting.ts';

const blockBytes = 4096;
const secondsMax = 2;

/** Empties the system's cache of files (proc(5): drop_caches). False where that isn't permitted. */
function dropCaches(): boolean {
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '1');
    return true;
  } catch {
    return false;
  }
}

export async function measureRestart(setting: Setting): Promise<JobReport> {
  const writtenGib = setting.quick ? 1 : 10;
  const deviceBytes = writtenGib * 1.6 * gib;
  needSpace(setting, deviceBytes);
  const path = pathIn(setting, 'store.flash');
  const volumeBlocks = (writtenGib * gib * 1.1) / blockBytes;
  const flash = await openDevice(path, deviceBytes);
  await format(flash);
  await flash.close();
  let filled: Filled = { entries: 0, bytes: 0 };
  let nextTell = gib;
  const startedMs = performance.now();
  await runChild({ task: 'fill', path, volumeBlocks }, (value) => {
    filled = value as Filled;
    if (filled.bytes >= nextTell) {
      setting.tell(`${nextTell / gib} GiB written`);
      nextTell += gib;
    }
    return filled.bytes >= writtenGib * gib ? 'kill' : 'go on';
  });
  const fillSeconds = (performance.now() - startedMs) / 1000;
  const runs: Record<'warm' | 'cold', Restarted[]> = { warm: [], cold: [] };
  const notes: string[] = [];
  for (const cache of ['warm', 'cold'] as const) {
    for (let i = 0; i < repetitions; i++) {
      if (cache === 'cold' && !dropCaches()) {
        notes.push('No figures with a cold cache: it takes root to empty it.');
        break;
      }
      runs[cache].push(await askChild<Restarted>({ task: 'restart', path, volumeBlocks }));
    }
  }
  rmSync(path);
  const first = runs.warm[0] as Restarted;
  const missing = filled.entries - first.entries;
  notes.push(
    `${filled.entries} entries had been told durable, ${first.entries} were found${missing > 0 ? `: ${missing} LOST` : ''}; ` +
      `${first.records} records replayed behind checkpoint ${first.checkpoint}, of them ${first.replayedEntries} entries with ${(first.replayedBytes / mib).toFixed(0)} MiB; ` +
      `${first.lost} lost batches; 5,000 blocks read back; written at ${(filled.bytes / 1e6 / fillSeconds).toFixed(0)} MB/s.`,
  );
  return {
    job: 'restart',
    how:
      `a process wrote ${writtenGib} GiB over ${(volumeBlocks * blockBytes) / gib} GiB in entries of 4 to ${entryBlocksMax * 4} KiB (1 to ${entryBlocksMax} blocks, equally often) at random places, depth 64, ` +
      `and was killed (SIGKILL) in mid-write; device ${deviceBytes / gib} GiB, ${arcs} arcs, map ${mapBytes / mib} MiB; then opened ${repetitions} times by fresh processes, medians; from opening the file to the first read's answer`,
    figures: [...figuresOf('warm', runs.warm), ...figuresOf('cold', runs.cold)],
    notes,
  };
}

function figuresOf(cache: string, runs: readonly Restarted[]): Figure[] {
  if (runs.length === 0) return [];
  const of = (what: string, value: (run: Restarted) => number, bar?: Figure['bar']): Figure => {
    const seconds = runs.map((run) => value(run) / 1000);
    return {
      what: `${what}, ${cache} cache`,
      value: median(seconds),
      unit: 's',
      runs: seconds,
      ...(bar === undefined ? {} : { bar }),
    };
  };
  return [
    of('serving again', ({ servingMs }) => servingMs, { sense: 'at most', value: secondsMax }),
    of('  of that, until open and attached', ({ openMs }) => openMs),
    of("  with the start of Node's process", ({ processMs }) => processMs),
  ];
}
