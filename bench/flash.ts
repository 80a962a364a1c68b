// node bench/flash.ts [FOLDER] [BLOCK-DEVICE]: what a durable write costs, by how it is made and where it goes.
// FOLDER (default: the system's for temporary files): a file of 256 MiB is made there, and deleted. BLOCK-DEVICE: its
// first 256 MiB are OVERWRITTEN; it must hold zeros there. Figures are medians over the rounds, in microseconds.
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';

const mebibyte = 1024 * 1024;
const spaceBytes = 256 * mebibyte;
const rounds = 7;
const sizes = [4096, 8192, 65_536, mebibyte] as const;
/** Bytes per round and size, and at least and at most so many writes. */
const roundBytes = 32 * mebibyte;
const writesMin = 32;
const writesMax = 300;

const { O_RDWR, O_DSYNC, O_DIRECT } = constants;

interface Way {
  readonly name: string;
  readonly flags: number;
  readonly sync: boolean;
  /** Whether the payload is copied into page-aligned memory first: bytes from a socket lie anywhere. */
  readonly copies: boolean;
}
const ways: readonly Way[] = [
  { name: 'write + fdatasync', flags: O_RDWR, sync: true, copies: false },
  { name: 'O_DSYNC', flags: O_RDWR | O_DSYNC, sync: false, copies: false },
  { name: 'O_DIRECT|O_DSYNC, aligned', flags: O_RDWR | O_DSYNC | O_DIRECT, sync: false, copies: false },
  { name: 'O_DIRECT|O_DSYNC, copied', flags: O_RDWR | O_DSYNC | O_DIRECT, sync: false, copies: true },
];

declare const WebAssembly: { readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer } };
/** Pages of a WebAssembly memory begin at pages of the machine: the one way to aligned memory without an addon. */
const aligned = new Uint8Array(new WebAssembly.Memory({ initial: mebibyte / 65_536 }).buffer);
const payload = new Uint8Array(mebibyte + 16).subarray(16).map((_, i) => (i * 31 + (i >>> 8)) & 255);

type Samples = Map<string, number[]>;

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Writes one after the other, as the log does, from the start of the space. @returns µs per write, median. */
function measure(path: string, way: Way, sizeBytes: number): number | string {
  let descriptor: number;
  try {
    descriptor = openSync(path, way.flags);
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
  const direct = (way.flags & O_DIRECT) !== 0;
  const bytes = (direct ? aligned : payload).subarray(0, sizeBytes);
  const source = payload.subarray(0, sizeBytes);
  aligned.set(payload.subarray(0, mebibyte));
  const count = Math.min(writesMax, Math.max(writesMin, roundBytes / sizeBytes));
  const took: number[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const began = performance.now();
      if (way.copies) bytes.set(source);
      writeSync(descriptor, bytes, 0, sizeBytes, i * sizeBytes);
      if (way.sync) fdatasyncSync(descriptor);
      took.push((performance.now() - began) * 1000);
    }
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  } finally {
    closeSync(descriptor);
  }
  return median(took);
}

type Space = 'sparse' | 'fallocate(1)' | 'zeros written';

/** A fresh file for every measurement: space counts as new only once. False: this machine can't. */
function makeFile(path: string, space: Space): boolean {
  rmSync(path, { force: true });
  const descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    ftruncateSync(descriptor, spaceBytes);
    if (space === 'fallocate(1)' && spawnSync('fallocate', ['-l', String(spaceBytes), path]).status !== 0) return false;
    if (space === 'zeros written') {
      const zeros = new Uint8Array(mebibyte);
      for (let at = 0; at < 64 * mebibyte; at += mebibyte) writeSync(descriptor, zeros, 0, mebibyte, at);
    }
    fsyncSync(descriptor);
    return true;
  } finally {
    closeSync(descriptor);
  }
}

function add(samples: Samples, key: string, value: number | string, complaints: Map<string, string>): void {
  if (typeof value === 'string') complaints.set(key, value);
  else samples.set(key, [...(samples.get(key) ?? []), value]);
}

function print(title: string, samples: Samples, complaints: ReadonlyMap<string, string>): void {
  const heads = sizes.map((size) => (size < mebibyte ? `${size / 1024} KiB` : '1 MiB').padStart(9)).join('');
  process.stdout.write(`\n${title.padEnd(30)}${heads}\n`);
  for (const { name } of ways) {
    const cells = sizes.map((size) => {
      const key = `${title} ${name} ${size}`;
      const values = samples.get(key);
      return (values === undefined ? (complaints.get(key) ?? '–') : median(values).toFixed(0)).padStart(9);
    });
    process.stdout.write(`  ${name.padEnd(28)}${cells.join('')}\n`);
  }
}

/** @throws when anything but zeros is in the way: this overwrites. */
function mustBeBlank(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    if (!fstatSync(descriptor).isBlockDevice()) throw new Error(`${path} is no block device`);
    const bytes = new Uint8Array(mebibyte);
    for (let at = 0; at < spaceBytes; at += mebibyte) {
      const count = readSync(descriptor, bytes, 0, mebibyte, at);
      if (count < mebibyte) throw new Error(`${path} has less than ${spaceBytes} bytes`);
      if (bytes.some((byte) => byte !== 0)) throw new Error(`${path} holds data; nothing was written`);
    }
  } finally {
    closeSync(descriptor);
  }
}

function main(folder: string, device: string | undefined): void {
  if (device !== undefined) mustBeBlank(device);
  const dir = mkdtempSync(join(folder, 'bench-flash-'));
  const file = join(dir, 'flash');
  const samples: Samples = new Map();
  const complaints = new Map<string, string>();
  const spaces: Space[] = (['sparse', 'fallocate(1)', 'zeros written'] as const).filter((s) => makeFile(file, s));
  try {
    for (let round = 0; round < rounds; round++) {
      for (const space of spaces) {
        for (const way of ways) {
          for (const size of sizes) {
            makeFile(file, space);
            add(samples, `file, ${space} ${way.name} ${size}`, measure(file, way, size), complaints);
          }
        }
      }
      if (device === undefined) continue;
      for (const way of ways) {
        for (const size of sizes) {
          add(samples, `block device ${way.name} ${size}`, measure(device, way, size), complaints);
        }
      }
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
  process.stdout.write(`Node ${process.version}, ${cpus().length} CPUs, ${[folder, device ?? ''].join(' ')}\n`);
  process.stdout.write(`one write at a time, ${rounds} rounds in turn; median µs until durable\n`);
  for (const space of spaces) print(`file, ${space}`, samples, complaints);
  if (device !== undefined) print('block device', samples, complaints);
}

main(process.argv[2] ?? tmpdir(), process.argv[3]);
