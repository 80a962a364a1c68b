import { dirname, join, resolve } from 'node:path';
import { EventLog } from '../admin/events.ts';
import type { AdminSource } from '../admin/routes.ts';
import type { SessionAnswer } from '../admin/types.ts';
import { type AdminServer, listenAdmin } from '../admin/server.ts';
import { type CoreletId, isHexId } from '../base/ids.ts';
import { readChassis, type SlotRecord } from '../chassis/chassis-file.ts';
import { eventsFile } from '../chassis/layout.ts';
import { seedsFor } from '../chassis/process.ts';
import { startCorelet } from '../corelet/corelet.ts';
import { ownerOf } from '../corelet/device.ts';
import { iscsiDoor, nbdDoor } from '../corelet/doors.ts';
import type { CoreletHandle, CoreletOptions } from '../corelet/types.ts';
import { createClock } from '../platform/clock.ts';
import { LoopTurns } from '../platform/loop-turns.ts';
import { createFabric, type SocketFabric } from '../platform/fabric.ts';
import { openFlashFile } from '../platform/flash-file.ts';
import { listenTarget, type TargetListener } from '../platform/target-listener.ts';
import { systemHashes } from '../platform/hashes.ts';
import { collectAtRest } from '../platform/memory.ts';
import { createRandom } from '../platform/random.ts';
import { watchSensors } from '../platform/sensors.ts';
import { SlowedFlash } from '../platform/slowed-flash.ts';
import type { Clock } from '../ports/clock.ts';
import type { EventRecord } from '../ports/events.ts';
import type { Flash } from '../ports/flash.ts';
import { hostPort, type Invocation, integer, integerOption, size, usage } from './command.ts';
import { refusedDevice, unownedDevice } from './device-failure.ts';
import { HardwareWatch } from './hardware-watch.ts';
import { memberOf } from './member.ts';
import { type HostPort, openNvme } from './nvme-doors.ts';
import { programVersion } from './version.ts';

/** A stop that takes longer than this ends the process without it: what was acknowledged is durable anyway. */
const stopLimitMs = 8_000;
/** The others have agreed on a view without this Corelet within this, or they are not there. */
const leaveLimitMs = 500;
const mapBytesMin = 1024 * 1024;

interface RunOptions {
  readonly device: string;
  readonly slot: number;
  readonly fabric: string;
  readonly nbd: HostPort;
  readonly iscsi: HostPort | undefined;
  readonly nvme: HostPort | undefined;
  readonly nvmeDiscovery: HostPort | undefined;
  readonly admin: HostPort;
  readonly role: 'active' | 'spare';
  readonly weight: number;
  readonly zone: string | undefined;
  readonly mapBytes: number | undefined;
  /** The chassis's data folder, when it is known. */
  readonly dir: string | undefined;
  readonly seeds: CoreletOptions['seeds'];
}

/** One Corelet, until it is told to stop (0) or fails (1). */
export async function run(invocation: Invocation): Promise<number> {
  const options = runOptions(invocation);
  log(`starting on ${options.device}, slot ${options.slot}, process ${process.pid}`);
  const events = new EventLog(eventsBeside(options), Date.now);
  const stopped = stopSignal();
  try {
    return await serve(options, events, stopped);
  } finally {
    events.closeSync();
  }
}

/** Beside the device's name, unless that is the system's folder of devices; undefined: events are kept in memory only. */
function eventsBeside({ device, dir, slot }: RunOptions): string | undefined {
  const folder = dirname(resolve(device));
  if (folder !== '/dev' && !folder.startsWith('/dev/')) return join(folder, 'events.jsonl');
  return dir === undefined ? undefined : join(dir, eventsFile(slot));
}

