import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, readlinkSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ClusterId, CoreletId } from '../base/ids.ts';
import {
  type ChassisFile,
  chassisFormatVersion,
  type SlotRecord,
  writeChassis,
  writeFounding,
} from '../chassis/chassis-file.ts';
import { fabricAddress, flashFile, foundingFileName } from '../chassis/layout.ts';
import { firstTakenPort } from '../chassis/ports.ts';
import { findRunning, spawnCorelet } from '../chassis/process.ts';
import { arcCount, type DemoOptions } from './demo-options.ts';
import { CommandFailure } from './failure.ts';
import { checkRaw, formatDevice } from './format.ts';
import { memberOf } from './member.ts';
import { coreletProgram } from './program.ts';

const hexId = (): string => randomBytes(16).toString('hex');

/** Where the slots of a chassis answer. */
function slotAddresses(
  slot: number,
  { nbdPort, iscsiPort, adminPort }: Ports,
): Pick<SlotRecord, 'nbd' | 'iscsi' | 'admin'> {
  const at = (port: number): string => `127.0.0.1:${port + slot}`;
  return { nbd: at(nbdPort), iscsi: at(iscsiPort), admin: `http://${at(adminPort)}` };
}

/** Of slot 0; the others follow. */
type Ports = Pick<ChassisFile, 'nbdPort' | 'iscsiPort' | 'adminPort'>;

/**
 * Before anything is made or started. Running Corelets hold their own ports.
 * @throws CommandFailure PORT_IN_USE, FOLDER_MISMATCH.
 */
export async function checkPorts(dir: string, chassis: ChassisFile | undefined, options: DemoOptions): Promise<void> {
  const running = existsSync(dir) ? findRunning(dir) : new Map<number, number>();
  const { nbdPort, iscsiPort, adminPort } = portsOf(chassis, options);
  const isMoved =
    chassis !== undefined &&
    (nbdPort !== chassis.nbdPort || iscsiPort !== chassis.iscsiPort || adminPort !== chassis.adminPort);
  if (isMoved && running.size > 0) {
    const message = `Corelets of this chassis run at ports ${chassis.nbdPort} (NBD), ${chassis.iscsiPort} (iSCSI) and ${chassis.adminPort} (admin) already`;
    throw new CommandFailure('FOLDER_MISMATCH', message);
  }
  const ports: number[] = [];
  for (let slot = 0; slot < (chassis?.slots.length ?? options.slots); slot++) {
    if (!running.has(slot)) ports.push(nbdPort + slot, iscsiPort + slot, adminPort + slot);
  }
  const taken = await firstTakenPort(ports);
  if (taken !== undefined) throw new CommandFailure('PORT_IN_USE', `port ${taken} on 127.0.0.1 is in use`);
}

function portsOf(chassis: ChassisFile | undefined, options: DemoOptions): Ports {
  const { given } = options;
  return {
    nbdPort: chassis === undefined || given.has('nbd-port') ? options.nbdPort : chassis.nbdPort,
    iscsiPort: chassis === undefined || given.has('iscsi-port') ? options.iscsiPort : chassis.iscsiPort,
    adminPort: chassis === undefined || given.has('admin-port') ? options.adminPort : chassis.adminPort,
  };
}

/** The first start: flash files with one founding record, a Corelet on each, then chassis.json. Interrupted, it begins anew. */
export async function found(dir: string, options: DemoOptions): Promise<ChassisFile> {
  for (const path of options.devices) await checkRaw({ path, overwrite: false });
  writeFounding(dir);
  rmSync(join(dir, 'slots'), { recursive: true, force: true });
  const chassis = newChassis(options);
  const members = chassis.slots.map(({ id, slot, fabric, role }) => memberOf({ id, slot, address: fabric, role }));
  members.sort((a, b) => (a.id < b.id ? -1 : 1));
  const founding = { cluster: chassis.cluster, arcs: chassis.arcs, copies: chassis.copies, members };
  await Promise.all(
    chassis.slots.map(({ slot, id }) => {
      const path = options.devices[slot];
      const raw = path === undefined ? undefined : { path, overwrite: false };
      return formatDevice({ dir, slot, id, sizeBytes: chassis.flashBytes, founding, raw });
    }),
  );
  const program = coreletProgram();
  const started = {
    ...chassis,
    slots: chassis.slots.map((record) => ({ ...record, pid: spawnCorelet(program, dir, record) })),
  };
  writeChassis(dir, started);
  rmSync(join(dir, foundingFileName), { force: true });
  return started;
}

function newChassis(options: DemoOptions): ChassisFile {
  const { slots, spares, copies, flashBytes, nbdPort, iscsiPort, adminPort, volume } = options;
  const records = Array.from({ length: slots }, (_, slot): SlotRecord => {
    const role = slot >= slots - spares ? 'spare' : 'active';
    return {
      slot,
      id: hexId() as CoreletId,
      pid: null,
      ...slotAddresses(slot, options),
      fabric: fabricAddress(slot),
      role,
      pulled: false,
    };
  });
  return {
    formatVersion: chassisFormatVersion,
    cluster: hexId() as ClusterId,
    arcs: arcCount,
    copies,
    flashBytes,
    nbdPort,
    iscsiPort,
    adminPort,
    volume: { ...volume, made: false },
    slots: records,
  };
}

/** @throws CommandFailure FOLDER_MISMATCH when a slot has another device than the one asked for. */
export function devicesAgree(dir: string, { devices }: DemoOptions): void {
  for (const [slot, device] of devices.entries()) {
    const path = join(dir, flashFile(slot));
    const there =
      lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true ? readlinkSync(path) : undefined;
    if (there === resolve(device)) continue;
    const has = there ?? 'a file';
    throw new CommandFailure('FOLDER_MISMATCH', `slot ${slot} of the chassis in this folder has ${has}, not ${device}`);
  }
}

/** A later start: Corelets that still run are adopted, the others started, slots that were pulled stay empty. */
export async function adoptAndStart(dir: string, chassis: ChassisFile, options: DemoOptions): Promise<ChassisFile> {
  const running = findRunning(dir);
  const ports = portsOf(chassis, options);
  const program = coreletProgram();
  const placed = chassis.slots.map((record) => ({
    ...record,
    ...slotAddresses(record.slot, ports),
    pid: null,
  }));
  // Where the others answer must be known before the first one starts.
  writeChassis(dir, { ...chassis, ...ports, slots: placed });
  const slots = placed.map((record): SlotRecord => {
    const pid = running.get(record.slot);
    if (pid !== undefined) return { ...record, pid, pulled: false };
    return record.pulled ? record : { ...record, pid: spawnCorelet(program, dir, record) };
  });
  const started = { ...chassis, ...ports, slots };
  writeChassis(dir, started);
  if (running.size > 0) process.stderr.write(`corelet: adopted ${running.size} running Corelets\n`);
  const empty = slots.filter((record) => record.pulled).map((record) => record.slot);
  if (empty.length > 0)
    process.stderr.write(`corelet: pulled before and still empty: slots ${empty.join(', ')} (corelet slot insert N)\n`);
  return started;
}
