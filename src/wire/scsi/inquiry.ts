import { writeU16 } from '../big-endian.ts';
import { writePadded } from './ascii.ts';

/** Standard INQUIRY data (SPC-4 §6.6.2) of a direct access device. */
export interface StandardInquiry {
  /** Qualifier and type: 00h a disk, 7Fh nothing at this LUN. */
  readonly peripheral: number;
  readonly vendor: string;
  readonly product: string;
  readonly revision: string;
  /** SPC-4 §6.6.2.3, at most 8. */
  readonly versionDescriptors: readonly number[];
}

/** A LUN that isn't there (SPC-4 §6.6.2.2). */
export const peripheralAbsent = 0x7f;
export const peripheralDisk = 0x00;

const spc4 = 0x06;
const hierarchicalAndFormat2 = 0x12; // HISUP, RESPONSE DATA FORMAT 2
const implicitGroups = 0x10; // TPGS 01b
const thirdPartyCopy = 0x08;
const commandQueuing = 0x02;

// 0 peripheral · 2 version · 3 HISUP, format · 4 additional length · 5 TPGS, 3PC · 7 CMDQUE · 8 vendor, 8 bytes · 16 product, 16 · 32 revision, 4 ·
// 58 version descriptors, 8 × u16 · 74 reserved, to 96
export const standardInquiryBytes = 96;

export function encodeStandardInquiry(inquiry: StandardInquiry): Uint8Array {
  const bytes = new Uint8Array(standardInquiryBytes);
  bytes[0] = inquiry.peripheral;
  bytes[2] = spc4;
  bytes[3] = hierarchicalAndFormat2;
  bytes[4] = standardInquiryBytes - 5;
  bytes[5] = implicitGroups | thirdPartyCopy;
  bytes[7] = commandQueuing;
  writePadded(bytes, 8, 8, inquiry.vendor);
  writePadded(bytes, 16, 16, inquiry.product);
  writePadded(bytes, 32, 4, inquiry.revision);
  inquiry.versionDescriptors.forEach((descriptor, i) => writeU16(bytes, 58 + 2 * i, descriptor));
  return bytes;
}
