import { assert } from '../../base/assert.ts';
import { type Reader, utf8Bytes, type Writer } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import type { ArcId, CoreletId, VolumeId } from '../../base/ids.ts';
import { blocksPerChunk } from '../../base/ids.ts';
import { peerLimits } from './limits.ts';
import type { BlockRangeFields, ReplyCode } from './types.ts';
import { replyCodes } from './types.ts';

// Fields that several messages share.

/** Byte by byte: `Writer.u16` takes its view before it makes room, and fails where the buffer has to grow for it. */
export function writeU16(out: Writer, value: number): void {
  out.u8(value & 0xff);
  out.u8(value >>> 8);
}

export function readArc(from: Reader): ArcId {
  const arc = from.u32();
  if (arc >= peerLimits.arcsMax) throw new RemoteProtocolError(`arc ${arc}`);
  return arc as ArcId;
}

export function readVolume(from: Reader): VolumeId {
  return from.u64() as VolumeId;
}

/**
 * arc u32 · fromGeneration u32 · toGeneration u32 · term u64
 *
 * Read field by field in each decoder: spreading a shared object would cost an allocation per message.
 */
export function writeBetweenReplicas(
  out: Writer,
  message: {
    readonly arc: ArcId;
    readonly fromGeneration: number;
    readonly toGeneration: number;
    readonly term: number;
  },
): void {
  out.u32(message.arc);
  out.u32(message.fromGeneration);
  out.u32(message.toGeneration);
  out.u64(message.term);
}

/** volume u64 · layer u32 · chunk u64 · firstBlock u16 · blockCount u16 */
export function writeRange(out: Writer, range: BlockRangeFields): void {
  out.u64(range.volume);
  out.u32(range.layer);
  out.u64(range.chunk);
  writeU16(out, range.firstBlock);
  writeU16(out, range.blockCount);
}

export function readRange(from: Reader): BlockRangeFields {
  const volume = readVolume(from);
  const layer = from.u32();
  const chunk = from.u64();
  const firstBlock = from.u16();
  const blockCount = from.u16();
  if (blockCount === 0 || firstBlock + blockCount > blocksPerChunk) {
    throw new RemoteProtocolError(`${blockCount} blocks from block ${firstBlock} of a chunk`);
  }
  return { volume, layer, chunk, firstBlock, blockCount };
}

/** u32 each; the count is known from another field. */
export function writeCrcs(out: Writer, crcs: Uint32Array): void {
  for (let i = 0; i < crcs.length; i++) out.u32(crcs[i] as number);
}

export function readCrcs(from: Reader, count: number): Uint32Array {
  if (count * 4 > from.left) throw new RemoteProtocolError(`${count} checksums announced`);
  const crcs = new Uint32Array(count);
  for (let i = 0; i < count; i++) crcs[i] = from.u32();
  return crcs;
}

/** code u8 (its place in `replyCodes`) */
export function writeReplyCode(out: Writer, code: ReplyCode): void {
  out.u8(replyCodes.indexOf(code));
}

export function readReplyCode(from: Reader): ReplyCode {
  const place = from.u8();
  const code = replyCodes[place];
  if (code === undefined) throw new RemoteProtocolError(`reply code ${place}`);
  return code;
}

/** present boolean · id 16 bytes if present */
export function writeOptionalCorelet(out: Writer, id: CoreletId | undefined): void {
  out.boolean(id !== undefined);
  if (id !== undefined) out.id(id);
}

export function readOptionalCorelet(from: Reader): CoreletId | undefined {
  return from.boolean() ? (from.id() as CoreletId) : undefined;
}

/** bytes u16 · UTF-8; read by `Reader.text`. A key that is too long is a bug of the sender. */
export function writeKey(out: Writer, key: string): void {
  const encoded = utf8Bytes(key);
  assert(encoded.length <= peerLimits.keyBytesMax, 'key too long');
  writeU16(out, encoded.length);
  out.raw(encoded);
}
