// The numbers of the NBD protocol (NetworkBlockDevice/nbd doc/proto.md). All fields on the wire are big-endian.

/** 64-bit magics as (high, low) halves: no bigint on the hot path. */
export const magics = {
  greetingHigh: 0x4e42444d, // NBDM
  greetingLow: 0x41474943, // AGIC
  optionHigh: 0x49484156, // IHAV
  optionLow: 0x454f5054, // EOPT
  optionReplyHigh: 0x0003e889,
  optionReplyLow: 0x045565a9,
  request: 0x25609513,
  simpleReply: 0x67446698,
  structuredReply: 0x668e33ef,
} as const;

/** Handshake flags: the server's (u16) and the client's answer (u32) use the same bits. */
export const handshakeFlags = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const options = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
  extendedHeaders: 11,
} as const;

export const optionReplies = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  errUnsupported: 0x8000_0001,
  errPolicy: 0x8000_0002,
  errInvalid: 0x8000_0003,
  errPlatform: 0x8000_0004,
  errTlsRequired: 0x8000_0005,
  errUnknown: 0x8000_0006,
  errShutdown: 0x8000_0007,
  errBlockSizeRequired: 0x8000_0008,
  errTooBig: 0x8000_0009,
} as const;

export const infoTypes = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

export const transmissionFlags = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  sendFlush: 1 << 2,
  sendFua: 1 << 3,
  rotational: 1 << 4,
  sendTrim: 1 << 5,
  sendWriteZeroes: 1 << 6,
  sendDf: 1 << 7,
  canMultiConn: 1 << 8,
  sendCache: 1 << 10,
  sendFastZero: 1 << 11,
} as const;

export const commands = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

export const commandFlags = { fua: 1, noHole: 2, df: 4, reqOne: 8, fastZero: 16 } as const;

export const chunkTypes = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  error: 0x8001,
  errorOffset: 0x8002,
} as const;

export const chunkFlags = { done: 1 } as const;

/** `base:allocation` status bits. */
export const allocationStates = { data: 0, hole: 1, zero: 2 } as const;
export const allocationContext = 'base:allocation';
export const allocationContextId = 1;

/** Error numbers that a reply may carry. */
export const errors = {
  none: 0,
  permission: 1, // EPERM
  io: 5, // EIO
  noMemory: 12, // ENOMEM
  invalid: 22, // EINVAL
  noSpace: 28, // ENOSPC
  overflow: 75, // EOVERFLOW
  unsupported: 95, // ENOTSUP
  shutdown: 108, // ESHUTDOWN
} as const;
export type ErrorNumber = (typeof errors)[keyof typeof errors];

/** The protocol's own limit on names, queries and messages, in bytes. */
export const stringBytesMax = 4096;
