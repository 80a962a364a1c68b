import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './commands.ts';

/** One job of fio's nbd engine against one export. */
export interface FioJob {
  readonly uri: string;
  readonly rw: 'randwrite' | 'randread' | 'write' | 'read';
  readonly blockSizeBytes: number;
  readonly queueDepth: number;
  /** Bytes of the export that are touched, from its beginning. */
  readonly sizeBytes: number;
  /** 0: until every byte was touched once. */
  readonly seconds: number;
  /** Read back and checked while it runs, a batch of blocks behind the writes. */
  readonly verify?: boolean;
  /** Bytes after which it ends even before its time. */
  readonly bytesMax?: number;
}

/** Latencies in milliseconds; `p99Ms` and `longestMs` of whole I/Os as fio saw them. */
export interface FioResult {
  readonly ios: number;
  readonly errors: number;
  readonly seconds: number;
  readonly iops: number;
  readonly megabytesPerSecond: number;
  readonly p99Ms: number;
  readonly longestMs: number;
}

interface FioDirection {
  readonly total_ios: number;
  readonly iops: number;
  readonly bw_bytes: number;
  readonly runtime: number;
  readonly lat_ns: { readonly max: number };
  readonly clat_ns: { readonly percentile?: Readonly<Record<string, number>> };
}

interface FioOutput {
  readonly 'fio version': string;
  readonly jobs: readonly {
    readonly error: number;
    readonly read: FioDirection;
    readonly write: FioDirection;
  }[];
}

function argumentsOf(job: FioJob, output: string): string[] {
  const timed = job.seconds > 0 ? ['--time_based', `--runtime=${job.seconds}`] : [];
  const limited = job.bytesMax === undefined ? [] : [`--io_size=${job.bytesMax}`];
  const verified = job.verify
    ? ['--verify=crc32c', '--verify_backlog=1024', '--verify_fatal=1', '--norandommap=0', '--serialize_overlap=1']
    : ['--norandommap=1'];
  return [
    '--name=job',
    '--ioengine=nbd',
    `--uri=${job.uri}`,
    `--rw=${job.rw}`,
    `--bs=${job.blockSizeBytes}`,
    `--iodepth=${job.queueDepth}`,
    `--size=${job.sizeBytes}`,
    '--output-format=json',
    `--output=${output}`,
    '--percentile_list=50:99:99.9',
    // The same blocks in the same order at every run, so that two stores are asked the same.
    '--randrepeat=1',
    ...timed,
    ...limited,
    ...verified,
  ];
}

/** Rejects when fio fails, with what it said. */
export async function runFio(job: FioJob): Promise<FioResult> {
  const folder = mkdtempSync(join(tmpdir(), 'corelet-fio-'));
  try {
    const output = join(folder, 'fio.json');
    const args = argumentsOf(job, output);
    const finished = await run('fio', args, { cwd: folder, limitMs: (job.seconds + 240) * 1000 });
    if (finished.code !== 0) {
      throw new Error(`fio ${args.join(' ')}: exit code ${finished.code}\n${finished.stdout}${finished.stderr}`);
    }
    return resultOf(readFileSync(output, 'utf8'), job);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** fio writes notes before its JSON where it has any. */
function resultOf(text: string, job: FioJob): FioResult {
  const output = JSON.parse(text.slice(text.indexOf('{'))) as FioOutput;
  const [first] = output.jobs;
  if (first === undefined) throw new Error(`fio told of no job: ${text}`);
  const main = job.rw.endsWith('read') ? first.read : first.write;
  return {
    ios: main.total_ios,
    errors: first.error,
    seconds: main.runtime / 1000,
    iops: main.iops,
    megabytesPerSecond: main.bw_bytes / 1e6,
    p99Ms: (main.clat_ns.percentile?.['99.000000'] ?? 0) / 1e6,
    longestMs: Math.max(first.read.lat_ns.max, first.write.lat_ns.max) / 1e6,
  };
}
