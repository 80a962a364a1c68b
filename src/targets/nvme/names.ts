import type { VolumeId } from '../../base/ids.ts';
import { volumeNameMax } from '../../volume/records.ts';

const subsystemPrefix = 'nqn.2026-01.io.corelet:';

/** A volume is a subsystem, the same on every Corelet, with one namespace. */
export function nqnOf(volume: string): string {
  return `${subsystemPrefix}${volume}`;
}

/** Undefined: no subsystem of ours. */
export function volumeOf(nqn: string): string | undefined {
  const name = nqn.slice(subsystemPrefix.length);
  return nqn.startsWith(subsystemPrefix) && name.length > 0 && name.length <= volumeNameMax ? name : undefined;
}

/** The only namespace of a volume's subsystem, and its ANA group. */
export const namespaceId = 1;
export const anaGroupId = 1;

/** The same on all Corelets, of no two volumes: a UUID of version 8 (RFC 9562 §5.8) from the cluster's id and the volume's. */
export function uuidOf(cluster: string, volume: VolumeId): Uint8Array {
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 10; i++) bytes[i] = Number.parseInt(cluster.slice(2 * i, 2 * i + 2), 16);
  bytes[6] = 0x80 | ((bytes[6] as number) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f);
  let rest: number = volume;
  for (let i = 15; i >= 10; i--) {
    bytes[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return bytes;
}

/** Serial number: of the volume, since its controllers on all Corelets are one subsystem. */
export function serialOf(volume: VolumeId): string {
  return volume.toString(16).padStart(12, '0');
}

const idsPerSlot = 1023;
const slotsMax = 64;

/** Controller ids of a slot: no two slots of a chassis share one, since a host would refuse the second path. */
export function controllerIds(slot: number): { readonly first: number; readonly count: number } {
  return { first: 1 + (slot % slotsMax) * idsPerSlot, count: idsPerSlot };
}

/** How reservations know an NVMe host. */
const registrantPrefix = 'nvme:';
export function registrantOf(hostIdHex: string): string {
  return `${registrantPrefix}${hostIdHex}`;
}
/** Undefined: a registrant of another protocol. */
export function hostIdOf(registrant: string): string | undefined {
  return registrant.startsWith(registrantPrefix) ? registrant.slice(registrantPrefix.length) : undefined;
}
