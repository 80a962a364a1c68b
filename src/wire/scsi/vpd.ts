import { joined } from '../../base/bytes.ts';
import { writeU16, writeU32, writeU64 } from '../big-endian.ts';
import { writePadded } from './ascii.ts';
import { peripheralDisk } from './inquiry.ts';

/** Vital product data pages (SPC-4 §7.8, SBC-3 §6.6). */
export const vpdPages = {
  supported: 0x00,
  serial: 0x80,
  identification: 0x83,
  extended: 0x86,
  blockLimits: 0xb0,
  blockCharacteristics: 0xb1,
  provisioning: 0xb2,
} as const;

// Every page: 0 peripheral · 1 page · 2 length u16 · its data
const headBytes = 4;
function page(code: number, dataBytes: number): Uint8Array {
  const bytes = new Uint8Array(headBytes + dataBytes);
  bytes[0] = peripheralDisk;
  bytes[1] = code;
  writeU16(bytes, 2, dataBytes);
  return bytes;
}

/** Ascending. */
export function encodeSupportedPages(): Uint8Array {
  const codes = Object.values(vpdPages).sort((a, b) => a - b);
  const bytes = page(vpdPages.supported, codes.length);
  bytes.set(codes, headBytes);
  return bytes;
}

export function encodeSerialPage(serial: string): Uint8Array {
  const bytes = page(vpdPages.serial, serial.length);
  writePadded(bytes, headBytes, serial.length, serial);
  return bytes;
}

export function encodeIdentificationPage(designators: readonly Uint8Array[]): Uint8Array {
  const data = joined(designators);
  const bytes = page(vpdPages.identification, data.length);
  bytes.set(data, headBytes);
  return bytes;
}

const simpleTasks = 0x01; // SIMPSUP

// 5 task attributes · reserved to 64
export function encodeExtendedPage(): Uint8Array {
  const bytes = page(vpdPages.extended, 60);
  bytes[5] = simpleTasks;
  return bytes;
}

/** WSNZ: WRITE SAME of no blocks, which would mean to the end, is refused. */
const noBlocksNever = 0x01;

/** All in logical blocks, but for `unmapDescriptors`. */
export interface BlockLimits {
  readonly compareMax: number;
  readonly granularity: number;
  readonly transferMax: number;
  readonly transferOptimal: number;
  readonly unmapMax: number;
  readonly unmapDescriptorsMax: number;
  readonly writeSameMax: number;
  readonly atomicMax: number;
}

// SBC-4 §6.6.4: 4 WSNZ · 5 maximum compare and write u8 · 6 granularity u16 · 8 maximum transfer u32 ·
// 12 optimal transfer u32 · 16 maximum prefetch u32 · 20 maximum unmap u32 · 24 unmap descriptors u32 · 28 unmap granularity u32 ·
// 32 UGAVALID, alignment u32 · 36 maximum write same u64 · 44 maximum atomic u32 · 48 atomic alignment u32 · 52 atomic granularity u32 ·
// 56 maximum atomic with boundary u32 · 60 maximum boundary u32
export function encodeBlockLimits(limits: BlockLimits): Uint8Array {
  const bytes = page(vpdPages.blockLimits, 60);
  bytes[4] = noBlocksNever;
  bytes[5] = limits.compareMax;
  writeU16(bytes, 6, limits.granularity);
  writeU32(bytes, 8, limits.transferMax);
  writeU32(bytes, 12, limits.transferOptimal);
  writeU32(bytes, 20, limits.unmapMax);
  writeU32(bytes, 24, limits.unmapDescriptorsMax);
  writeU32(bytes, 28, limits.granularity);
  writeU32(bytes, 32, 0x8000_0000);
  writeU64(bytes, 36, limits.writeSameMax);
  writeU32(bytes, 44, limits.atomicMax);
  writeU32(bytes, 48, limits.granularity);
  writeU32(bytes, 52, limits.granularity);
  return bytes;
}

const notRotating = 1;

// 4 rotation rate u16 · reserved to 64
export function encodeBlockCharacteristics(): Uint8Array {
  const bytes = page(vpdPages.blockCharacteristics, 60);
  writeU16(bytes, 4, notRotating);
  return bytes;
}

const provisioningFlags = 0x80 | 0x40 | 0x20 | 0x04; // LBPU, LBPWS, LBPWS10, LBPRZ
const thinProvisioned = 2;

// 5 LBPU, LBPWS, LBPWS10, LBPRZ · 6 provisioning type
export function encodeProvisioning(): Uint8Array {
  const bytes = page(vpdPages.provisioning, 4);
  bytes[5] = provisioningFlags;
  bytes[6] = thinProvisioned;
  return bytes;
}
