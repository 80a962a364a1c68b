import { assert, unreachable } from '../../base/assert.ts';
import type { Reader, Writer } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { blockBytes, chunkBytes } from '../../base/ids.ts';
import type { Codec } from './codec.ts';
import {
  readArc,
  readCrcs,
  readOptionalCorelet,
  readRange,
  readReplyCode,
  readVolume,
  writeCrcs,
  writeKey,
  writeOptionalCorelet,
  writeRange,
  writeReplyCode,
} from './fields.ts';
import { peerLimits } from './limits.ts';
import type { PayloadSink, PayloadSource } from './payload.ts';
import { epochActions } from './types.ts';
import type {
  CompareWriteBytes,
  OpBody,
  OpReply,
  OpRequest,
  PatchBytes,
  RaiseEpoch,
  SetKey,
  Ticket,
  WriteBlocks,
  WriteSameBlocks,
} from './types.ts';

const bodyKinds = {
  openSession: 0,
  write: 1,
  patch: 2,
  zero: 3,
  epoch: 4,
  key: 5,
  cancel: 6,
  compareWrite: 7,
  writeSame: 8,
} as const;

// epoch u64 · range · crcs u32 × blockCount · payload blockCount × 4,096
function writeWrite(out: Writer, body: WriteBlocks, payload: PayloadSink): void {
  assert(body.crcs.length === body.range.blockCount, 'one checksum per block');
  out.u64(body.epoch);
  writeRange(out, body.range);
  writeCrcs(out, body.crcs);
  payload.add(body.data, body.range.blockCount * blockBytes);
}
function readWrite(from: Reader, payload: PayloadSource): WriteBlocks {
  const epoch = from.u64();
  const range = readRange(from);
  const crcs = readCrcs(from, range.blockCount);
  return { kind: 'write', epoch, range, crcs, data: payload.pieces(range.blockCount * blockBytes) };
}

interface BytesInChunk {
  readonly epoch: number;
  readonly volume: PatchBytes['volume'];
  readonly layer: number;
  readonly chunk: number;
  readonly byteOffset: number;
  readonly crc: number;
  readonly data: readonly Uint8Array[];
}

// epoch u64 · volume u64 · layer u32 · chunk u64 · byteOffset u32 · crc u32 · payload: the rest of the message's
function writeBytes(out: Writer, body: BytesInChunk, payload: PayloadSink): number {
  const bytes = lengthOf(body.data);
  out.u64(body.epoch);
  out.u64(body.volume);
  out.u32(body.layer);
  out.u64(body.chunk);
  out.u32(body.byteOffset);
  out.u32(body.crc);
  payload.add(body.data, bytes);
  return bytes;
}
function readBytes(from: Reader, payload: PayloadSource): BytesInChunk & { readonly bytes: number } {
  const epoch = from.u64();
  const volume = readVolume(from);
  const layer = from.u32();
  const chunk = from.u64();
  const byteOffset = from.u32();
  const crc = from.u32();
  const bytes = payload.left;
  return { epoch, volume, layer, chunk, byteOffset, crc, bytes, data: payload.pieces(bytes) };
}

function writePatch(out: Writer, body: PatchBytes, payload: PayloadSink): void {
  const bytes = writeBytes(out, body, payload);
  assert(bytes > 0 && body.byteOffset + bytes <= chunkBytes, 'a patch stays within its chunk');
}
function readPatch(from: Reader, payload: PayloadSource): PatchBytes {
  const { bytes, ...fields } = readBytes(from, payload);
  if (bytes === 0 || fields.byteOffset + bytes > chunkBytes) {
    throw new RemoteProtocolError(`patch of ${bytes} bytes at ${fields.byteOffset} of a chunk`);
  }
  return { kind: 'patch', ...fields };
}

function isCompareLength(bytes: number, byteOffset: number): boolean {
  return bytes > 0 && bytes % 2 === 0 && bytes <= 2 * blockBytes && byteOffset + bytes / 2 <= chunkBytes;
}

function writeCompareWrite(out: Writer, body: CompareWriteBytes, payload: PayloadSink): void {
  const bytes = writeBytes(out, body, payload);
  assert(isCompareLength(bytes, body.byteOffset), 'at most a block is compared, within its chunk');
}
function readCompareWrite(from: Reader, payload: PayloadSource): CompareWriteBytes {
  const { bytes, ...fields } = readBytes(from, payload);
  if (!isCompareLength(bytes, fields.byteOffset)) {
    throw new RemoteProtocolError(`compare-and-write of ${bytes} bytes at ${fields.byteOffset} of a chunk`);
  }
  return { kind: 'compareWrite', ...fields };
}

