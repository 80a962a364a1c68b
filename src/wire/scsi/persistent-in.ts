import { joined, utf8Bytes } from '../../base/bytes.ts';
import { writeU16, writeU32 } from '../big-endian.ts';
import { writeKey } from './persistent-out.ts';

/** PERSISTENT RESERVE IN parameter data (SPC-4 §6.15). Keys are 16 hex digits: they mean nothing but themselves. */

// generation u32 · length u32 · keys, 8 bytes each
export function encodeKeys(generation: number, keys: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(8 + 8 * keys.length);
  writeU32(bytes, 0, generation);
  writeU32(bytes, 4, 8 * keys.length);
  keys.forEach((key, i) => writeKey(bytes, 8 + 8 * i, key));
  return bytes;
}

// generation u32 · length u32 (0: nothing is held, or 16) · key · 4 obsolete · reserved · scope (0: the logical unit), type · 2 obsolete
export function encodeReservation(
  generation: number,
  held: { readonly key: string; readonly type: number } | undefined,
): Uint8Array {
  const bytes = new Uint8Array(held === undefined ? 8 : 24);
  writeU32(bytes, 0, generation);
  if (held === undefined) return bytes;
  writeU32(bytes, 4, 16);
  writeKey(bytes, 8, held.key);
  bytes[21] = held.type;
  return bytes;
}

const allTargetPorts = 0x04; // ATP_C
const persists = 0x01; // PTPL_C, PTPL_A
const typesValid = 0x80; // TMV
const allTypes = 0xea; // all but exclusive access, all registrants, which is in the next byte

// length u16 (8) · 2 ATP_C, PTPL_C · 3 TMV, PTPL_A · 4 types u16 · reserved
export function encodeCapabilities(): Uint8Array {
  const bytes = new Uint8Array(8);
  writeU16(bytes, 0, 8);
  bytes[2] = allTargetPorts | persists;
  bytes[3] = typesValid | persists;
  bytes[4] = allTypes;
  bytes[5] = 0x01;
  return bytes;
}

export interface RegistrantStatus {
  readonly key: string;
  /** Of the reservation, when this registrant holds it. */
  readonly holdsType: number | undefined;
  /** Initiator port name as in a TransportID: iSCSI name, ",i,0x", ISID (RFC 7143 §4.2.7.2). */
  readonly initiatorPort: string;
}

const allPortsOfTarget = 0x02; // ALL_TG_PT: a registration holds through every Corelet
const holdsReservation = 0x01;
const iscsiPortTransport = 0x45; // TPID FORMAT 01b, protocol iSCSI

// generation u32 · length u32 · for each: key · 12 ALL_TG_PT, R_HOLDER · 13 scope, type · 18 relative port (0 with ALL_TG_PT) ·
// 20 additional length u32 · 24 TransportID: format and protocol · reserved · length u16 · name, NULs to a multiple of four
export function encodeFullStatus(generation: number, registrants: readonly RegistrantStatus[]): Uint8Array {
  const descriptors = registrants.map(({ key, holdsType, initiatorPort }) => {
    const name = utf8Bytes(initiatorPort);
    const nameBytes = Math.max(20, Math.floor(name.length / 4) * 4 + 4);
    const bytes = new Uint8Array(24 + 4 + nameBytes);
    writeKey(bytes, 0, key);
    bytes[12] = allPortsOfTarget | (holdsType === undefined ? 0 : holdsReservation);
    bytes[13] = holdsType ?? 0;
    writeU32(bytes, 20, 4 + nameBytes);
    bytes[24] = iscsiPortTransport;
    writeU16(bytes, 26, nameBytes);
    bytes.set(name, 28);
    return bytes;
  });
  const head = new Uint8Array(8);
  const whole = joined([head, ...descriptors]);
  writeU32(whole, 0, generation);
  writeU32(whole, 4, whole.length - 8);
  return whole;
}
