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

/** Of slot 0; the others follow. With the option that gives it, and what it is for. */
const portOptions = {
  nbdPort: ['nbd-port', 'NBD'],
  iscsiPort: ['iscsi-port', 'iSCSI'],
  nvmePort: ['nvme-port', 'NVMe/TCP'],
  nvmeDiscoveryPort: ['nvme-discovery-port', 'NVMe/TCP discovery'],
  adminPort: ['admin-port', 'admin'],
} as const;
type PortName = keyof typeof portOptions;
type Ports = Pick<ChassisFile, PortName>;
const portNames = Object.keys(portOptions) as PortName[];

/** Where the slots of a chassis answer. */
function slotAddresses(
  slot: number,
  ports: Ports,
): Pick<SlotRecord, 'nbd' | 'iscsi' | 'nvme' | 'nvmeDiscovery' | 'admin'> {
  const at = (port: number): string => `127.0.0.1:${port + slot}`;
  return {
    nbd: at(ports.nbdPort),
    iscsi: at(ports.iscsiPort),
    nvme: at(ports.nvmePort),
    nvmeDiscovery: at(ports.nvmeDiscoveryPort),
    admin: `http://${at(ports.adminPort)}`,
  };
}

/**
 * Before anything is made or started. Running Corelets hold their own ports.
 * @throws CommandFailure PORT_IN_USE, FOLDER_MISMATCH.
 */
export async function checkPorts(dir: string, chassis: ChassisFile | undefined, options: DemoOptions): Promise<void> {
  const running = existsSync(dir) ? findRunning(dir) : new Map<number, number>();
  const ports = portsOf(chassis, options);
  if (chassis !== undefined && running.size > 0 && portNames.some((name) => ports[name] !== chassis[name])) {
    const used = portNames.map((name) => `${chassis[name]} (${portOptions[name][1]})`).join(', ');
    throw new CommandFailure('FOLDER_MISMATCH', `Corelets of this chassis run at ports ${used} already`);
  }
  const wanted: number[] = [];
  for (let slot = 0; slot < (chassis?.slots.length ?? options.slots); slot++) {
    if (!running.has(slot)) wanted.push(...portNames.map((name) => ports[name] + slot));
  }
  const taken = await firstTakenPort(wanted);
  if (taken !== undefined) throw new CommandFailure('PORT_IN_USE', `port ${taken} on 127.0.0.1 is in use`);
}

function portsOf(chassis: ChassisFile | undefined, options: DemoOptions): Ports {
  const portOf = (name: PortName): number =>
    chassis === undefined || options.given.has(portOptions[name][0]) ? options[name] : chassis[name];
  return {
    nbdPort: portOf('nbdPort'),
    iscsiPort: portOf('iscsiPort'),
    nvmePort: portOf('nvmePort'),
    nvmeDiscoveryPort: portOf('nvmeDiscoveryPort'),
    adminPort: portOf('adminPort'),
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
  const { slots, spares, copies, flashBytes, volume } = options;
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
    ...portsOf(undefined, options),
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
