import { writeU16, writeU32 } from '../../../src/wire/big-endian.ts';

/** READ (10) and WRITE (10). */
export function rwCdb(opcode: number, lba: number, blocks: number): Uint8Array {
  const cdb = new Uint8Array(16);
  cdb[0] = opcode;
  writeU32(cdb, 2, lba);
  writeU16(cdb, 7, blocks);
  return cdb;
}

export function flat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export function pattern(lengthBytes: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length: lengthBytes }, (_, i) => (i * 31 + (i >>> 8) * 7 + seed) & 0xff);
}

/** Sense key, additional code and qualifier of fixed-format sense, as in `5/24/00`. */
export function senseText(sense: Uint8Array): string {
  const hex = (at: number) => (sense[at] as number).toString(16).padStart(2, '0');
  return `${((sense[2] as number) & 15).toString(16)}/${hex(12)}/${hex(13)}`;
}
