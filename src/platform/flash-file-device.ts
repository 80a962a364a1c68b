import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

/** A block device's number, as the kernel names its folder: `MAJOR:MINOR`. `device`: of `stat`, st_dev or st_rdev. */
export function deviceNumber(device: number): string {
  // makedev(3): 12 bits of the major number and 8 of the minor one below, the rest of each above.
  const all = BigInt(device);
  const major = ((all >> 8n) & 0xfffn) | ((all >> 32n) & ~0xfffn);
  const minor = (all & 0xffn) | ((all >> 12n) & ~0xffn & 0xffffffffn);
  return `${major}:${minor}`;
}

/** What sysfs says under `path`, trimmed; undefined where it says nothing. */
export function readSysfs(...path: readonly string[]): string | undefined {
  try {
    return readFileSync(join(...path), 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** The kernel's folder of a block device: `/sys/dev/block/MAJOR:MINOR`, links followed. Undefined: there is none. */
export function blockFolder(device: number, sysfs = '/sys'): string | undefined {
  try {
    return realpathSync(join(sysfs, 'dev/block', deviceNumber(device)));
  } catch {
    return undefined;
  }
}

/** The folder of the whole disk that a partition is part of; that of any other device itself. */
export function diskFolder(folder: string): string {
  return readSysfs(folder, 'partition') === undefined ? folder : join(folder, '..');
}

export interface BlockDeviceShape {
  readonly sizeBytes: number;
  /** The least that the device reads or writes at once. */
  readonly logicalBlockBytes: number;
}

const sysfsSectorBytes = 512; // whatever the device's own unit is

/** Size and unit of a block device, without reading it. Undefined: sysfs doesn't know it. */
export function blockDeviceShape(device: number, sysfs = '/sys'): BlockDeviceShape | undefined {
  const folder = blockFolder(device, sysfs);
  if (folder === undefined) return undefined;
  const sectors = Number(readSysfs(folder, 'size'));
  const logicalBlockBytes = Number(readSysfs(diskFolder(folder), 'queue/logical_block_size'));
  if (!Number.isSafeInteger(sectors) || !(logicalBlockBytes > 0)) return undefined;
  return { sizeBytes: sectors * sysfsSectorBytes, logicalBlockBytes };
}

/** Who has a block device that can't be had alone, in words: `is mounted at /home`. For people; the kernel is who refuses. */
export function whoHolds(device: number, sysfs = '/sys', proc = '/proc'): string {
  const folder = blockFolder(device, sysfs);
  const parts = folder === undefined ? [] : [folder, ...partitionsOf(folder)];
  for (const part of parts) {
    const number = readSysfs(part, 'dev');
    const name = part === folder ? '' : ` (its partition ${part.slice(part.lastIndexOf('/') + 1)})`;
    const mounted = number === undefined ? undefined : mountPoint(number, proc);
    if (mounted !== undefined) return `is mounted at ${mounted}${name}`;
    if (isSwap(part, proc)) return `is swap space${name}`;
    const holders = listFolder(join(part, 'holders'));
    if (holders.length > 0) return `is part of ${holders.join(', ')}${name}`;
  }
  return 'is in use by another process';
}

function partitionsOf(folder: string): string[] {
  return listFolder(folder)
    .map((name) => join(folder, name))
    .filter((path) => readSysfs(path, 'partition') !== undefined);
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** proc(5): the third field of mountinfo is the device's number, the fifth the mount point with octal escapes. */
function mountPoint(number: string, proc: string): string | undefined {
  for (const line of (readSysfs(proc, 'self/mountinfo') ?? '').split('\n')) {
    const fields = line.split(' ');
    if (fields[2] !== number) continue;
    return (fields[4] ?? '').replace(/\\(\d{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
  }
  return undefined;
}

function isSwap(folder: string, proc: string): boolean {
  const name = folder.slice(folder.lastIndexOf('/') + 1);
  const lines = (readSysfs(proc, 'swaps') ?? '').split('\n').slice(1);
  return lines.some((line) => line.split(/\s/)[0] === `/dev/${name}`);
}
