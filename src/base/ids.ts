/** Branded ids: the compiler refuses to pass one for another. All are plain strings or safe integers at run time. */
declare const brand: unique symbol;
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** 128 random bits as 32 lower-case hex digits; 16 bytes on the wire. */
export type CoreletId = Brand<string, 'CoreletId'>;
/** 128 random bits as 32 lower-case hex digits, one per cluster; every handshake and device carries it. */
export type ClusterId = Brand<string, 'ClusterId'>;
/** Random safe integer (48 bits), never used again after a delete. */
export type VolumeId = Brand<number, 'VolumeId'>;
/** Position of an arc on the ring, 0 … arcs − 1. */
export type ArcId = Brand<number, 'ArcId'>;

/** Raft's term and log index: safe integers from 1; 0 means "none yet". */
export type Term = number;
export type LogIndex = number;
/** Of a block: the log index of its arc that wrote it; 0 = never written. */
export type Version = number;
/** Of a replica of an arc: random u32 (never 0), named in the configuration with the Corelet's id (INV-10). */
export type Generation = number;

export const blockBytes = 4096;
export const chunkBytes = 1024 * 1024;
export const blocksPerChunk = chunkBytes / blockBytes;

const hex32 = /^[0-9a-f]{32}$/;
export function isHexId(text: string): boolean {
  return hex32.test(text);
}
