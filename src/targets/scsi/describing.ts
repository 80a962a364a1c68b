import { readU16, readU32 } from '../../wire/big-endian.ts';
import { encodeCapacity10, encodeCapacity16 } from '../../wire/scsi/capacity.ts';
import { encodeStandardInquiry, peripheralAbsent, peripheralDisk } from '../../wire/scsi/inquiry.ts';
import { encodeLunList } from '../../wire/scsi/lun.ts';
import { encodePortGroups } from '../../wire/scsi/port-groups.ts';
import type { Sense } from '../../wire/scsi/sense.ts';
import {
  encodeBlockCharacteristics,
  encodeBlockLimits,
  encodeExtendedPage,
  encodeIdentificationPage,
  encodeProvisioning,
  encodeSerialPage,
  encodeSupportedPages,
  vpdPages,
} from '../../wire/scsi/vpd.ts';
import { capacityBlocks } from './blocks.ts';
import type { Call, Plan } from './command.ts';
import { allDesignators, product, serialOf, vendor } from './identity.ts';
import { logicalBytes, physicalBlocks, physicalExponent, scsiLimits } from './limits.ts';
import { data, failed, invalidCdb, type Reply } from './reply.ts';

// What a unit says of itself: INQUIRY, READ CAPACITY, REPORT LUNS, REPORT TARGET PORT GROUPS.

/** SAM-5, SPC-4, SBC-3, iSCSI (SPC-4 table 142). */
const versionDescriptors = [0x00a0, 0x0460, 0x04c0, 0x0960];
const revision = '1';
const dataBytesMax = 4096;

export function planInquiry(cdb: Uint8Array): Plan | Sense {
  if (((cdb[1] as number) & 0x02) !== 0) return invalidCdb(1, 1); // CMDDT, obsolete
  if (((cdb[1] as number) & 0x01) === 0 && cdb[2] !== 0) return invalidCdb(2); // a page without EVPD
  return { outBytes: 0, inBytesMax: Math.min(readU16(cdb, 3), dataBytesMax) };
}

export function inquiry(call: Call): Reply {
  const allocation = readU16(call.cdb, 3);
  if (((call.cdb[1] as number) & 1) === 0) return data(standardInquiry(peripheralDisk), allocation);
  const bytes = vitalProductData(call);
  return bytes === undefined ? failed(invalidCdb(2)) : data(bytes, allocation);
}

/** At a LUN where nothing is (SPC-4 §6.6.1). */
export function absentInquiry(): Uint8Array {
  return standardInquiry(peripheralAbsent);
}

function standardInquiry(peripheral: number): Uint8Array {
  return encodeStandardInquiry({ peripheral, vendor, product, revision, versionDescriptors });
}

function vitalProductData({ cdb, device, unit }: Call): Uint8Array | undefined {
  switch (cdb[2]) {
    case vpdPages.supported:
      return encodeSupportedPages();
    case vpdPages.serial:
      return encodeSerialPage(serialOf(device.id));
    case vpdPages.identification:
      return encodeIdentificationPage(allDesignators(device.id, unit.port, unit.targetName));
    case vpdPages.extended:
      return encodeExtendedPage();
    case vpdPages.blockLimits:
      return encodeBlockLimits({
        compareMax: scsiLimits.compareBlocksMax,
        granularity: physicalBlocks,
        transferMax: scsiLimits.transferBlocksMax,
        transferOptimal: scsiLimits.atomicBlocksMax,
        unmapMax: scsiLimits.unmapBlocksMax,
        unmapDescriptorsMax: scsiLimits.unmapDescriptorsMax,
        writeSameMax: scsiLimits.fillBlocksMax,
        atomicMax: scsiLimits.atomicBlocksMax,
      });
    case vpdPages.blockCharacteristics:
      return encodeBlockCharacteristics();
    case vpdPages.provisioning:
      return encodeProvisioning();
    default:
      return undefined;
  }
}

export function planCapacity10(cdb: Uint8Array): Plan | Sense {
  if (((cdb[8] as number) & 1) !== 0) return invalidCdb(8, 0); // PMI, obsolete
  return readU32(cdb, 2) === 0 ? { outBytes: 0, inBytesMax: 8 } : invalidCdb(2);
}

export function capacity10({ device }: Call): Reply {
  return data(encodeCapacity10({ blocks: capacityBlocks(device), blockBytes: logicalBytes, physicalExponent }), 8);
}

export function planCapacity16(cdb: Uint8Array): Plan | Sense {
  return { outBytes: 0, inBytesMax: Math.min(readU32(cdb, 10), 32) };
}

export function capacity16({ cdb, device }: Call): Reply {
  const capacity = { blocks: capacityBlocks(device), blockBytes: logicalBytes, physicalExponent };
  return data(encodeCapacity16(capacity), readU32(cdb, 10));
}

const selectAll = 0x02;
const selectWellKnown = 0x01;
const lunsAllocationMin = 16;

export function planReportLuns(cdb: Uint8Array): Plan | Sense {
  if ((cdb[2] as number) > selectAll) return invalidCdb(2);
  const allocation = readU32(cdb, 6);
  return allocation < lunsAllocationMin ? invalidCdb(6) : { outBytes: 0, inBytesMax: lunsAllocationMin };
}

export function reportLuns({ cdb }: Pick<Call, 'cdb'>): Reply {
  return data(encodeLunList(cdb[2] === selectWellKnown ? [] : [0]), readU32(cdb, 6));
}

const extendedHeader = 1;

export function planPortGroups(cdb: Uint8Array): Plan | Sense {
  const format = (cdb[1] as number) >>> 5;
  if (format > extendedHeader) return invalidCdb(1, 7);
  return { outBytes: 0, inBytesMax: Math.min(readU32(cdb, 6), dataBytesMax) };
}

export function portGroups({ cdb, unit }: Call): Reply {
  const isExtended = (cdb[1] as number) >>> 5 === extendedHeader;
  return data(encodePortGroups(unit.portGroups(), isExtended), readU32(cdb, 6));
}
