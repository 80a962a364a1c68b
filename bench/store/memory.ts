import { rmSync } from 'node:fs';
import { slackBytes } from '../../src/store/map-space.ts';
import { askChild } from './children.ts';
import type { Figure, JobReport } from './figures.ts';
import type { BlocksWritten, Memory, TableFilled } from './memory-tasks.ts';
import { format } from './owner.ts';
import { arcs, gib, mapBytes, mib, needSpace, openDevice, pathIn, type Setting } from './setting.ts';

const blockBytes = 4096;
const deviceBytes = 64 * gib;
/** What a volume on that device may have: the rest is the reserve, and the cleaner's. */
const volumeBytes = 56 * gib;
/** Of a table of 16 million chunks. */
const tableMegabytesMax = 600;
const tableMost: Figure['bar'] = { sense: 'at most', value: tableMegabytesMax };
/** Above this, new data waits; reads don't. */
const overloaded: Figure['bar'] = { sense: 'at most', value: (mapBytes + slackBytes) / 1e6 };
const writtenTwice = 2.5;

export async function measureMemory(setting: Setting): Promise<JobReport> {
  const writes = setting.quick ? 50_000 : 1_000_000;
  const chunks = (setting.quick ? 1 : 16) * 1024 * 1024;
  needSpace(setting, writtenTwice * writes * blockBytes);
  const path = pathIn(setting, 'store.flash');
  const flash = await openDevice(path, deviceBytes);
  await format(flash);
  await flash.close();
  setting.tell(`${writes} random blocks over a file of ${deviceBytes / gib} GiB`);
  const written = await askChild<BlocksWritten>({
    task: 'blocks',
    path,
    volumeBlocks: volumeBytes / blockBytes,
    writes,
  });
  rmSync(path);
  setting.tell(`a chunk table of ${chunks} chunks`);
  const filled = await askChild<TableFilled>({ task: 'table', chunks });
  return {
    job: 'memory',
    how:
      `each in a process of its own, after a collection. Blocks: a sparse file of ${deviceBytes / gib} GiB, ${writes} random 4 KiB blocks over a volume of ${volumeBytes / gib} GiB, ${arcs} arcs, depth 64, map setting ${mapBytes / mib} MiB. ` +
      `Table: one block in each of ${chunks} chunks (${chunks / mib} TiB) by ArcMap.set, ${arcs} arcs, volumes of 1 TiB, pages evicted to a device that keeps nothing, map setting ${mapBytes / mib} MiB. MB are 10^6 bytes`,
    figures: [...blocksFigures(written), ...tableFigures(filled)],
    notes: [
      `Blocks: ${written.blocks} mapped in ${written.chunks} chunks, ${written.writesPerSecond.toFixed(0)} writes/s, ${written.busy} waits at the door, ${written.amplification.toFixed(2)} bytes written per byte; ${written.readBack} read back and verified.`,
      `Table: ${filled.chunks} chunks in ${filled.groups} groups, ${(filled.tableBytes / filled.chunks).toFixed(1)} bytes a chunk in tables, ${((offHeap(filled) + grown(filled, 'heapUsed')) / filled.chunks).toFixed(1)} in all; ${filled.seconds.toFixed(0)} s.`,
    ],
  };
}

type Grown = { readonly before: Memory; readonly after: Memory };

function grown({ before, after }: Grown, of: keyof Memory): number {
  return after[of] - before[of];
}

/** Memory outside of the JavaScript heap; `arrayBuffers` is a part of `external` (Node's process.memoryUsage). */
function offHeap(of: Grown): number {
  return grown(of, 'external');
}

/** What the allocator took from the system and didn't give back counts here too. */
function offHeapResident(of: Grown): number {
  return grown(of, 'rss') - grown(of, 'heapTotal');
}

function megabytes(what: string, bytes: number, bar?: Figure['bar']): Figure {
  return { what, value: bytes / 1e6, unit: 'MB', ...(bar === undefined ? {} : { bar }) };
}

function blocksFigures(written: BlocksWritten): Figure[] {
  return [
    megabytes('blocks: map, at its highest while writing', written.mapBytesMax, overloaded),
    megabytes('blocks: map, at its highest while reading back', written.mapBytesMaxReading),
    megabytes('blocks: map, in the end', written.mapBytes, { sense: 'at most', value: mapBytes / 1e6 }),
    megabytes('blocks: chunk tables', written.tableBytes),
    megabytes('blocks: RSS in the end', written.after.rss),
    megabytes('blocks: RSS at its highest', written.rssMax),
    megabytes('blocks: RSS of the empty process', written.before.rss),
    megabytes('blocks: JavaScript heap', written.after.heapUsed),
    megabytes('blocks: array buffers', written.after.arrayBuffers),
  ];
}

function tableFigures(filled: TableFilled): Figure[] {
  return [
    megabytes('table: off the JavaScript heap, map pages included', offHeap(filled), tableMost),
    megabytes('table: the same by RSS, less what the heap took', offHeapResident(filled), tableMost),
    megabytes('table: array buffers', grown(filled, 'arrayBuffers')),
    megabytes('table: of that, chunk tables as the store counts them', filled.tableBytes),
    megabytes('table: map pages and changes', filled.mapBytes),
    megabytes('table: JavaScript heap, used', grown(filled, 'heapUsed')),
    megabytes('table: JavaScript heap, taken', grown(filled, 'heapTotal')),
    megabytes('table: RSS in the end', filled.after.rss),
    megabytes('table: RSS at its highest', filled.rssMax),
  ];
}
