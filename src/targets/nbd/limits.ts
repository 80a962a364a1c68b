const mebi = 1024 * 1024;

/**
 * A client that sends nothing and keeps its connection open waits for its answers, for so long: Linux gives a request at least
 * 30 s before it gives up. A cluster that can't write for a while is waited for, not an error (docs/decisions/0020).
 */
export const silenceMsMax = 25_000;

/** What one connection may hold at most. Checked before memory is taken. */
export interface NbdLimits {
  /** Requests being carried out; further ones stay unread in the socket. */
  readonly requestsMax: number;
  /** Payload of those requests, read and write together. One request is always admitted. */
  readonly inFlightBytesMax: number;
  /**
   * Received and not yet worked on, above which the connection is read no further. Not at once: what stays in the socket
   * can't be told from what has waited there for long.
   */
  readonly inputBytesMax: number;
  /** Of one READ or WRITE, as told to the client in INFO_BLOCK_SIZE. A larger one is refused with EINVAL. */
  readonly payloadBytesMax: number;
  /** From the connection's start to the transmission phase. */
  readonly handshakeMsMax: number;
  /** How long a volume without a leader is asked for again before the client is sent away. */
  readonly openRetryMsMax: number;
}

export const defaultNbdLimits: NbdLimits = {
  requestsMax: 1024,
  inFlightBytesMax: 48 * mebi,
  inputBytesMax: 80 * mebi,
  payloadBytesMax: 32 * mebi,
  handshakeMsMax: 15_000,
  openRetryMsMax: 5_000,
};

/** The payload of a refused WRITE is skipped up to this length; a longer one ends the connection. */
export const skippedPayloadBytesMax = 32 * mebi;
/** Option data that is kept to be read: a name, 4 KiB queries. */
export const optionBytesMax = 64 * 1024;
/** A longer option is skipped and refused up to this length; beyond it the connection ends. */
export const skippedOptionBytesMax = mebi;
/** Extents in one BLOCK_STATUS reply: the client asks again for the rest. */
export const extentsMax = 8192;
/** Zeros shorter than this travel as data: a chunk of its own costs more. */
export const holeBytesMin = 32 * 1024;
/** What the answer of a BLOCK_STATUS is counted for while it is carried out. */
export const blockStatusCostBytes = extentsMax * 8;
