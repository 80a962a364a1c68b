import { Prng } from '../../src/base/prng.ts';
import { writeMany } from './load.ts';
import { openStore, type Owner } from './owner.ts';
import { type Payload, payloads } from './payloads.ts';
import { arcs, mapBytes, openDevice } from './setting.ts';

const blockBytes = 4096;
export const entryBlocksMax = 16;
/** Acknowledgements between two lines to whoever listens. */
const writesPerLine = 256;

/** What the filling process says: so much was acknowledged, in so many entries. */
export interface Filled {
  readonly entries: number;
  readonly bytes: number;
}

/** What a restart took, from the first call on, in milliseconds. */
export interface Restarted {
  /** Until the store is open and attached. */
  readonly openMs: number;
  /** Until the first read was answered. */
  readonly servingMs: number;
  /** Since the process began, Node's own start included. */
  readonly processMs: number;
  /** Entries known, all arcs. */
  readonly entries: number;
  readonly records: number;
  /** Of them, hosts' entries, and how much data those hold. */
  readonly replayedEntries: number;
  readonly replayedBytes: number;
  readonly checkpoint: number;
  readonly lost: number;
}

/** Entries of 4 to 64 KiB at random places, one after the other, until someone ends this process. */
export async function fillUntilKilled(
  path: string,
  volumeBlocks: number,
  say: (filled: Filled) => void,
): Promise<void> {
  const owner = await openStore(await openDevice(path), arcs, mapBytes);
  const random = new Prng(17);
  const pools = Array.from({ length: entryBlocksMax }, (_, i) => payloads(4, i + 1));
  const sizes = new Uint8Array(4096).map(() => 1 + random.below(entryBlocksMax));
  const sizeOf = (i: number): number => sizes[i % sizes.length] as number;
  let entries = 0;
  let bytes = 0;
  await writeMany(owner, {
    depth: 64,
    writesMax: Number.POSITIVE_INFINITY,
    at: (i) => {
      const at = random.below(volumeBlocks);
      return Math.min(at, (at | 255) + 1 - sizeOf(i)); // within its chunk
    },
    payload: (i) => (pools[sizeOf(i) - 1] as readonly Payload[])[i % 4] as Payload,
    acknowledged: (i) => {
      entries++;
      bytes += sizeOf(i) * blockBytes;
      if (entries % writesPerLine === 0) say({ entries, bytes });
    },
  });
}

/** Opens what a killed process left, and reads. */
export async function restartOnce(path: string, volumeBlocks: number): Promise<Restarted> {
  const startedMs = performance.now();
  const owner = await openStore(await openDevice(path), arcs, mapBytes);
  const openMs = performance.now() - startedMs;
  await readSome(owner, volumeBlocks, 1);
  const servingMs = performance.now() - startedMs;
  const processMs = performance.now();
  await readSome(owner, volumeBlocks, 5_000);
  const { entries, replayedEntries, replayedBytes } = owner;
  const { records, checkpoint, lost } = owner.store.recovery;
  await owner.store.close();
  const replayed = { records, replayedEntries, replayedBytes, checkpoint, lost: lost.length };
  return { openMs, servingMs, processMs, entries, ...replayed };
}

/** `count` reads of blocks that hold data. @throws when one is bad */
async function readSome(owner: Owner, volumeBlocks: number, count: number): Promise<void> {
  const random = new Prng(19);
  const into = new Uint8Array(blockBytes);
  for (let good = 0; good < count; ) {
    const at = random.below(volumeBlocks);
    const page = await owner.space.of(owner.arcOf(at >>> 8)).load(owner.keyOf(at >>> 8));
    const position = page?.positions[at & 255] ?? 0;
    if (page === undefined || position === 0) continue;
    const read = await owner.store.readBlocks([position], [page.crcs[at & 255] as number], into);
    if (!read.ok) throw new Error(`block ${at}: ${read.code}`);
    good++;
  }
}
