import type { Abandonment } from '../../volume/abandonment.ts';

/**
 * What a SCSI transport and the device server say to each other. The transport (iSCSI) owns connections, sessions, tasks and their data;
 * the device server owns what commands mean. One target is one volume, as LUN 0.
 *
 * A command goes: `admit` when its CDB arrives → the transport collects the data-out that it was told → `execute` → the response.
 */

/** A target port: one Corelet's portals together. Every Corelet is a port group of one port (SPC-4 §5.15). */
export interface TargetPort {
  /** 1 to 65,535, unlike every other Corelet's. */
  readonly relativePort: number;
  readonly portGroup: number;
}

/** `unavailable`: its Corelet can't be reached now. */
export interface PortGroupState extends TargetPort {
  readonly state: 'activeOptimized' | 'unavailable' | 'transitioning';
}

/** Who is at the other end: an initiator port (RFC 7143 §4.2.7: iSCSI name and ISID). */
export interface InitiatorPort {
  /** As compared: lower case. At most `hostNameBytesMax`. */
  readonly name: string;
  /** 12 lower-case hex digits. */
  readonly isid: string;
}

/** Why tasks are taken away from a transport that didn't ask for it. */
export type TaskLoss = 'logicalUnitReset' | 'targetReset' | 'preempted';

/** The session, as the device server calls it. */
export interface NexusListener {
  /**
   * Every task of this nexus is over: those that are still receiving data at once, those in `execute` by giving their `Abandonment` up.
   * Settles when each is applied or can't be any more (design §10.1). No response is sent for any of them (TAS is 0).
   */
  abortTasks(loss: TaskLoss): Promise<void>;
}

export interface ScsiTargets {
  /**
   * A session has logged in: the I_T nexus comes to be, with a unit attention (29h/00h) waiting. A former nexus of the same initiator port at this
   * target has been closed by the transport before (reinstatement). `NOT_FOUND`: no such volume for this initiator.
   */
  connect(
    volume: string,
    initiator: InitiatorPort,
    listener: NexusListener,
  ): Promise<ScsiNexus | 'NOT_FOUND' | 'RETRYABLE'>;
}

/** What became known of a command when its CDB arrived. */
export type Admission =
  /** Answered already (unit attention, absent LUN, an invalid field …): no data is solicited, what came is discarded. */
  | { readonly kind: 'refused'; readonly response: ScsiResponse }
  /**
   * `dataOutBytes` is what the CDB asks for; the transport collects the smaller of that and what the initiator expects to send, and passes
   * just that. 0 for commands that take none. `dataInBytesMax`: the response brings no more than this (0 for commands that bring none); a bound to pace by.
   */
  | { readonly kind: 'admitted'; readonly dataOutBytes: number; readonly dataInBytesMax: number };

export interface ScsiCommand {
  /** The 8 bytes of the LUN field (SAM-5 §4.7). */
  readonly lun: Uint8Array;
  /** At least as long as its opcode's format; longer is fine (iSCSI: always 16 bytes). */
  readonly cdb: Uint8Array;
  /** In order, concatenated the data; not joined, and unchanged until the response is there. */
  readonly dataOut: readonly Uint8Array[];
  /** As in `HostCommand`. May grow while the command runs. */
  readonly arrivedAfterMs: number;
  /** Given up by ABORT TASK, resets, logout, lost sessions. `execute` then settles when the command is applied or can't be any more; its response is nobody's. */
  readonly abandonment: Abandonment;
}

/** SAM-5 §5.3. */
export interface ScsiResponse {
  readonly status: number;
  /** Without the 2-byte length that iSCSI puts before it (RFC 7143 §11.4.7.2); empty unless CHECK CONDITION. */
  readonly sense: Uint8Array;
  /** Concatenated the data-in, not joined. The transport sends at most what the initiator expects. */
  readonly dataIn: readonly Uint8Array[];
  /**
   * Bytes that the command moves by its CDB and outcome, of data-in or data-out. The transport compares with the expected transfer length:
   * less is an underflow by the difference, more an overflow (RFC 7143 §11.4.5). 0 when a command failed without moving data.
   */
  readonly transferBytes: number;
}

/** `UNKNOWN`: no answer would be true (design §3, "Once"); the transport closes the connection unanswered. */
export type ExecuteResult = ScsiResponse | 'UNKNOWN';

/** SAM-5 §7; what the transport doesn't do by itself. ABORT TASK, ABORT TASK SET: the transport gives up its own tasks. */
export interface ScsiNexus {
  /**
   * Called once for each command, in order, when it becomes ready to be carried out (iSCSI: in CmdSN order). `expectedOutBytes`: what the initiator
   * means to send (with W set the expected transfer length, else 0): some commands take exactly one length. Doesn't touch the device.
   */
  admit(lun: Uint8Array, cdb: Uint8Array, expectedOutBytes: number): Admission;
  /** Only after `admit` said `admitted`. Never throws for what a host sent. */
  execute(command: ScsiCommand): Promise<ExecuteResult>;
  /** Whether task management may name this LUN ("LUN does not exist" otherwise). */
  hasLun(lun: Uint8Array): boolean;
  /**
   * LOGICAL UNIT RESET (LUN 0) and TARGET WARM or COLD RESET: aborts the tasks of every nexus of the volume at this Corelet (`abortTasks`, the
   * caller's too), drops RESERVE (6), and leaves a unit attention for all. Settles when all of that is true.
   */
  reset(scope: 'logicalUnit' | 'target'): Promise<void>;
  /** CLEAR TASK SET: the same tasks are gone, nothing else; others find "commands cleared by another initiator". */
  clearTaskSet(): Promise<void>;
  /**
   * The session has ended: logged out, lost, or replaced. The transport has ended its tasks before. Drops what RESERVE (6) held. After it, nothing else
   * is called. Settles when a new nexus of the same initiator port may come.
   */
  close(): Promise<void>;
}
