import type { ArcId, ClusterId, CoreletId, Generation, LogIndex, Term } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Fabric } from '../ports/fabric.ts';
import type { Flash } from '../ports/flash.ts';
import type { Random } from '../ports/random.ts';
import type { WishResult } from '../membership/core.ts';
import type { SlowFigures } from '../membership/slowness.ts';
import type { Member, MemberState, View } from '../ring/view.ts';
import type { DeviceHealth, DeviceSensors } from '../store/health.ts';
import type { ScrubStatus } from '../healing/scrub.ts';
import type { AccessRules, ChapRules } from '../volume/access.ts';
import type { VolumeCatalog } from '../volume/block-device.ts';
import type { PeerMessage } from '../wire/peer/types.ts';

/** Written once by whoever makes the cluster, into every first device: the first view and so the first voters of every arc (design §10.2). */
export interface Founding {
  readonly cluster: ClusterId;
  /** P, a power of two. */
  readonly arcs: number;
  /** Voters per arc of the pool. */
  readonly copies: number;
  readonly members: readonly Member[];
}

/** Everything outside one Corelet. `fabric.self` says who it is. */
export interface CoreletPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly flash: Flash;
  readonly fabric: Fabric<PeerMessage>;
  readonly events: Events;
  /** The newest readings of the device's sensors; without it none are known. */
  readonly sensors?: () => DeviceSensors;
}

export interface CoreletOptions {
  /** How this Corelet presents itself when it joins: address, slot, weight … */
  readonly self: Member;
  /** Fabric addresses to ask for admission when the device knows no view (a blank module). */
  readonly seeds: readonly { readonly id: CoreletId; readonly address: string }[];
  /** Memory for pages of the block map; what isn't used stays on the device. By default 64 MiB. */
  readonly mapBytes?: number;
  /** Between two chunks of the scrub that goes on by itself, in milliseconds; the scrub's own unless given. */
  readonly scrubStepMs?: number;
  /** For simulation: the view as placement shall see it, so that arcs move at any moment. The same object for the same answer. */
  readonly steer?: (view: View) => View;
}

/** One peer, running. Made by `startCorelet(ports, options)`. */
export interface CoreletHandle {
  readonly id: CoreletId;
  readonly catalog: VolumeCatalog;
  readonly volumes: VolumeControl;
  readonly rules: VolumeRules;
  /** Whether it hears a majority of the members: alone it can serve nothing. */
  isConnected(): boolean;
  status(): CoreletStatus;
  /** Calls `run` whenever the state of a slot in `status()` may have changed, from then on. */
  onSlotsChanged(run: () => void): void;
  /** Reads and checks every copy here now, of one volume (by name) or of all. Resolves when the round is done. */
  scrub(volume?: string): Promise<VolumeResult<ScrubStatus>>;
  /** For checkers: what this Corelet's replicas hold. */
  inspect(): readonly ReplicaInspection[];
  /** Asks the members to agree on another state of one; the view, and so `status()`, says when they have. */
  setMemberState(id: CoreletId, state: MemberState): WishResult;
  /** Resolves when the device failed or an assertion broke: the process must end. */
  readonly failed: Promise<Error>;
  /**
   * The last gasp: says that this Corelet goes, so that the others act at once instead of waiting for its silence, and hands
   * its leaderships over. Resolves when they agreed on a view without it, at most `limitMs` later. Then: `stop`.
   */
  leave(limitMs: number): Promise<void>;
  stop(): Promise<void>;
}

export type VolumeResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: VolumeErrorCode; readonly message: string };
export type VolumeErrorCode = 'EXISTS' | 'NOT_FOUND' | 'TOO_FEW_CORELETS' | 'UNAVAILABLE' | 'INVALID';

export interface VolumeInfo {
  readonly id: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly copies: number;
  readonly epoch: number;
  readonly state: 'creating' | 'open' | 'deleting';
}

export interface VolumeControl {
  create(request: {
    readonly name: string;
    readonly sizeBytes: number;
    readonly copies: number;
  }): Promise<VolumeResult<VolumeInfo>>;
  list(): Promise<VolumeResult<readonly VolumeInfo[]>>;
  show(name: string): Promise<VolumeResult<VolumeInfo>>;
  delete(name: string): Promise<VolumeResult<VolumeInfo>>;
  access(name: string): Promise<VolumeResult<AccessInfo>>;
  /** After `ok`, nothing of what the rules no longer allow can land anywhere, whatever was under way. */
  setAccess(name: string, change: AccessChange): Promise<VolumeResult<AccessInfo>>;
}

/** Who may use a volume, without the secrets. */
export interface AccessInfo {
  readonly name: string;
  readonly hosts: 'any' | readonly string[];
  readonly readOnly: boolean;
  /** Names that CHAP proves: the initiator's, and the target's where it is mutual. */
  readonly chap: { readonly initiator: string; readonly target: string | null } | null;
}

