import type { CoreletId } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Random } from '../ports/random.ts';
import type { Store } from '../store/store.ts';
import type { PeerMessage } from '../wire/peer/types.ts';
import type { ArcLimits } from './limits.ts';
import type { Quarantine } from './quarantine.ts';
import type { Replica } from './replica.ts';

/** What a replica has of its Corelet. */
export interface ReplicaContext {
  readonly self: CoreletId;
  /** Of this start: tickets name it. */
  readonly incarnation: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: Store;
  readonly events: Events;
  readonly limits: ArcLimits;
  /** Blocks here that are given to nobody. */
  readonly quarantine: Quarantine;
  /** To another Corelet or this one. Loss is allowed: every exchange is repeated or given up. */
  send(to: CoreletId, message: PeerMessage): void;
  isAlive(id: CoreletId): boolean;
  /** Whether that Corelet's device has no room for new data, as its last heartbeat said. */
  isFull(id: CoreletId): boolean;
  /** A host's operation was applied here, so long after it came: healing yields to hosts by it. */
  served(tookMs: number): void;
  /** The replica wants a tick at its deadline. */
  arm(replica: Replica, deadlineMs: number): void;
  /** A lease that reads rest on ends soon: those of other arcs are renewed with it. */
  leaseEnding(): void;
  /** Role, leader, configuration or completeness changed: others may want to know. */
  changed(replica: Replica): void;
  /** A committed configuration has no place for this replica any more. */
  retired(replica: Replica): void;
}
