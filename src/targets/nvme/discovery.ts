import { discoveryNqn } from '../../wire/nvme/codes.ts';
import {
  addressFamilies,
  discoveryEntry,
  discoveryHeader,
  subsystemTypes,
  transports,
} from '../../wire/nvme/logs.ts';
import { newController } from '../../wire/nvme/fabrics.ts';
import { discoveryRecordsMax } from './limits.ts';
import { nqnOf } from './names.ts';
import type { NvmeWorld, Portal } from './world.ts';

/** What is told is at most this old: a log is read in many pieces, and asking all arcs for each would be dear. */
const freshMs = 1000;
/** Volumes come and go seldom: hosts that wait for news are told within this. */
const changesMs = 5000;
/** No transport-specific security. */
const noSecurity = new Uint8Array(256);
const flowControlOptional = 4;
/** The same from every Corelet; connections may stay for news. */
const flags = { duplicate: 1, persistent: 2 } as const;
const adminQueueEntries = 32;

interface Told {
  readonly key: string;
  readonly generation: number;
  readonly bytes: Uint8Array;
  readonly atMs: number;
}

/** The discovery log: every volume through every Corelet. Its generation counts changes as seen from here. */
export class DiscoveryLog {
  readonly #world: NvmeWorld;
  readonly #told = new Map<string, Told>();
  #generation = 0;
  #lastKey: string | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #isLooking = false;

  constructor(world: NvmeWorld) {
    this.#world = world;
  }

  /** `localAddress`: where the host reached us. */
  async read(localAddress: string): Promise<Uint8Array> {
    const told = this.#told.get(localAddress);
    const now = this.#world.clock.nowMs();
    if (told !== undefined && now - told.atMs < freshMs) return told.bytes;
    const portals = this.#world.portals(localAddress);
    const volumes = (await this.#world.catalog.list()).map(({ name }) => name).sort();
    // A list that can't be made now is an empty one: what was known is told on.
    if (told !== undefined && volumes.length === 0 && !this.#world.isConnected()) return told.bytes;
    const key = JSON.stringify([volumes, portals]);
    if (told?.key === key) {
      this.#told.set(localAddress, { ...told, atMs: now });
      return told.bytes;
    }
    this.#generation += 1;
    const generation = this.#generation;
    const bytes = encode(generation, this.#world.slot, portals, volumes);
    this.#told.clear(); // of one address mostly; others are made anew
    this.#told.set(localAddress, { key, generation, bytes, atMs: now });
    return bytes;
  }

  /** Whether something changed since it was last asked; looks no more often than every few seconds. */
  async changed(): Promise<boolean> {
    const now = this.#world.clock.nowMs();
    if (this.#isLooking || now - this.#lookedMs < changesMs) return false;
    this.#isLooking = true;
    this.#lookedMs = now;
    const portals = this.#world.portals('');
    const volumes = (await this.#world.catalog.list()).map(({ name }) => name).sort();
    this.#isLooking = false;
    if (volumes.length === 0 && !this.#world.isConnected()) return false;
    const key = JSON.stringify([volumes, portals]);
    const isNews = this.#lastKey !== undefined && this.#lastKey !== key;
    this.#lastKey = key;
    if (isNews) this.#told.clear();
    return isNews;
  }
}

function encode(
  generation: number,
  slot: number,
  portals: readonly Portal[],
  volumes: readonly string[],
): Uint8Array {
  const own = portals.filter((portal) => portal.slot === slot);
  const ways = own.length + portals.length * volumes.length;
  const records = Math.min(discoveryRecordsMax, ways);
  const bytes = new Uint8Array(discoveryHeader.sizeBytes + records * discoveryEntry.sizeBytes);
  discoveryHeader.write(bytes, 0, { generation, records, recordFormat: 0 });
  let at = discoveryHeader.sizeBytes;
  const put = (portal: Portal, port: number, subsystemType: number, subsystemNqn: string, entryFlags: number): void => {
    if (at === bytes.length) return;
    discoveryEntry.write(bytes, at, {
      transport: transports.tcp,
      addressFamily: portal.host.includes(':') ? addressFamilies.ipv6 : addressFamilies.ipv4,
      subsystemType,
      requirements: flowControlOptional,
      portId: portal.slot,
      cntlid: newController,
      adminQueueEntries,
      flags: entryFlags,
      service: String(port),
      subsystemNqn,
      address: portal.host,
      transportSpecific: noSecurity,
    });
    at += discoveryEntry.sizeBytes;
  };
  for (const portal of own) {
    put(portal, portal.discoveryPort, subsystemTypes.currentDiscovery, discoveryNqn, flags.duplicate | flags.persistent);
  }
  for (const volume of volumes)
    for (const portal of portals) put(portal, portal.port, subsystemTypes.storage, nqnOf(volume), 0);
  return bytes;
}