async function serve(options: RunOptions, events: EventLog, stopped: Promise<string>): Promise<number> {
  const hardware = new HardwareWatch(options.dir, options.slot, events);
  const flash = new SlowedFlash(await openDevice(options.device), hardware.slowness);
  const clock = createClock();
  const { corelet, fabric } = await start(options, flash, clock, events, hardware);
  const doors = await openDoors(options, corelet, fabric, clock, events);
  log(
    `serving as ${corelet.id}: NBD ${options.nbd.host}:${options.nbd.port}, admin ${options.admin.host}:${options.admin.port}`,
  );
  const end = await Promise.race([stopped, hardware.brownOut, corelet.failed]);
  if (end instanceof Error) {
    // A process that no longer knows its state must not answer anybody: no goodbye.
    events.record({
      kind: 'corelet.failed',
      slot: options.slot,
      corelet: corelet.id,
      text: `The Corelet in slot ${options.slot} stopped: ${end.message}`,
    });
    log(`failed: ${end.stack ?? end.message}`);
    events.closeSync();
    process.exit(1);
  }
  log(`stopping (${end})`);
  setTimeout(() => process.exit(0), stopLimitMs).unref();
  // First of all: the others act on it while this process still hands over.
  await corelet.leave(leaveLimitMs);
  await doors.close();
  await corelet.stop();
  events.closeSync();
  log('stopped');
  process.exit(0);
}

interface Started {
  readonly corelet: CoreletHandle;
  readonly fabric: SocketFabric;
}

async function start(
  options: RunOptions,
  flash: Flash,
  clock: Clock,
  events: EventLog,
  hardware: HardwareWatch,
): Promise<Started> {
  const owner = await ownerOf(flash);
  if (!owner.ok) throw unownedDevice(options.device, owner.code, owner.message);
  const { cluster, id } = owner;
  const { slot, role, weight, fabric: address } = options;
  const random = createRandom();
  const fabric = createFabric({
    self: { cluster, id, incarnation: newIncarnation(random.u32()) },
    listen: address,
    clock,
    random,
    events,
  });
  const self = memberOf({
    id,
    slot,
    address,
    role,
    weight,
    ...(options.zone === undefined ? {} : { zone: options.zone }),
  });
  collectAtRest(clock, random);
  const { readings } = watchSensors(options.device);
  const { mapBytes } = options;
  const corelet = await startCorelet(
    { clock, random, flash, fabric, events, sensors: () => hardware.readings(readings()) },
    { self, seeds: seedsOf(options, id), ...(mapBytes === undefined ? {} : { mapBytes }) },
  );
  return { corelet, fabric };
}

/** Grows from start to start: milliseconds since 1970, then 12 random bits so that no two starts share one. */
function newIncarnation(randomBits: number): number {
  return Date.now() * 4096 + (randomBits & 0xfff);
}

function seedsOf({ seeds, dir }: RunOptions, id: CoreletId): CoreletOptions['seeds'] {
  const read = dir === undefined ? undefined : readChassis(dir);
  return read?.ok === true ? [...seeds, ...seedsFor(read.chassis, id)] : seeds;
}

function sessionAnswer(protocol: string, session: ReturnType<IscsiTarget['sessions']>[number]): SessionAnswer {
  const { volume, initiator, isid, remoteAddress, localAddress, sinceWallMs, commands, parameters } = session;
  const ends = { from: remoteAddress, to: localAddress };
  const host = { volume: volume ?? null, host: initiator, session: isid };
  return { protocol, ...host, ...ends, sinceWallMs, commands, negotiated: { ...parameters } };
}

type IscsiTarget = ReturnType<typeof iscsiDoor>;
type AdminPeers = ReturnType<AdminSource['peers']>;

interface Doors {
  close(): Promise<void>;
}

