import { mkdirSync, openSync, closeSync, fsyncSync, readFileSync, readdirSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type ClusterId, type CoreletId, isHexId } from '../base/ids.ts';
import { chassisFileName, foundingFileName } from './layout.ts';

/** Raised when the data folder's layout changes; other versions are refused, never converted by accident. */
export const chassisFormatVersion = 2;
/** Slots of one chassis. */
export const slotsMax = 64;

/** One slot of the chassis, and the module that sits in it or sat there last. */
export interface SlotRecord {
  readonly slot: number;
  readonly id: CoreletId;
  /** null: no process, the slot is empty. */
  readonly pid: number | null;
  /** `HOST:PORT`. */
  readonly nbd: string;
  /** `HOST:PORT`. */
  readonly iscsi: string;
  /** `HOST:PORT`, for volumes and for discovery. */
  readonly nvme: string;
  readonly nvmeDiscovery: string;
  /** `http://HOST:PORT`. */
  readonly admin: string;
  readonly fabric: string;
  readonly role: 'active' | 'spare';
  /** Drawn on purpose: stays empty until `slot insert`. */
  readonly pulled: boolean;
}

/** chassis.json. */
export interface ChassisFile {
  readonly formatVersion: number;
  readonly cluster: ClusterId;
  readonly arcs: number;
  readonly copies: number;
  readonly flashBytes: number;
  readonly nbdPort: number;
  readonly iscsiPort: number;
  readonly nvmePort: number;
  readonly nvmeDiscoveryPort: number;
  readonly adminPort: number;
  /** The volume that the first start was asked for; `made` once it exists, so that a deleted one isn't made again. */
  readonly volume: { readonly name: string; readonly sizeBytes: number; readonly made: boolean };
  readonly slots: readonly SlotRecord[];
}

export type ChassisRead =
  | { readonly ok: true; readonly chassis: ChassisFile }
  | {
      readonly ok: false;
      readonly code: 'ABSENT' | 'FOUNDING' | 'FOREIGN' | 'VERSION' | 'DAMAGED';
      readonly message: string;
    };

/** `ABSENT`: nothing there or an empty folder. `FOUNDING`: a first start was interrupted. `FOREIGN`: something else is kept there. */
export function readChassis(dir: string): ChassisRead {
  let text: string;
  try {
    text = readFileSync(join(dir, chassisFileName), 'utf8');
  } catch (error) {
    return withoutFile(dir, error as NodeJS.ErrnoException);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, code: 'DAMAGED', message: `${join(dir, chassisFileName)} is not JSON` };
  }
  return check(dir, value);
}

function withoutFile(dir: string, error: NodeJS.ErrnoException): ChassisRead {
  if (error.code !== 'ENOENT') {
    const what =
      error.code === 'ENOTDIR'
        ? `${dir} is not a folder`
        : `${join(dir, chassisFileName)} can't be read (${error.code ?? error.message})`;
    return { ok: false, code: 'FOREIGN', message: what };
  }
  const names = listFolder(dir);
  if (names === undefined || names.length === 0) return { ok: false, code: 'ABSENT', message: `no chassis in ${dir}` };
  if (names.includes(foundingFileName))
    return { ok: false, code: 'FOUNDING', message: `the first start of the chassis in ${dir} did not finish` };
  return { ok: false, code: 'FOREIGN', message: `${dir} is not empty and holds no ${chassisFileName}` };
}

function listFolder(dir: string): string[] | undefined {
  try {
    return readdirSync(dir);
  } catch {
    return undefined;
  }
}

function check(dir: string, value: unknown): ChassisRead {
  const file = join(dir, chassisFileName);
  if (!isObject(value) || !Array.isArray(value['slots']))
    return { ok: false, code: 'FOREIGN', message: `${file} describes no chassis` };
  if (value['formatVersion'] !== chassisFormatVersion) {
    const message = `${file} has format version ${String(value['formatVersion'])}; this program reads ${chassisFormatVersion}`;
    return { ok: false, code: 'VERSION', message };
  }
  if (!isChassis(value)) return { ok: false, code: 'DAMAGED', message: `${file} lacks fields or has wrong ones` };
  return { ok: true, chassis: value };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function isChassis(value: unknown): value is ChassisFile {
  if (!isObject(value)) return false;
  const { cluster, slots, volume } = value;
  if (typeof cluster !== 'string' || !isHexId(cluster)) return false;
  const counts = ['arcs', 'copies', 'flashBytes', 'nbdPort', 'iscsiPort', 'nvmePort', 'nvmeDiscoveryPort', 'adminPort'];
  for (const name of counts) if (!isCount(value[name])) return false;
  if (!isObject(volume) || typeof volume['name'] !== 'string' || !isCount(volume['sizeBytes'])) return false;
  return Array.isArray(slots) && slots.length > 0 && slots.length <= slotsMax && slots.every(isSlot);
}

function isSlot(value: unknown, index: number): value is SlotRecord {
  if (!isObject(value) || value['slot'] !== index) return false;
  const { id, pid, nbd, iscsi, nvme, nvmeDiscovery, admin, fabric, role, pulled } = value;
  if (typeof id !== 'string' || !isHexId(id) || (pid !== null && !isCount(pid))) return false;
  if (typeof nbd !== 'string' || typeof iscsi !== 'string') return false;
  if (typeof nvme !== 'string' || typeof nvmeDiscovery !== 'string') return false;
  if (typeof admin !== 'string' || typeof fabric !== 'string') return false;
  return (role === 'active' || role === 'spare') && typeof pulled === 'boolean';
}

/** Replaces chassis.json at once: readers see the old one or the new one, whole, whatever dies in between. */
export function writeChassis(dir: string, chassis: ChassisFile): void {
  replaceFile(join(dir, chassisFileName), `${JSON.stringify(chassis, undefined, 2)}\n`);
}

/** Marks a first start as under way. */
export function writeFounding(dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  replaceFile(join(dir, foundingFileName), `${JSON.stringify({ formatVersion: chassisFormatVersion })}\n`);
}

/** Whole or as it was, whatever happens meanwhile. */
export function replaceFile(path: string, text: string): void {
  const fresh = `${path}.new`;
  const file = openSync(fresh, 'w', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(fresh, path);
}

/** The chassis with one slot's record changed. */
export function withSlot(chassis: ChassisFile, slot: number, change: Partial<SlotRecord>): ChassisFile {
  return {
    ...chassis,
    slots: chassis.slots.map((record) => (record.slot === slot ? { ...record, ...change } : record)),
  };
}
