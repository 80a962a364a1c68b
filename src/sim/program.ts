import type { CoreletId } from '../base/ids.ts';
import type { CoreletHandle, CoreletOptions, CoreletPorts, Founding } from '../corelet/types.ts';
import type { Fabric, Hello } from '../ports/fabric.ts';
import type { Flash } from '../ports/flash.ts';
import type { Random } from '../ports/random.ts';
import type { PeerMessage } from '../wire/peer/types.ts';

/** What runs in the slots: the Corelet, or a test's stand-in with a fault of its own. */
export interface SimProgram {
  /** Makes a blank device a Corelet's. `founding` without members: a blank module that will ask to be admitted. */
  format(flash: Flash, id: CoreletId, founding: Founding, random: Random): Promise<void>;
  start(ports: CoreletPorts, options: CoreletOptions): Promise<CoreletHandle>;
}

/** Where damage is aimed at: the blocks of hosts, or what a store writes around them. */
export type DamageTarget = 'data' | 'metadata';

/** What can go wrong with a medium beside the power. Each returns what it did, for the journal; undefined: nothing to hurt. */
export interface MediumDamage {
  /** A bit flips in a sector that was written. */
  rot(target: DamageTarget): string | undefined;
  /** A bit flipped in what was written last: as far as the device tells, that write was torn. */
  readonly newestIsHurt: boolean;
  /** Sectors that were written can't be read until they are written again. */
  loseSectors(target: DamageTarget): string | undefined;
  /** The next write is told durable and lands elsewhere. */
  misdirectNextWrite(): string | undefined;
  /** The next write is told durable and never lands. */
  loseNextWrite(): void;
  /** The next write fails; some of its sectors may have landed. */
  failNextWrite(): void;
  /** What the next write was to suffer, if there has been none since, is taken back. */
  spareNextWrite(): void;
  /** No room beyond what was written so far. */
  setFull(full: boolean): void;
}

/** All that a medium held at one moment. */
export interface MediumImage {
  /** A medium of the same kind with these contents. */
  copy(label: string): SimMedium;
}

/** The flash of one module: what survives its processes. */
export interface SimMedium {
  /** For a process that starts. */
  attach(): Flash;
  /** The power is gone: what wasn't synced survives as the medium pleases. */
  crash(): void;
  /** 1 = as it is; 20 = every operation takes twenty times as long. */
  setSlowness(factor: number): void;
  /** Absent: nothing can be done to it. */
  readonly damage?: MediumDamage;
  /** As it is now, without what is under way. */
  image?(): MediumImage;
  /** Whether a host's write ever became durable here. */
  holds?(key: number, value: number): boolean;
}

/** Everything between the modules. Directions are separate. */
export interface SimWires {
  attach(hello: Hello, address: string): Fabric<PeerMessage>;
  /** The process is gone: its connections end as resets at the other side. */
  crash(id: CoreletId): void;
  cut(from: CoreletId, to: CoreletId): void;
  mend(from: CoreletId, to: CoreletId): void;
  setSlowness(id: CoreletId, factor: number): void;
  /** Share of messages that get lost on the way to and from `id`. */
  setLoss(id: CoreletId, share: number): void;
  /** Messages to and from `id` that bear it come twice or overtake, this often; lanes are late by up to this, each by its own. */
  setDisorder?(id: CoreletId, share: number, laneDelayMs: number): void;
}

export interface SimHardware {
  readonly wires: SimWires;
  makeMedium(label: string): SimMedium;
}