// epoch u64 · range · crc u32 · payload 4,096
function writeWriteSame(out: Writer, body: WriteSameBlocks, payload: PayloadSink): void {
  out.u64(body.epoch);
  writeRange(out, body.range);
  out.u32(body.crc);
  payload.add(body.data, blockBytes);
}
function readWriteSame(from: Reader, payload: PayloadSource): WriteSameBlocks {
  const epoch = from.u64();
  const range = readRange(from);
  return { kind: 'writeSame', epoch, range, crc: from.u32(), data: payload.pieces(blockBytes) };
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.length;
  return bytes;
}

// present boolean · incarnation u64 · issuedMs f64 if present
function writeTicket(out: Writer, ticket: Ticket | undefined): void {
  out.boolean(ticket !== undefined);
  if (ticket === undefined) return;
  out.u64(ticket.incarnation);
  out.f64(ticket.issuedMs);
}
function readTicket(from: Reader): Ticket | undefined {
  if (!from.boolean()) return undefined;
  const incarnation = from.u64();
  const issuedMs = from.f64();
  if (!(issuedMs >= 0 && issuedMs < Number.POSITIVE_INFINITY)) throw new RemoteProtocolError(`ticket of ${issuedMs}`);
  return { incarnation, issuedMs };
}

// volume u64 · epoch u64 · action u8 (its place in `epochActions`)
function readEpoch(from: Reader): RaiseEpoch {
  const volume = readVolume(from);
  const epoch = from.u64();
  const action = epochActions[from.u8()];
  if (action === undefined) throw new RemoteProtocolError('unknown epoch action');
  return { kind: 'epoch', volume, epoch, action };
}

// key text · expectedVersion u64 · valueBytes u32 · value
function writeSetKey(out: Writer, body: SetKey): void {
  assert(body.value.length <= peerLimits.valueBytesMax, 'value too long');
  writeKey(out, body.key);
  out.u64(body.expectedVersion);
  out.blob(body.value);
}
function readSetKey(from: Reader): SetKey {
  return {
    kind: 'key',
    key: from.text(peerLimits.keyBytesMax),
    expectedVersion: from.u64(),
    value: from.blob(peerLimits.valueBytesMax),
  };
}

function writeBody(out: Writer, body: OpBody, payload: PayloadSink): void {
  out.u8(bodyKinds[body.kind]);
  switch (body.kind) {
    case 'openSession':
    case 'cancel':
      return;
    case 'compareWrite':
      return writeCompareWrite(out, body, payload);
    case 'writeSame':
      return writeWriteSame(out, body, payload);
    case 'write':
      return writeWrite(out, body, payload);
    case 'patch':
      return writePatch(out, body, payload);
    case 'zero':
      out.u64(body.epoch);
      return writeRange(out, body.range);
    case 'epoch':
      out.u64(body.volume);
      out.u64(body.epoch);
      return out.u8(epochActions.indexOf(body.action));
    case 'key':
      return writeSetKey(out, body);
    default:
      return unreachable(body);
  }
}

function readBody(from: Reader, payload: PayloadSource): OpBody {
  const kind = from.u8();
  switch (kind) {
    case bodyKinds.openSession:
      return { kind: 'openSession' };
    case bodyKinds.cancel:
      return { kind: 'cancel' };
    case bodyKinds.compareWrite:
      return readCompareWrite(from, payload);
    case bodyKinds.writeSame:
      return readWriteSame(from, payload);
    case bodyKinds.write:
      return readWrite(from, payload);
    case bodyKinds.patch:
      return readPatch(from, payload);
    case bodyKinds.zero:
      return { kind: 'zero', epoch: from.u64(), range: readRange(from) };
    case bodyKinds.epoch:
      return readEpoch(from);
    case bodyKinds.key:
      return readSetKey(from);
    default:
      throw new RemoteProtocolError(`operation kind ${kind}`);
  }
}

// request u32 · arc u32 · session u64 · number u64 · lowestOpen u64 · ticket (1 or 17 bytes) · kind u8 · that kind's fields
export const opCodec: Codec<OpRequest> = {
  encode(out, message, payload) {
    out.u32(message.request);
    out.u32(message.arc);
    out.u64(message.session);
    out.u64(message.number);
    out.u64(message.lowestOpen);
    writeTicket(out, message.ticket);
    writeBody(out, message.body, payload);
  },
  decode(from, payload) {
    return {
      type: 'op',
      request: from.u32(),
      arc: readArc(from),
      session: from.u64(),
      number: from.u64(),
      lowestOpen: from.u64(),
      ticket: readTicket(from),
      body: readBody(from, payload),
    };
  },
};

// request u32 · code u8 · leader (1 or 17 bytes) · version u64
export const opReplyCodec: Codec<OpReply> = {
  encode(out, message) {
    out.u32(message.request);
    writeReplyCode(out, message.code);
    writeOptionalCorelet(out, message.leader);
    out.u64(message.version);
  },
  decode(from) {
    return {
      type: 'opReply',
      request: from.u32(),
      code: readReplyCode(from),
      leader: readOptionalCorelet(from),
      version: from.u64(),
    };
  },
};