/** What isn't named stays. */
export interface AccessChange {
  readonly hosts?: 'any' | readonly string[] | undefined;
  readonly readOnly?: boolean | undefined;
  /** null: none is asked for any more. */
  readonly chap?: ChapRules | null | undefined;
}

/** Who may use what, for targets whose hosts prove who they are before they open a volume. */
export interface VolumeRules {
  rules(volume: string): Promise<AccessRules | 'NOT_FOUND' | 'RETRYABLE'>;
  namesFor(host: string): Promise<readonly string[] | 'RETRYABLE'>;
}

/** As the Corelet that answers sees it: the view's word, but `silent` for a member that it doesn't hear. */
export type SlotState = 'live' | 'sitting-out' | 'draining' | 'spare' | 'joining' | 'silent' | 'gone';

export interface SlotStatus {
  readonly slot: number;
  readonly id: CoreletId;
  readonly state: SlotState;
  /** Copies of arcs held, and how many of those it leads. */
  readonly copies: number;
  readonly leads: number;
  readonly usedBytes: number;
  readonly sizeBytes: number;
  readonly safeToPull: boolean;
  readonly why: string;
  /** How often it was lost and came back, less what time forgave. Left out: never, or long ago. */
  readonly flapScore?: number;
  /** It flapped: it is taken back only after so long. Left out: nothing holds it. */
  readonly heldDownSeconds?: number;
  /** It sits out, for what takes it so long and what is usual. Left out: it doesn't, or the one that answers didn't hear why. */
  readonly slow?: SlowFigures;
  /** Of the Corelet that answers; of the others it isn't known here: each tells its own. */
  readonly device?: DeviceHealth;
  /** Where it serves iSCSI, as `HOST:PORT`, as far as the one that answers knows the chassis. */
  readonly iscsi?: string;
}

export interface ArcsStatus {
  readonly total: number;
  /** Every wanted copy is complete. */
  readonly full: number;
  /** Served, with fewer complete copies than wanted. */
  readonly reduced: number;
  /** Of the reduced: one more loss makes them unavailable. */
  readonly noRedundancy: number;
  /** No leader known to the Corelet that answers. */
  readonly unavailable: number;
  /** A copy of them is wanted and not begun: the flash that it is to go to would be too full. */
  readonly waitingForRoom: number;
}

/** What `GET /api/status` answers, on any Corelet. `slots` names every slot that is or was a member. */
export interface CoreletStatus {
  readonly schemaVersion: 1;
  readonly cluster: ClusterId;
  readonly answeredBy: { readonly id: CoreletId; readonly slot: number };
  readonly view: {
    readonly number: number;
    readonly members: number;
    readonly frozen: boolean;
    readonly frozenWhy?: string;
  };
  readonly slots: readonly SlotStatus[];
  readonly arcs: ArcsStatus;
  /** `secondsLeft` is null while the rate isn't known. */
  readonly rebuild: {
    readonly bytesLeft: number;
    readonly bytesPerSecond: number;
    readonly secondsLeft: number | null;
  };
  readonly lossesSurvivable: number;
  /** Wanted of every block. */
  readonly copies?: number;
  /** Of the Corelet that answers. */
  readonly scrub?: ScrubStatus;
  /** Of the Corelet that answers, since its start: messages that say no more than that it lives, and those about the view. */
  readonly livenessSent?: number;
}

/** A queue, window or buffer, and the limit that it is promised to keep (INV-8). */
export interface BoundInspection {
  readonly name: string;
  readonly length: number;
  readonly max: number;
}

/** For checkers: a live look at one replica, always the same object for the same replica. */
export interface ReplicaInspection {
  readonly arc: ArcId;
  readonly generation: Generation;
  readonly role: string;
  readonly term: Term;
  /** What a crash leaves of it. */
  readonly durableTerm: Term;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly complete: boolean;
  readonly voters: readonly string[];
  /** Empty unless the configuration is joint. */
  readonly votersOutgoing?: readonly string[];
  /** Index of the entry that brought the active configuration. */
  readonly configurationIndex?: LogIndex;
  /** The part of the log that is in memory; `termAt` is undefined outside of it. */
  readonly log?: {
    readonly firstIndex: LogIndex;
    readonly lastIndex: LogIndex;
    readonly lastTerm: Term;
    termAt(index: LogIndex): Term | undefined;
  };
  readonly bounds?: () => readonly BoundInspection[];
  /** Digest over blocks, versions, CRCs, sessions, epochs and keys: equal at equal `appliedIndex` (INV-6). */
  readonly digest: () => string | undefined;
}
