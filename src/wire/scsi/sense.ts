import { RemoteProtocolError } from '../../base/errors.ts';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../big-endian.ts';

/** Where in a CDB or a parameter list the wrong field is (SPC-4 §4.5.2.4.2). */
export interface FieldPointer {
  readonly inCdb: boolean;
  readonly byte: number;
  /** The field's highest bit in that byte, when it is smaller than a byte. */
  readonly bit?: number | undefined;
}

/** What became of a command, before the initiator's choice of format. */
export interface Sense {
  readonly key: number;
  /** ASC << 8 | ASCQ. */
  readonly code: number;
  /** The INFORMATION field: what it means depends on the command. */
  readonly information?: number | undefined;
  readonly field?: FieldPointer | undefined;
}

const fixedFormat = 0x70;
const descriptorFormat = 0x72;
const informationValid = 0x80;
const informationDescriptor = 0x00;
const keySpecificDescriptor = 0x02;
const two32 = 0x1_0000_0000;

// Fixed format (SPC-4 §4.5.3), 18 bytes:
//   0  VALID bit 7, 70h · 2 key · 3 INFORMATION u32 · 7 additional length (10) · 12 ASC · 13 ASCQ · 15 sense key specific, 3 bytes
export const fixedSenseBytes = 18;

export function encodeFixedSense(sense: Sense): Uint8Array {
  const bytes = new Uint8Array(fixedSenseBytes);
  const { information } = sense;
  // What doesn't fit is left out: only the descriptor format has 64 bits.
  const fits = information !== undefined && information < two32;
  bytes[0] = fixedFormat | (fits ? informationValid : 0);
  bytes[2] = sense.key;
  if (fits) writeU32(bytes, 3, information);
  bytes[7] = fixedSenseBytes - 8;
  writeU16(bytes, 12, sense.code);
  if (sense.field !== undefined) writeFieldPointer(bytes, 15, sense.field);
  return bytes;
}

// Descriptor format (SPC-4 §4.5.2): 72h · key · ASC · ASCQ · 3 reserved · additional length, then descriptors:
//   information:        00h · 0Ah · VALID bit 7 · reserved · u64
//   sense key specific: 02h · 06h · 2 reserved · 3 bytes · reserved
export function encodeDescriptorSense(sense: Sense): Uint8Array {
  const { information, field } = sense;
  const length = 8 + (information === undefined ? 0 : 12) + (field === undefined ? 0 : 8);
  const bytes = new Uint8Array(length);
  bytes[0] = descriptorFormat;
  bytes[1] = sense.key;
  writeU16(bytes, 2, sense.code);
  bytes[7] = length - 8;
  let at = 8;
  if (information !== undefined) {
    bytes[at] = informationDescriptor;
    bytes[at + 1] = 10;
    bytes[at + 2] = informationValid;
    writeU64(bytes, at + 4, information);
    at += 12;
  }
  if (field !== undefined) {
    bytes[at] = keySpecificDescriptor;
    bytes[at + 1] = 6;
    writeFieldPointer(bytes, at + 4, field);
  }
  return bytes;
}

/** Either format. @throws RemoteProtocolError */
export function decodeSense(bytes: Uint8Array): Sense {
  const format = (bytes[0] ?? 0) & 0x7f;
  if (format === fixedFormat && bytes.length >= fixedSenseBytes) {
    const valid = ((bytes[0] as number) & informationValid) !== 0;
    return {
      key: (bytes[2] as number) & 0x0f,
      code: readU16(bytes, 12),
      information: valid ? readU32(bytes, 3) : undefined,
      field: readFieldPointer(bytes, 15),
    };
  }
  if (format !== descriptorFormat || bytes.length < 8 || bytes.length !== 8 + (bytes[7] as number))
    throw new RemoteProtocolError('not sense data');
  let information: number | undefined;
  let field: FieldPointer | undefined;
  for (let at = 8; at < bytes.length; ) {
    const length = 2 + (bytes[at + 1] ?? bytes.length);
    if (at + length > bytes.length) throw new RemoteProtocolError('a sense descriptor past the end');
    const type = bytes[at];
    if (type === informationDescriptor && length === 12) {
      information = readU64(bytes, at + 4);
      if (!Number.isSafeInteger(information)) throw new RemoteProtocolError('information above 2^53 - 1');
    } else if (type === keySpecificDescriptor && length === 8) field = readFieldPointer(bytes, at + 4);
    at += length;
  }
  return { key: (bytes[1] as number) & 0x0f, code: readU16(bytes, 2), information, field };
}

const pointerValid = 0x80;
const pointsIntoCdb = 0x40;
const bitPointerValid = 0x08;

function writeFieldPointer(bytes: Uint8Array, at: number, { inCdb, byte, bit }: FieldPointer): void {
  bytes[at] = pointerValid | (inCdb ? pointsIntoCdb : 0) | (bit === undefined ? 0 : bitPointerValid | bit);
  writeU16(bytes, at + 1, byte);
}

function readFieldPointer(bytes: Uint8Array, at: number): FieldPointer | undefined {
  const flags = bytes[at] as number;
  if ((flags & pointerValid) === 0) return undefined;
  const bit = (flags & bitPointerValid) === 0 ? undefined : flags & 7;
  return { inCdb: (flags & pointsIntoCdb) !== 0, byte: readU16(bytes, at + 1), bit };
}
