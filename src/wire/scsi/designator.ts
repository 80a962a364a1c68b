import { utf8Bytes } from '../../base/bytes.ts';
import { writeU16 } from '../big-endian.ts';
import { writePadded } from './ascii.ts';

/** What a designator names (SPC-4 §7.8.6.1). */
export type Association = 'logicalUnit' | 'targetPort' | 'targetDevice';
const associations = { logicalUnit: 0x00, targetPort: 0x10, targetDevice: 0x20 } as const;

export const codeSets = { binary: 1, ascii: 2, utf8: 3 } as const;
export const designatorTypes = { t10Vendor: 1, naa: 3, relativePort: 4, portGroup: 5, name: 8 } as const;

const protocolIscsi = 0x50;
const protocolValid = 0x80;
export const naaBytes = 16;

// 0 protocol (high 4 bits), code set · 1 PIV, association, type · 3 length · 4 designator
function designator(association: Association, codeSet: number, type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + value.length);
  const hasProtocol = association !== 'logicalUnit';
  bytes[0] = codeSet | (hasProtocol ? protocolIscsi : 0);
  bytes[1] = type | associations[association] | (hasProtocol ? protocolValid : 0);
  bytes[3] = value.length;
  bytes.set(value, 4);
  return bytes;
}

/** `naa`: 16 bytes that begin with 6 (SPC-4 §7.8.6.6.5). */
export function naaDesignator(naa: Uint8Array): Uint8Array {
  return designator('logicalUnit', codeSets.binary, designatorTypes.naa, naa);
}

export function t10VendorDesignator(vendor: string, identifier: string): Uint8Array {
  const value = new Uint8Array(8 + identifier.length);
  writePadded(value, 0, 8, vendor);
  writePadded(value, 8, identifier.length, identifier);
  return designator('logicalUnit', codeSets.ascii, designatorTypes.t10Vendor, value);
}

export function relativePortDesignator(relativePort: number): Uint8Array {
  const value = new Uint8Array(4);
  writeU16(value, 2, relativePort);
  return designator('targetPort', codeSets.binary, designatorTypes.relativePort, value);
}

export function portGroupDesignator(portGroup: number): Uint8Array {
  const value = new Uint8Array(4);
  writeU16(value, 2, portGroup);
  return designator('targetPort', codeSets.binary, designatorTypes.portGroup, value);
}

/** SCSI name string (SPC-4 §7.8.6.11): at most 255 bytes, NUL-terminated, padded with NULs to a multiple of four. */
export function nameDesignator(association: Association, name: string): Uint8Array {
  const text = utf8Bytes(name);
  const value = new Uint8Array(Math.floor(text.length / 4) * 4 + 4);
  value.set(text);
  return designator(association, codeSets.utf8, designatorTypes.name, value);
}
