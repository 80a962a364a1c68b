import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CoreletId } from '../base/ids.ts';
import { type ChassisFile, readChassis, type SlotRecord, withSlot, writeChassis } from './chassis-file.ts';
import { eventsFile, fabricSocket, flashFile, shelvedFlashFile } from './layout.ts';
import { acquireLock } from './lock.ts';
import { firstTakenPort } from './ports.ts';
import { type CoreletProgram, findRunning, signal, spawnCorelet, waitUntil } from './process.ts';

export type SlotErrorCode =
  | 'NO_CHASSIS'
  | 'FOLDER_BUSY'
  | 'SLOT_NOT_FOUND'
  | 'SLOT_EMPTY'
  | 'SLOT_TAKEN'
  | 'PORT_IN_USE'
  | 'FAILED';
export type SlotResult =
  | { readonly ok: true; readonly record: SlotRecord }
  | { readonly ok: false; readonly code: SlotErrorCode; readonly message: string };

/** Others hold the change lock while they start a whole chassis. */
const lockWaitMs = 15_000;
const killWaitMs = 5_000;

type SlotChange = (chassis: ChassisFile, record: SlotRecord, pid: number | undefined) => Promise<SlotResult>;

/** Runs `change` on a slot with the change lock held and what really runs there looked up. */
async function changeSlot(dir: string, slot: number, change: SlotChange): Promise<SlotResult> {
  const found = readChassis(dir);
  if (!found.ok) return { ok: false, code: 'NO_CHASSIS', message: found.message };
  const lock = await acquireLock(dir, 'change', lockWaitMs);
  if (lock === undefined)
    return { ok: false, code: 'FOLDER_BUSY', message: `another command is changing the chassis in ${dir}` };
  try {
    const current = readChassis(dir);
    if (!current.ok) return { ok: false, code: 'NO_CHASSIS', message: current.message };
    const record = current.chassis.slots[slot];
    if (record === undefined) {
      const message = `there is no slot ${slot}; this chassis has slots 0 to ${current.chassis.slots.length - 1}`;
      return { ok: false, code: 'SLOT_NOT_FOUND', message };
    }
    return await change(current.chassis, record, findRunning(dir).get(slot));
  } finally {
    lock.release();
  }
}

function finish(dir: string, chassis: ChassisFile, slot: number, change: Partial<SlotRecord>): SlotResult {
  const changed = withSlot(chassis, slot, change);
  writeChassis(dir, changed);
  return { ok: true, record: changed.slots[slot] as SlotRecord };
}

/** What `pullSlot` or `insertSlot` would refuse, without doing anything. */
export function checkSlot(dir: string, slot: number, want: 'taken' | 'empty'): SlotResult {
  const found = readChassis(dir);
  if (!found.ok) return { ok: false, code: 'NO_CHASSIS', message: found.message };
  const record = found.chassis.slots[slot];
  if (record === undefined) {
    const message = `there is no slot ${slot}; this chassis has slots 0 to ${found.chassis.slots.length - 1}`;
    return { ok: false, code: 'SLOT_NOT_FOUND', message };
  }
  return checkPresence(record, findRunning(dir).get(slot), want) ?? { ok: true, record };
}

function checkPresence(record: SlotRecord, pid: number | undefined, want: 'taken' | 'empty'): SlotResult | undefined {
  if (want === 'taken' && pid === undefined)
    return { ok: false, code: 'SLOT_EMPTY', message: `slot ${record.slot} is empty` };
  if (want === 'empty' && pid !== undefined)
    return { ok: false, code: 'SLOT_TAKEN', message: `slot ${record.slot} holds a running Corelet (process ${pid})` };
  return undefined;
}

/** Draws the module out of its slot: no warning to it, no goodbye from it. The slot stays empty until `insertSlot`. */
export function pullSlot(dir: string, slot: number): Promise<SlotResult> {
  return changeSlot(dir, slot, async (chassis, record, pid) => {
    const refused = checkPresence(record, pid, 'taken');
    if (refused !== undefined || pid === undefined)
      return refused ?? { ok: false, code: 'SLOT_EMPTY', message: `slot ${slot} is empty` };
    signal(pid, 'SIGKILL');
    if (!(await waitUntil(() => findRunning(dir).get(slot) === undefined, killWaitMs))) {
      return { ok: false, code: 'FAILED', message: `process ${pid} of slot ${slot} did not end` };
    }
    rmSync(join(dir, fabricSocket(slot)), { force: true });
    return finish(dir, chassis, slot, { pid: null, pulled: true });
  });
}

/** A blank module for the slot: a new id on a new flash file, made by `format`. */
export interface BlankModule {
  readonly id: CoreletId;
  /** Deletes the old module's flash; else it is put aside under its id, as a module that was drawn out. */
  readonly discardOld: boolean;
  format(chassis: ChassisFile, record: SlotRecord): Promise<void>;
}

/** Puts the same module back, or `blank` in its place, and starts it. */
export function insertSlot(
  dir: string,
  slot: number,
  program: CoreletProgram,
  blank?: BlankModule,
): Promise<SlotResult> {
  return changeSlot(dir, slot, async (chassis, record, pid) => {
    const refused = checkPresence(record, pid, 'empty');
    if (refused !== undefined) return refused;
    const { nbd, iscsi, nvme, nvmeDiscovery, admin } = record;
    const ports = [nbd, iscsi, nvme, nvmeDiscovery, admin].map((address) =>
      Number(address.slice(address.lastIndexOf(':') + 1)),
    );
    const taken = await firstTakenPort(ports);
    if (taken !== undefined)
      return { ok: false, code: 'PORT_IN_USE', message: `port ${taken} of slot ${slot} is in use by another program` };
    if (blank !== undefined) await replaceModule(dir, chassis, record, blank);
    const fresh = blank === undefined ? record : { ...record, id: blank.id };
    return finish(dir, chassis, slot, { id: fresh.id, pid: spawnAfter(dir, chassis, fresh, program), pulled: false });
  });
}

async function replaceModule(dir: string, chassis: ChassisFile, record: SlotRecord, blank: BlankModule): Promise<void> {
  const old = join(dir, flashFile(record.slot));
  if (blank.discardOld) rmSync(old, { force: true });
  else if (existsSync(old)) renameSync(old, join(dir, shelvedFlashFile(record.slot, record.id)));
  rmSync(join(dir, eventsFile(record.slot)), { force: true });
  await blank.format(chassis, { ...record, id: blank.id });
}

/** chassis.json names the new module before it starts: it reads its seeds there. */
function spawnAfter(dir: string, chassis: ChassisFile, record: SlotRecord, program: CoreletProgram): number {
  writeChassis(dir, withSlot(chassis, record.slot, { id: record.id, pulled: false }));
  return spawnCorelet(program, dir, record);
}
