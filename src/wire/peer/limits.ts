/**
 * T_life: a leader appends a host's command only with a ticket that it issued no longer ago, by its own clock (design §10.10).
 * Shorter than any host waits before it takes another path (KATO, NOP-Out time-outs: 5 s and more). Milliseconds.
 */
export const ticketLifeMs = 1000;

/** What one message or frame between Corelets may hold. Every bound is checked before memory is taken for it. */
export const peerLimits = {
  /** Arcs are numbered below this. */
  arcsMax: 65_536,
  entriesPerAppendMax: 1024,
  /** One log entry's head; equals what the store takes. */
  entryHeadBytesMax: 64 * 1024,
  keyBytesMax: 512,
  valueBytesMax: 64 * 1024,
  keyEntriesMax: 4096,
  /** Operations of one session are numbered within this of its lowest open one. */
  sessionWindowMax: 1024,
  /** Block data of one operation, read or copied chunk: a chunk. */
  dataBytesMax: 1024 * 1024,
  /** An arc's whole state in a copy. */
  copyStateBytesMax: 8 * 1024 * 1024,
  routesMax: 65_536,
  /** Distinct Corelets named in one routes message. */
  routeCoreletsMax: 65_535,
  replicasPerRouteMax: 16,
  membershipBytesMax: 64 * 1024,
  /** Room for a proof of identity in the handshake. */
  authenticationBytesMax: 1024,

  /** One message's fields, without its payload. A sender that would exceed it has a bug. */
  messageHeadBytesMax: 8 * 1024 * 1024,
  /** One message's payload: the block data of an append, or a copy's state. */
  messagePayloadBytesMax: 8 * 1024 * 1024,
  /** A frame that has reached one of these takes no further message … */
  frameHeadsBytesFull: 256 * 1024,
  framePayloadBytesFull: 4 * 1024 * 1024,
  frameMessagesMax: 4096,
  /** … so that with one message more it stays below these, which a receiver enforces. */
  frameHeadsBytesMax: 256 * 1024 + 8 * 1024 * 1024,
  framePayloadBytesMax: 4 * 1024 * 1024 + 8 * 1024 * 1024,
} as const;

/** Bytes queued for a peer, by lane (liveness, host, heal), beyond which the lane takes no further message. */
export const laneBytesMax = [1024 * 1024, 32 * 1024 * 1024, 16 * 1024 * 1024] as const;
