import { type FioJob, type FioResult, runFio } from '../test/interop/fio.ts';
import { cpuMicros } from '../test/interop/processes.ts';
import type { StoreKind, StoreUnderTest } from './store-under-test.ts';

const kib = 1024;
const mib = 1024 * kib;

interface JobShape {
  readonly name: string;
  readonly rw: FioJob['rw'];
  readonly blockSizeBytes: number;
  readonly queueDepth: number;
}

/** Only jobs of blocks up to this size are many enough for a warm-up to matter. */
const smallBytesMax = 64 * kib;

/** In this order, so that every read finds data that was written. */
export const jobShapes: readonly JobShape[] = [
  { name: '1 MiB sequential write', rw: 'write', blockSizeBytes: mib, queueDepth: 4 },
  { name: '1 MiB sequential read', rw: 'read', blockSizeBytes: mib, queueDepth: 4 },
  { name: '4 KiB random write', rw: 'randwrite', blockSizeBytes: 4 * kib, queueDepth: 1 },
  { name: '4 KiB random read', rw: 'randread', blockSizeBytes: 4 * kib, queueDepth: 1 },
  { name: '4 KiB random write', rw: 'randwrite', blockSizeBytes: 4 * kib, queueDepth: 16 },
  { name: '4 KiB random read', rw: 'randread', blockSizeBytes: 4 * kib, queueDepth: 16 },
];

/** What one job told in one repetition, or the median of several. */
export interface Figures {
  readonly iops: number;
  readonly megabytesPerSecond: number;
  readonly p99Ms: number;
  readonly longestMs: number;
  /** Of all processes of the store, per I/O of the host. */
  readonly cpuMicrosPerIo: number;
}

export interface JobReport extends JobShape, Figures {
  /** The host's IOPS in each repetition, for the spread. */
  readonly iopsEach: readonly number[];
}

export interface StoreReport {
  readonly store: string;
  readonly version: string;
  readonly jobs: readonly JobReport[];
  /** Of each process at rest, in bytes: median over repetitions. */
  readonly residentBytes: readonly number[];
}

export interface Plan {
  readonly seconds: number;
  /** How long each job of small blocks runs before it is counted. */
  readonly warmUpSeconds: number;
  readonly repetitions: number;
  readonly volumeBytes: number;
  /** A job ends after this many bytes even before its time: the log isn't cleaned yet, so a device can fill. */
  readonly jobBytesMax: number;
}

/** Measures each store `repetitions` times in turn, so that a machine that changes its mind touches all of them. */
export async function measure(
  kinds: readonly StoreKind[],
  plan: Plan,
  tell: (line: string) => void,
): Promise<StoreReport[]> {
  const runs = kinds.map((): { figures: Figures[]; residentBytes: readonly number[] }[] => []);
  for (let repetition = 1; repetition <= plan.repetitions; repetition++) {
    for (const [i, kind] of kinds.entries()) {
      tell(`${kind.name}: repetition ${repetition} of ${plan.repetitions}`);
      const store = await kind.start(plan.volumeBytes);
      try {
        const figures: Figures[] = [];
        for (const shape of jobShapes) {
          // A fresh process compiles what it does often, and then compiles it better: tens of thousands of small I/Os long.
          if (shape.blockSizeBytes <= smallBytesMax && plan.warmUpSeconds > 0) {
            await measureJob(store, shape, { ...plan, seconds: plan.warmUpSeconds });
          }
          figures.push(await measureJob(store, shape, plan));
        }
        runs[i]?.push({ figures, residentBytes: store.residentBytes });
      } finally {
        await store.stop();
      }
    }
  }
  return kinds.map((kind, i) => {
    const mine = runs[i] ?? [];
    return {
      store: kind.name,
      version: kind.version,
      jobs: jobShapes.map((shape, job) =>
        medianOf(
          shape,
          mine.map(({ figures }) => figures[job] as Figures),
        ),
      ),
      residentBytes: (mine[0]?.residentBytes ?? []).map((_, pid) =>
        median(mine.map((run) => run.residentBytes[pid] ?? 0)),
      ),
    };
  });
}

async function measureJob(store: StoreUnderTest, shape: JobShape, plan: Plan): Promise<Figures> {
  const { rw, blockSizeBytes, queueDepth } = shape;
  const writes = rw === 'write' || rw === 'randwrite';
  const cpuBefore = cpuMicros(store.pids);
  const result: FioResult = await runFio({
    uri: store.uri,
    rw,
    blockSizeBytes,
    queueDepth,
    sizeBytes: plan.volumeBytes,
    seconds: plan.seconds,
    ...(writes ? { bytesMax: plan.jobBytesMax } : {}),
  });
  if (result.errors > 0 || result.ios === 0)
    throw new Error(`${shape.name}: fio saw ${result.errors} errors, ${result.ios} I/Os`);
  return {
    iops: result.iops,
    megabytesPerSecond: result.megabytesPerSecond,
    p99Ms: result.p99Ms,
    longestMs: result.longestMs,
    cpuMicrosPerIo: (cpuMicros(store.pids) - cpuBefore) / result.ios,
  };
}

function medianOf(shape: JobShape, runs: readonly Figures[]): JobReport {
  const of = (figure: keyof Figures) => median(runs.map((run) => run[figure]));
  return {
    ...shape,
    iops: of('iops'),
    megabytesPerSecond: of('megabytesPerSecond'),
    p99Ms: of('p99Ms'),
    longestMs: Math.max(...runs.map(({ longestMs }) => longestMs)),
    cpuMicrosPerIo: of('cpuMicrosPerIo'),
    iopsEach: runs.map(({ iops }) => iops),
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
