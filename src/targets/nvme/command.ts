import type { Abandonment } from '../../volume/abandonment.ts';
import type { CompareResult, HostCommand, IoResult, ReadResult } from '../../volume/block-device.ts';
import type { CommandFields } from '../../wire/nvme/command.ts';
import { statuses } from '../../wire/nvme/codes.ts';

/** Who is told when the device has done a command. */
export interface CommandOwner {
  readonly arrivedAfterMs: number;
  readDone(command: Command, result: ReadResult): void;
  ioDone(command: Command, result: IoResult): void;
  comparedDone(command: Command, result: CompareResult): void;
}

/**
 * One command on its way. Used again for later ones: its callbacks are made once, so that an I/O costs no closure.
 * A promise that rejects is a bug of the device and deliberately not caught: the Corelet stops.
 */
export class Command implements CommandFields, HostCommand {
  opcode = 0;
  flags = 0;
  cid = 0;
  nsid = 0;
  sglAddress = 0;
  sglLengthBytes = 0;
  sglType = 0;
  cdw10 = 0;
  cdw11 = 0;
  cdw12 = 0;
  cdw13 = 0;
  cdw14 = 0;
  cdw15 = 0;
  /** Not `success`: refused, once data that comes with it has been skipped. */
  refusal: number = statuses.success;
  /** Data that the command moves, either way. */
  toControllerBytes = 0;
  toHostBytes = 0;
  /** What it costs beside its data: work that a few bytes ask for. Counted against the same bounds. */
  weightBytes = 0;
  /** Where on the volume, for commands that have such a place. */
  offset = 0;
  /** Data for the controller so far; a new array for every command, because the device may keep it. */
  parts: Uint8Array[] = [];
  receivedBytes = 0;
  /** Of data asked for by R2T; 0: none. */
  tag = 0;
  /** Counted against the bounds while it is on its way. */
  costBytes = 0;
  /** The other one of a fused pair. */
  partner: Command | undefined;
  /** Waits for an event, or for its partner: nothing is done about it now. */
  isHeld = false;
  abandonment: Abandonment | undefined;
  readonly whenRead: (result: ReadResult) => void;
  readonly whenDone: (result: IoResult) => void;
  readonly whenCompared: (result: CompareResult) => void;
  readonly #owner: CommandOwner;

  constructor(owner: CommandOwner) {
    this.#owner = owner;
    this.whenRead = (result) => owner.readDone(this, result);
    this.whenDone = (result) => owner.ioDone(this, result);
    this.whenCompared = (result) => owner.comparedDone(this, result);
  }

  get arrivedAfterMs(): number {
    return this.#owner.arrivedAfterMs;
  }

  /** As it came; nothing of the one before is left. */
  begin(fields: Readonly<CommandFields>): void {
    this.opcode = fields.opcode;
    this.flags = fields.flags;
    this.cid = fields.cid;
    this.nsid = fields.nsid;
    this.sglAddress = fields.sglAddress;
    this.sglLengthBytes = fields.sglLengthBytes;
    this.sglType = fields.sglType;
    this.cdw10 = fields.cdw10;
    this.cdw11 = fields.cdw11;
    this.cdw12 = fields.cdw12;
    this.cdw13 = fields.cdw13;
    this.cdw14 = fields.cdw14;
    this.cdw15 = fields.cdw15;
    this.refusal = statuses.success;
    this.toControllerBytes = 0;
    this.toHostBytes = 0;
    this.weightBytes = 0;
    this.offset = 0;
    this.parts = [];
    this.receivedBytes = 0;
    this.tag = 0;
    this.costBytes = 0;
    this.partner = undefined;
    this.isHeld = false;
    this.abandonment = undefined;
  }
}
