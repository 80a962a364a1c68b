import type { BlockDevice, HostCommand } from '../../volume/block-device.ts';
import type { Right } from '../../volume/reservations.ts';
import type { SupportedCommand } from '../../wire/scsi/supported-opcodes.ts';
import type { Sense } from '../../wire/scsi/sense.ts';
import type { CopyResults } from './copy-results.ts';
import type { Reply } from './reply.ts';
import type { Unit } from './unit.ts';

/** What a command needs of its nexus. */
export interface CommandNexus {
  /** As reservations know it. */
  readonly registrant: string;
  readonly initiatorName: string;
  readonly copies: CopyResults;
  /** The first unit attention that waits, which is then gone. */
  takeAttention(): Sense | undefined;
  descriptorSense(): boolean;
  /** RESERVE (6) has been granted, or given back. */
  holdsSession(holds: boolean): void;
}

/** A command that is being carried out. */
export interface Call {
  readonly cdb: Uint8Array;
  readonly dataOut: readonly Uint8Array[];
  readonly dataOutBytes: number;
  readonly device: BlockDevice;
  readonly unit: Unit;
  readonly nexus: CommandNexus;
  readonly command: HostCommand;
}

/** What a command moves, by its CDB. */
export interface Plan {
  readonly outBytes: number;
  readonly inBytesMax: number;
}

export const movesNothing: Plan = { outBytes: 0, inBytesMax: 0 };

export interface Admitting {
  readonly device: BlockDevice;
  readonly expectedOutBytes: number;
}

/** One row of the table of commands: everything that is particular to one. */
export interface CommandRow extends SupportedCommand {
  /**
   * Which other hosts' reservations are in its way (SPC-4 §5.13, SBC-3 §4.12). `free`: none. `attend`: RESERVE (6) alone. `io`: the device judges by
   * itself what it reads and writes.
   */
  readonly right: 'free' | 'io' | Right;
  /** Whether it writes: refused while the software write protection is on. */
  readonly writes?: boolean;
  /** Carried out for a LUN that isn't there too, and before a unit attention is told. */
  readonly always?: boolean;
  readonly plan: (cdb: Uint8Array, admitting: Admitting) => Plan | Sense;
  readonly run: (call: Call) => Reply | Promise<Reply>;
}
