import { RemoteProtocolError } from '../../base/errors.ts';
import { joined } from '../../base/bytes.ts';
import { readU16, writeU16, writeU24, writeU32, writeU64 } from '../big-endian.ts';

/** Mode pages (SPC-4 §7.5, SBC-3 §6.5). */
export const modePages = { disconnect: 0x02, caching: 0x08, control: 0x0a, exceptions: 0x1c, all: 0x3f } as const;
export const subpagesAll = 0xff;

/** PAGE CONTROL of MODE SENSE. */
export const pageControls = { current: 0, changeable: 1, standard: 2, saved: 3 } as const;

/** What MODE SELECT can change. */
export interface ControlSettings {
  /** D_SENSE: sense data in descriptor format. */
  readonly descriptorSense: boolean;
  /** SWP: software write protection. */
  readonly writeProtected: boolean;
}

const descriptorSenseBit = 0x04;
const unrestrictedReordering = 0x10;
const writeProtectBit = 0x08;

// 0Ah, 12 bytes: 2 D_SENSE · 3 queue algorithm · 4 SWP · 8 busy time-out u16 (FFFFh: no limit)
export function encodeControlPage(settings: ControlSettings, isChangeableMask: boolean): Uint8Array {
  const bytes = new Uint8Array(12);
  bytes[0] = modePages.control;
  bytes[1] = 10;
  bytes[2] = settings.descriptorSense ? descriptorSenseBit : 0;
  bytes[4] = settings.writeProtected ? writeProtectBit : 0;
  if (isChangeableMask) return bytes;
  bytes[3] = unrestrictedReordering;
  writeU16(bytes, 8, 0xffff);
  return bytes;
}

export function controlSettings(page: Uint8Array): ControlSettings {
  return {
    descriptorSense: ((page[2] as number) & descriptorSenseBit) !== 0,
    writeProtected: ((page[4] as number) & writeProtectBit) !== 0,
  };
}

/** 08h, 20 bytes: no write cache (WCE 0): what is acknowledged is durable. */
export function encodeCachingPage(): Uint8Array {
  const bytes = new Uint8Array(20);
  bytes[0] = modePages.caching;
  bytes[1] = 18;
  return bytes;
}

/** 02h, 16 bytes: nothing to say. */
export function encodeDisconnectPage(): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[0] = modePages.disconnect;
  bytes[1] = 14;
  return bytes;
}

/** 1Ch, 12 bytes: no exceptions are reported. */
export function encodeExceptionsPage(): Uint8Array {
  const bytes = new Uint8Array(12);
  bytes[0] = modePages.exceptions;
  bytes[1] = 10;
  bytes[2] = 0x08; // DEXCPT
  return bytes;
}

export interface ModeData {
  readonly writeProtected: boolean;
  /** None: the initiator wants no block descriptor. */
  readonly blocks: { readonly count: number; readonly blockBytes: number; readonly isLong: boolean } | undefined;
  readonly pages: readonly Uint8Array[];
}

const writeProtectedDevice = 0x80;
const dpoFua = 0x10;

// MODE SENSE (6): length u8 · medium · device specific · block descriptor length u8
// MODE SENSE (10): length u16 · medium · device specific · LONGLBA bit 0 · reserved · block descriptor length u16
export function encodeModeData(data: ModeData, format: 6 | 10): Uint8Array {
  const descriptor = data.blocks === undefined ? new Uint8Array(0) : blockDescriptor(data.blocks);
  const head = new Uint8Array(format === 6 ? 4 : 8);
  const whole = joined([head, descriptor, ...data.pages]);
  const specific = dpoFua | (data.writeProtected ? writeProtectedDevice : 0);
  if (format === 6) {
    whole[0] = whole.length - 1;
    whole[2] = specific;
    whole[3] = descriptor.length;
  } else {
    writeU16(whole, 0, whole.length - 2);
    whole[3] = specific;
    whole[4] = data.blocks?.isLong === true ? 1 : 0;
    writeU16(whole, 6, descriptor.length);
  }
  return whole;
}

const countMax = 0xffff_ffff;

// short: blocks u32 · reserved · block length u24; long: blocks u64 · reserved u32 · block length u32
function blockDescriptor({ count, blockBytes, isLong }: NonNullable<ModeData['blocks']>): Uint8Array {
  const bytes = new Uint8Array(isLong ? 16 : 8);
  if (isLong) {
    writeU64(bytes, 0, count);
    writeU32(bytes, 12, blockBytes);
  } else {
    writeU32(bytes, 0, Math.min(count, countMax));
    writeU24(bytes, 5, blockBytes);
  }
  return bytes;
}

/** Pages of a MODE SELECT parameter list, as they came: code at 0, length at 1. Its block descriptors are left aside. @throws RemoteProtocolError */
export function decodeModePages(list: Uint8Array, format: 6 | 10): readonly Uint8Array[] {
  const headBytes = format === 6 ? 4 : 8;
  if (list.length < headBytes) throw new RemoteProtocolError('mode parameters without a head');
  const descriptorBytes = format === 6 ? (list[3] as number) : readU16(list, 6);
  const pages: Uint8Array[] = [];
  for (let at = headBytes + descriptorBytes; at < list.length; ) {
    const isSubpage = ((list[at] as number) & 0x40) !== 0;
    const length = isSubpage ? 4 + readU16Or(list, at + 2) : 2 + (list[at + 1] ?? list.length);
    if (at + length > list.length) throw new RemoteProtocolError('a mode page past the end');
    pages.push(list.subarray(at, at + length));
    at += length;
  }
  return pages;
}

function readU16Or(bytes: Uint8Array, at: number): number {
  return at + 2 <= bytes.length ? readU16(bytes, at) : bytes.length;
}
