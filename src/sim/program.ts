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

/** The flash of one module: what survives its processes. */
export interface SimMedium {
  /** For a process that starts. */
  attach(): Flash;
  /** The power is gone: what wasn't synced survives as the medium pleases. */
  crash(): void;
  /** 1 = as it is; 20 = every operation takes twenty times as long. */
  setSlowness(factor: number): void;
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
}

export interface SimHardware {
  readonly wires: SimWires;
  makeMedium(label: string): SimMedium;
}
