import { rmSync } from 'node:fs';
import { Prng } from '../../src/base/prng.ts';
import type { Flash } from '../../src/ports/flash.ts';
import { median } from '../jobs.ts';
import type { JobReport } from './figures.ts';
import { writeMany } from './load.ts';
import { format, openStore, type Owner } from './owner.ts';
import { type Payload, payloads } from './payloads.ts';
import { arcs, gib, mapBytes, mib, openDevice, pathIn, repetitions, type Setting } from './setting.ts';

const blockBytes = 4096;
const depth = 16;

/** Reads of single blocks, `depth` at a time, as an arc's leader makes them. Returns reads per second. */
async function readMany(count: number, one: (into: Uint8Array) => Promise<void>): Promise<number> {
  let begun = 0;
  const startedMs = performance.now();
  const reader = async (): Promise<void> => {
    const into = new Uint8Array(blockBytes);
    while (begun < count) {
      begun++;
      await one(into);
    }
  };
  await Promise.all(Array.from({ length: depth }, reader));
  return count / ((performance.now() - startedMs) / 1000);
}

async function readBlock(owner: Owner, at: number, into: Uint8Array): Promise<void> {
  const chunk = at >>> 8;
  const loaded = owner.space.of(owner.arcOf(chunk)).load(owner.keyOf(chunk));
  const page = loaded instanceof Promise ? await loaded : loaded;
  if (page === undefined) throw new Error(`block ${at} is not in the map`);
  const block = at & 255;
  const read = await owner.store.readBlocks([page.positions[block] as number], [page.crcs[block] as number], into);
  if (!read.ok) throw new Error(`block ${at}: ${read.code}`);
}

export async function measureReads(setting: Setting): Promise<JobReport> {
  const bytes = setting.quick ? 64 * mib : 512 * mib;
  const blocks = bytes / blockBytes;
  const count = setting.quick ? 100_000 : 1_000_000;
  const path = pathIn(setting, 'store.flash');
  const flash: Flash = await openDevice(path, 2 * gib);
  await format(flash);
  const owner = await openStore(flash, arcs, mapBytes);
  const random = new Prng(11);
  const ours: number[] = [];
  const bare: number[] = [];
  try {
    const pool = payloads(64, 1);
    const payload = (i: number): Payload => pool[i % pool.length] as Payload;
    setting.tell('writing what is read: in sequence, then a quarter again at random');
    await writeMany(owner, { depth: 256, writesMax: blocks, at: (i) => i, payload });
    await writeMany(owner, { depth: 256, writesMax: blocks / 4, at: () => random.below(blocks), payload });
    await readMany(count / 4, (into) => readBlock(owner, random.below(blocks), into));
    for (let i = 1; i <= repetitions; i++) {
      setting.tell(`run ${i} of ${repetitions}`);
      ours.push(await readMany(count, (into) => readBlock(owner, random.below(blocks), into)));
      // Without the store: what the Flash port alone takes, in the same order of places.
      bare.push(await readMany(count, (into) => flash.read(2 * mib + random.below(blocks) * blockBytes, into)));
    }
  } finally {
    await owner.store.close();
    rmSync(path, { force: true });
  }
  return {
    job: 'reads',
    how: `cached 4 KiB reads: ${count} random blocks of ${bytes / mib} MiB, depth ${depth}, ${repetitions} runs, medians; map.load and readBlocks, CRC verified; map page in memory, file in the system's cache; ${arcs} arcs`,
    figures: [
      {
        what: 'cached 4 KiB reads, depth 16',
        value: median(ours),
        unit: '/s',
        runs: ours,
        bar: { sense: 'at least', value: 100_000 },
      },
      { what: 'Flash.read alone, depth 16', value: median(bare), unit: '/s', runs: bare },
    ],
    notes: [],
  };
}
