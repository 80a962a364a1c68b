const kibi = 1024;
const mebi = 1024 * kibi;

/** What one Corelet's NVMe target may hold at most. Checked before memory is taken. */
export interface NvmeLimits {
  /** Commands that a queue may hold (CAP.MQES, one more): a host that sends more is cut off. */
  readonly queueEntriesMax: number;
  /** Queues for I/O of one controller; a host that asks for more gets these. */
  readonly ioQueuesMax: number;
  /** Controllers of one Corelet: hosts times volumes. A further host is told to try again. */
  readonly controllersMax: number;
  /** Data of the commands of one connection that are carried out or transferred; further commands wait, one is always admitted. */
  readonly connectionBytesMax: number;
  /** The same, of all connections together. */
  readonly sharedBytesMax: number;
  /** Received and not yet worked on, above which the connection is read no further. */
  readonly inputBytesMax: number;
  /** From the connection's start until it belongs to a queue. */
  readonly connectMsMax: number;
}

export const defaultNvmeLimits: NvmeLimits = {
  queueEntriesMax: 128,
  ioQueuesMax: 32,
  controllersMax: 256,
  connectionBytesMax: 32 * mebi,
  sharedBytesMax: 256 * mebi,
  inputBytesMax: 8 * mebi,
  connectMsMax: 15_000,
};

/** Of one command: MDTS, a power of two of 4 KiB. */
export const mdtsLog2 = 8;
export const transferBytesMax = 4096 << mdtsLog2;
/** Write data that comes with its command on a queue for I/O: what IOCCSZ says. */
export const inCapsuleBytesMax = 16 * kibi;
/** Linux sends up to this with any admin or fabrics command, whatever IOCCSZ says. */
export const adminInCapsuleBytesMax = 8 * kibi;
/** Logical blocks of 512 bytes, as NBD and SCSI have them: one disk image means the same through every protocol. */
export const lbaLog2 = 9;
export const lbaBytes = 1 << lbaLog2;

/** Ranges of one deallocation, blocks of one range, and of all. */
export const deallocateRangesMax = 128;
export const deallocateRangeBlocksMax = 131_072;
export const deallocateBlocksMax = 1_048_576;

/** An operation on a chunk counts for so much against the bounds, whatever it moves; a deallocation for what it may ask for at most, before it is read. */
export const chunkWeightBytes = 8 * kibi;
export const deallocateWeightBytes = ((deallocateBlocksMax * lbaBytes) / mebi) * chunkWeightBytes;

/** Asynchronous events that a host may have outstanding, and events kept for one that has none. */
export const asyncEventsMax = 4;
export const errorEntriesMax = 64;
/** Ways to volumes that discovery tells at most. */
export const discoveryRecordsMax = 4096;

/** KATO counts in units of 100 ms: ten are a second. A host that asks for none is never given up for silence. */
export const keepAliveUnits = 10;
/** When the time is over, what has arrived meanwhile is read before judgement. */
export const keepAliveGraceMs = 100;

/**
 * A host that sends nothing and keeps its connection open waits for its answers, for so long: Linux gives a command 30 s
 * before it goes another way; and it goes another way no sooner than its keep-alive time after it was last heard.
 */
export const silenceMsMax = 25_000;
