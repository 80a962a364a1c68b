import type { ClusterId, CoreletId } from '../../../src/base/ids.ts';
import { type ChassisFile, chassisFormatVersion } from '../../../src/chassis/chassis-file.ts';

/** A chassis of so many slots, none of them running. */
export function chassisOf(
  slots: number,
  ports = { nbd: 10_809, iscsi: 3_260, nvme: 4_420, nvmeDiscovery: 8_009, admin: 7_400 },
): ChassisFile {
  return {
    formatVersion: chassisFormatVersion,
    cluster: 'c'.repeat(32) as ClusterId,
    arcs: 256,
    copies: 3,
    flashBytes: 8 * 2 ** 30,
    nbdPort: ports.nbd,
    iscsiPort: ports.iscsi,
    nvmePort: ports.nvme,
    nvmeDiscoveryPort: ports.nvmeDiscovery,
    adminPort: ports.admin,
    volume: { name: 'demo', sizeBytes: 2 ** 30, made: true },
    slots: Array.from({ length: slots }, (_, slot) => ({
      slot,
      id: slot.toString(16).padStart(32, '0') as CoreletId,
      pid: null,
      nbd: `127.0.0.1:${ports.nbd + slot}`,
      iscsi: `127.0.0.1:${ports.iscsi + slot}`,
      nvme: `127.0.0.1:${ports.nvme + slot}`,
      nvmeDiscovery: `127.0.0.1:${ports.nvmeDiscovery + slot}`,
      admin: `http://127.0.0.1:${ports.admin + slot}`,
      fabric: `unix:fabric/${slot}.sock`,
      role: 'active' as const,
      pulled: false,
    })),
  };
}