async function openDoors(
  options: RunOptions,
  corelet: CoreletHandle,
  fabric: SocketFabric,
  clock: Clock,
  events: EventLog,
): Promise<Doors> {
  const { nbd, iscsi, admin, dir } = options;
  const turns = new LoopTurns();
  const onStalled = (turnMs: number, connections: number): void => events.record(stallTold(turnMs, connections));
  const watched = { clock, turns, onStalled };
  const doors: TargetListener[] = [await listenTarget({ ...nbd, ...watched, openSession: nbdDoor(corelet, clock) })];
  const slots = (): readonly SlotRecord[] => {
    const read = dir === undefined ? undefined : readChassis(dir);
    return read?.ok === true ? read.chassis.slots : [];
  };
  const peers = (): AdminPeers =>
    slots().map(({ slot, admin, nbd, iscsi, nvme }) => ({ slot, admin, nbd, iscsi, nvme }));
  const sessions: (() => readonly SessionAnswer[])[] = [];
  if (iscsi !== undefined) {
    const portals = () => slots().flatMap(({ slot, iscsi: address, pulled }) => (pulled ? [] : [{ slot, address }]));
    const target = iscsiDoor(corelet, { clock, random: createRandom(), hashes: systemHashes, portals });
    sessions.push(() => target.sessions().map((session) => sessionAnswer('iscsi', session)));
    doors.push(await listenTarget({ ...iscsi, ...watched, openSession: (output) => target.open(output) }));
  }
  const { nvme, nvmeDiscovery, slot } = options;
  if (nvme !== undefined) {
    const door = await openNvme({ slot, nvme, nvmeDiscovery, corelet, watched, slots });
    sessions.push(door.sessions);
    doors.push(...door.listeners);
  }
  const api: AdminServer = await listenAdmin(
    {
      corelet,
      events,
      fabric: fabric.counts,
      turns,
      version: programVersion(),
      peers,
      sessions: () => sessions.flatMap((told) => told()),
    },
    admin,
  );
  return {
    async close() {
      await Promise.all([...doors.map((door) => door.close()), api.close()]);
    },
  };
}

/** Why hosts lost their connections: without it they would blame the network. */
function stallTold(turnMs: number, connections: number): Omit<EventRecord, 'atWallMs'> {
  const whose = connections === 1 ? "a host's connection" : `${connections} connections of hosts`;
  const text = `This Corelet stood still for ${(turnMs / 1000).toFixed(1)} s and closed ${whose}: what waited in them may have been done elsewhere since. Hosts connect again. Look for programs that take its processor, or memory that is swapped out.`;
  return { kind: 'host.connections-closed', text };
}

async function openDevice(path: string): Promise<Flash> {
  const opened = await openFlashFile(path);
  if (!opened.ok) throw refusedDevice(opened);
  return opened.flash;
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => resolve(name));
  });
}

/** One line an event, for the slot's log. */
function log(text: string): void {
  process.stderr.write(`${new Date().toISOString()} ${text}\n`);
}

function runOptions(invocation: Invocation): RunOptions {
  const needed = (name: string): string => {
    const text = invocation.text(name);
    if (text === undefined) throw usage(invocation.spec, `--${name} is missing`);
    return text;
  };
  const role = invocation.text('role') ?? 'active';
  if (role !== 'active' && role !== 'spare')
    throw usage(invocation.spec, `--role must be active or spare, not '${role}'`);
  const chassis = invocation.text('chassis');
  const optional = (name: string): HostPort | undefined => {
    const text = invocation.text(name);
    return text === undefined ? undefined : hostPort(invocation, name, text);
  };
  return {
    device: needed('device'),
    slot: integer(invocation, '--slot', needed('slot'), { min: 0, max: 65_535 }),
    fabric: needed('fabric'),
    nbd: hostPort(invocation, 'nbd', needed('nbd')),
    iscsi: optional('iscsi'),
    nvme: optional('nvme'),
    nvmeDiscovery: optional('nvme-discovery'),
    admin: hostPort(invocation, 'admin', needed('admin')),
    role,
    weight: integerOption(invocation, 'weight', { min: 1, max: 1000, otherwise: 1 }),
    zone: invocation.text('zone'),
    mapBytes: mapMemory(invocation),
    dir: chassis === undefined ? undefined : dirname(chassis),
    seeds: invocation.texts('seed').map((seed) => parseSeed(invocation, seed)),
  };
}

function mapMemory(invocation: Invocation): number | undefined {
  const text = invocation.text('map-memory');
  if (text === undefined) return undefined;
  const bytes = size('--map-memory', text);
  if (bytes < mapBytesMin) throw usage(invocation.spec, `--map-memory must be 1MiB or more, not ${text}`);
  return bytes;
}

function parseSeed(invocation: Invocation, seed: string): CoreletOptions['seeds'][number] {
  const [id, address] = [seed.slice(0, 32), seed.slice(33)];
  if (!isHexId(id) || seed[32] !== '@' || address === '')
    throw usage(invocation.spec, `--seed must be ID@ADDRESS, not '${seed}'`);
  return { id: id as CoreletId, address };
}
