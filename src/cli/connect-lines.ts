import type { SlotRecord } from '../chassis/chassis-file.ts';

/** Lines to paste, with which a host looks at `volume` through `slot`: NBD, iSCSI, NVMe/TCP. */
export function connectLines(slot: SlotRecord, volume: string): readonly [nbd: string, iscsi: string, nvme: string] {
  const colon = slot.nvmeDiscovery.lastIndexOf(':');
  const nvmeHost = `-a ${slot.nvmeDiscovery.slice(0, colon)} -s ${slot.nvmeDiscovery.slice(colon + 1)}`;
  return [
    `qemu-img info nbd://${slot.nbd}/${volume}`,
    `iscsi-ls -s iscsi://${slot.iscsi}   (target iqn.2026-01.io.corelet:${volume})`,
    `nvme connect-all -t tcp ${nvmeHost}   (subsystem nqn.2026-01.io.corelet:${volume})`,
  ];
}
