import { discoveryNqn } from '../../wire/nvme/codes.ts';
import { addressFamilies, discoveryEntry, discoveryHeader, subsystemTypes, transports } from '../../wire/nvme/logs.ts';
import { newController } from '../../wire/nvme/fabrics.ts';
import { discoveryRecordsMax } from './limits.ts';
import { nqnOf } from './names.ts';
import type { NvmeWorld, Portal } from './world.ts';

/** What is told is at most this old: a log is read in many pieces, and asking all arcs for each would be dear. */
const freshMs = 1000;
/** No transport-specific security. */
const noSecurity = new Uint8Array(256);
const flowControlOptional = 4;
/** The same from every Corelet; connections may stay for news. */
const flags = { duplicate: 1, persistent: 2 } as const;
const adminQueueEntries = 32;

/** Hosts and addresses for which what was told is kept. */
const toldMax = 16;

interface Told {
  readonly contents: string;
  readonly bytes: Uint8Array;
  readonly atMs: number;
}

/** The discovery log: every volume that a host may use, through every Corelet. Its generation counts changes as seen from here. */
export class DiscoveryLog {
  readonly #world: NvmeWorld;
  readonly #told = new Map<string, Told>();
  #generation = 0;

  constructor(world: NvmeWorld) {
    this.#world = world;
  }

  /** `localAddress`: where the host reached us. `RETRYABLE`: the volumes can't be told now. */
  async read(localAddress: string, hostNqn: string): Promise<Uint8Array | 'RETRYABLE'> {
    const key = `${localAddress} ${hostNqn}`;
    const told = this.#told.get(key);
    const atMs = this.#world.clock.nowMs();
    if (told !== undefined && atMs - told.atMs < freshMs) return told.bytes;
    const volumes = await this.#world.volumesFor(hostNqn);
    if (volumes === 'RETRYABLE') return 'RETRYABLE';
    const portals = this.#world.portals(localAddress);
    const contents = contentsOf(volumes, portals);
    const isSame = told?.contents === contents;
    if (!isSame) this.#generation += 1;
    const bytes = isSame ? told.bytes : encode(this.#generation, this.#world.slot, portals, [...volumes].sort());
    this.#told.delete(key);
    this.#told.set(key, { contents, bytes, atMs });
    const oldest = this.#told.keys().next().value;
    if (this.#told.size > toldMax && oldest !== undefined) this.#told.delete(oldest);
    return bytes;
  }

  /** All that a host would be told, to be compared; undefined: not known now. */
  async contents(localAddress: string, hostNqn: string): Promise<string | undefined> {
    const volumes = await this.#world.volumesFor(hostNqn);
    return volumes === 'RETRYABLE' ? undefined : contentsOf(volumes, this.#world.portals(localAddress));
  }
}

function contentsOf(volumes: readonly string[], portals: readonly Portal[]): string {
  return JSON.stringify([[...volumes].sort(), portals]);
}

function encode(generation: number, slot: number, portals: readonly Portal[], volumes: readonly string[]): Uint8Array {
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
    put(
      portal,
      portal.discoveryPort,
      subsystemTypes.currentDiscovery,
      discoveryNqn,
      flags.duplicate | flags.persistent,
    );
  }
  for (const volume of volumes)
    for (const portal of portals) put(portal, portal.port, subsystemTypes.storage, nqnOf(volume), 0);
  return bytes;
}
