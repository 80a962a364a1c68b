const kibi = 1024;
const mebi = 1024 * kibi;

/** What one connection may hold at most. Checked before memory is taken. */
export interface IscsiLimits {
  /** Commands that an initiator may have under way: MaxCmdSN opens no further. */
  readonly commandsMax: number;
  /** Commands and task management marked immediate, which the window doesn't hold back. */
  readonly immediateMax: number;
  /** Payload of commands being collected or carried out. One command is always admitted. */
  readonly inFlightBytesMax: number;
  /** Received and not yet worked on, above which the connection is read no further. */
  readonly inputBytesMax: number;
  /**
   * What all connections of a Corelet hold together: data of commands, input, unsent answers. Beyond it each carries out one command at a time,
   * and keeps no more than its floor.
   */
  readonly sharedBytesMax: number;
  /** A connection's floor: of one command, of data that nobody asked for, of input. */
  readonly floorBytes: number;
  /** From the connection's start to the full-feature phase. */
  readonly loginMsMax: number;
  /** How long a volume, its rules or the list of all are asked for again, when they can't be read now, before the initiator is told so. */
  readonly openRetryMsMax: number;
  /** Nothing heard for so long: the target asks with a NOP-In. */
  readonly idlePingMs: number;
  /** The same while commands are under way: whoever answers has given none of them up (docs/decisions/0020). */
  readonly busyPingMs: number;
  /** A NOP-In not answered, and nothing else heard, for so long: the session is dead. */
  readonly pingAnswerMsMax: number;
  /** A session that holds memory and for so long neither sends data that it owes nor takes answers: it is dead, whatever it says. */
  readonly stuckMsMax: number;
  /** How long an initiator that was asked to log out may take before it is cut off. */
  readonly logoutGraceMs: number;
}

export const defaultIscsiLimits: IscsiLimits = {
  commandsMax: 128,
  immediateMax: 16,
  inFlightBytesMax: 48 * mebi,
  inputBytesMax: 8 * mebi,
  sharedBytesMax: 256 * mebi,
  floorBytes: mebi,
  loginMsMax: 15_000,
  openRetryMsMax: 5_000,
  idlePingMs: 10_000,
  busyPingMs: 250,
  pingAnswerMsMax: 10_000,
  stuckMsMax: 60_000,
  logoutGraceMs: 3_000,
};

/** MaxRecvDataSegmentLength as we declare it. */
export const dataSegmentBytesMax = 256 * kibi;
/** Before it is declared (RFC 7143 §13.12), and so of the login. */
export const loginSegmentBytesMax = 8 * kibi;
export const firstBurstBytesMax = 256 * kibi;
export const burstBytesMax = 4 * mebi;
export const outstandingR2tMax = 16;
/** Text of one login, or of one text request, in all its parts. */
export const textBytesMax = 8 * kibi;
/** Requests of one login: more than any negotiation takes. */
export const loginRequestsMax = 64;
/** The answer to one SendTargets. */
export const targetsTextBytesMax = 4 * mebi;
