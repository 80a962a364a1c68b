import { assert } from '../../base/assert.ts';
import { Reader, Writer } from '../../base/bytes.ts';
import { crc32c } from '../../base/crc32c.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import type { ClusterId, CoreletId } from '../../base/ids.ts';
import type { PeerLane } from './codes.ts';
import { peerLimits } from './limits.ts';

/** Why a connection was refused; its place is its number on the wire. `none` in the dialer's hello and in a consent. */
export const refusals = ['none', 'cluster', 'version', 'self', 'identity', 'duplicate', 'stale', 'crowded'] as const;
export type Refusal = (typeof refusals)[number];

/** The first bytes in either direction: the dialer's hello, then the answer in the same layout. */
export interface HelloMessage {
  /** Newest and oldest format spoken; both sides then use the lower of the two newest. */
  readonly version: number;
  readonly versionOldest: number;
  readonly lane: PeerLane;
  readonly refusal: Refusal;
  readonly cluster: ClusterId;
  readonly id: CoreletId;
  readonly incarnation: number;
  /** Empty until connections are authenticated. */
  readonly authentication: Uint8Array;
}

const helloMagic = 0x48_6c_72_43; // "CrlH"
const fixedBytes = 52;
const lengthAt = 50;
/** A hello that hasn't ended by then is none. */
export const helloBytesMax = fixedBytes + peerLimits.authenticationBytesMax + 4;

// magic u32 · version u16 · versionOldest u16 · lane u8 · refusal u8 · cluster 16 · id 16 · incarnation u64 ·
// authenticationBytes u16 · authentication · CRC32C u32 of all before it
// magic, version and CRC keep their places in every later version.
export function encodeHello(hello: HelloMessage): Uint8Array {
  assert(hello.authentication.length <= peerLimits.authenticationBytesMax, 'authentication too long');
  const out = new Writer(fixedBytes + hello.authentication.length + 4);
  out.u32(helloMagic);
  out.u16(hello.version);
  out.u16(hello.versionOldest);
  out.u8(hello.lane);
  out.u8(refusals.indexOf(hello.refusal));
  out.id(hello.cluster);
  out.id(hello.id);
  out.u64(hello.incarnation);
  out.u16(hello.authentication.length);
  out.raw(hello.authentication);
  out.u32(crc32c(out.written()));
  return out.copy();
}

/**
 * Bytes that the hello at the front of `bytes` takes; undefined while too little has arrived to know.
 * @throws RemoteProtocolError as soon as it can't be one.
 */
export function helloLength(bytes: Uint8Array): number | undefined {
  for (let i = 0; i < Math.min(4, bytes.length); i++) {
    if (bytes[i] !== ((helloMagic >>> (8 * i)) & 255)) throw new RemoteProtocolError('not a Corelet');
  }
  if (bytes.length < fixedBytes) return undefined;
  const authenticationBytes = (bytes[lengthAt] as number) | ((bytes[lengthAt + 1] as number) << 8);
  if (authenticationBytes > peerLimits.authenticationBytesMax) {
    throw new RemoteProtocolError(`authentication of ${authenticationBytes} bytes`);
  }
  return fixedBytes + authenticationBytes + 4;
}

/** Decodes exactly one hello. @throws RemoteProtocolError */
export function decodeHello(bytes: Uint8Array): HelloMessage {
  if (helloLength(bytes) !== bytes.length) throw new RemoteProtocolError('hello cut short');
  const from = new Reader(bytes);
  const crc = new Reader(bytes, bytes.length - 4).u32();
  if (crc32c(bytes.subarray(0, bytes.length - 4)) !== crc) throw new RemoteProtocolError('hello CRC');
  from.u32();
  const version = from.u16();
  const versionOldest = from.u16();
  const lane = from.u8();
  const refusalPlace = from.u8();
  const refusal = refusals[refusalPlace];
  if (lane !== 0 && lane !== 1 && lane !== 2) throw new RemoteProtocolError(`lane ${lane}`);
  if (refusal === undefined) throw new RemoteProtocolError(`refusal ${refusalPlace}`);
  if (versionOldest > version) throw new RemoteProtocolError(`versions ${versionOldest} to ${version}`);
  const cluster = from.id() as ClusterId;
  const id = from.id() as CoreletId;
  const incarnation = from.u64();
  const authentication = from.raw(from.u16());
  return { version, versionOldest, lane, refusal, cluster, id, incarnation, authentication };
}
