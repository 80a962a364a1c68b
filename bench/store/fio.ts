import { spawnSync } from 'node:child_process';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { Prng } from '../../src/base/prng.ts';

const mib = 1024 * 1024;

export interface FioFigures {
  readonly iops: number;
  readonly bytesPerSecond: number;
}

/** fio's version, or undefined when it isn't on this machine. */
export function fioVersion(): string | undefined {
  const found = spawnSync('fio', ['--version'], { encoding: 'utf8' });
  return found.status === 0 ? found.stdout.trim() : undefined;
}

/** Writes the whole file, durably: overwriting it then changes no metadata. */
export async function writeWholeFile(path: string, sizeBytes: number): Promise<void> {
  const file = await open(path, constants.O_CREAT | constants.O_RDWR | constants.O_TRUNC, 0o600);
  try {
    const piece = new Prng(7).bytes(mib);
    for (let at = 0; at < sizeBytes; at += mib) await file.write(piece, 0, Math.min(mib, sizeBytes - at), at);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** The yardstick of small writes: as `fio` is told to in the shell. */
export const smallWrites = [
  '--ioengine=libaio',
  '--direct=1',
  '--sync=dsync',
  '--rw=randwrite',
  '--bs=4k',
  '--iodepth=16',
];
/** The yardstick of large ones: into the system's cache, and a sync after each. */
export const largeWrites = ['--ioengine=psync', '--rw=write', '--bs=1m', '--fdatasync=1'];

/**
 * Runs fio on a file that was written whole. Nothing else of this process runs meanwhile: the store at rest beside it
 * neither cleans nor writes checkpoints.
 */
export function runFio(path: string, sizeBytes: number, seconds: number, shape: readonly string[]): FioFigures {
  const file = [`--filename=${path}`, `--size=${sizeBytes}`, '--overwrite=1', '--fallocate=none'];
  const random = ['--norandommap=1', '--randrepeat=0'];
  const end = [`--runtime=${seconds}`, '--time_based', '--output-format=json'];
  const words = ['--name=yardstick', ...file, ...random, ...end, ...shape];
  const finished = spawnSync('fio', words, { encoding: 'utf8', maxBuffer: 64 * mib });
  if (finished.status !== 0) throw new Error(`fio: ${finished.error?.message ?? finished.stderr}`);
  const text = finished.stdout;
  const report = JSON.parse(text.slice(text.indexOf('{'))) as {
    readonly jobs: readonly { readonly write: { readonly iops: number; readonly bw_bytes: number } }[];
  };
  const write = report.jobs[0]?.write;
  if (write === undefined) throw new Error(`fio told of no job: ${text}`);
  return { iops: write.iops, bytesPerSecond: write.bw_bytes };
}
