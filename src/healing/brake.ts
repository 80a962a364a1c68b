import type { ArcHost } from '../arc/host.ts';
import { replicaOf } from '../arc/members.ts';
import type { Replica } from '../arc/replica.ts';
import type { CoreletId } from '../base/ids.ts';
import { type Events, placeOf } from '../ports/events.ts';
import type { DeviceFill } from '../wire/peer/types.ts';

/** An arc that waits goes on when there is so much more room than it needs (a share of the flash): hosts write meanwhile. */
const slackShare = 0.02;

export interface BrakeOptions {
  readonly self: CoreletId;
  readonly events: Events;
  readonly host: ArcHost;
  /** The share of a flash up to which copies may fill it, as its receiver judges it (`ArcLimits.copyFillMax`). */
  readonly copyFillMax: number;
  /** Undefined: it wasn't heard yet. */
  fill(id: CoreletId): DeviceFill | undefined;
}

/**
 * The brake of whoever sends: no copy is begun that would make its flash too full, and what waits for room is told, once when
 * it begins and once when it ends. The receiver refuses what slips through (`CopyRoom`).
 */
export class RoomBrake {
  readonly #options: BrakeOptions;
  /** What copies to a Corelet, decided here, still have to bring. */
  readonly #promisedBytes = new Map<CoreletId, number>();

  constructor(options: BrakeOptions) {
    this.#options = options;
  }

  /** Before a look at the arcs led here. */
  look(led: readonly Replica[]): void {
    const { host } = this.#options;
    this.#promisedBytes.clear();
    for (const replica of led) {
      for (const learner of replica.core.configuration.learners) {
        this.promised(replicaOf(learner).id, host.copies.bytesLeft(replica));
      }
    }
    const arcs = new Set(led.map(({ arc }) => arc));
    for (const arc of host.copies.waitForRoom) if (!arcs.has(arc)) host.copies.waitForRoom.delete(arc);
  }

  promised(id: CoreletId, bytes: number): void {
    this.#promisedBytes.set(id, (this.#promisedBytes.get(id) ?? 0) + bytes);
  }

  /** Whether a copy of the arc may begin there. */
  hasRoom(replica: Replica, id: CoreletId): boolean {
    const { host, copyFillMax } = this.#options;
    const { voters } = replica.core.configuration;
    // It comes back under a new generation, and its blocks are there.
    if (voters.some((voter) => replicaOf(voter).id === id)) return true;
    if (host.copies.room.isRefused(id, replica.now)) return false;
    const known = this.#options.fill(id);
    if (known === undefined || replica.dataBytes === 0) return true;
    const slack = host.copies.waitForRoom.has(replica.arc) ? slackShare : 0;
    const filledBytes = known.usedBytes + (this.#promisedBytes.get(id) ?? 0) + replica.dataBytes;
    return filledBytes <= (copyFillMax - slack) * known.sizeBytes;
  }

  /** What planning came to: `full` are those that are to have a copy of the arc, and have no room; none: nothing waits. */
  note(replica: Replica, full: readonly CoreletId[], isShort: boolean): void {
    const { events, host, copyFillMax } = this.#options;
    const { arc } = replica;
    const waiting = host.copies.waitForRoom;
    const [first] = full;
    if ((first !== undefined) === waiting.has(arc)) return;
    if (first === undefined) {
      waiting.delete(arc);
      const text = `Arc ${arc} waits for room no more: healing goes on.`;
      events.record({ kind: 'arc.room-again', arc, corelet: this.#options.self, text });
      return;
    }
    waiting.add(arc);
    const what = isShort ? `Arc ${arc} stays short of a copy` : `A copy of arc ${arc} stays where it is`;
    const limit = `more than ${Math.round(100 * copyFillMax)} % full with it`;
    const text = `${what}: the flash in ${full.map(placeOf).join(' and in ')} would be ${limit}. Insert a module, or delete or trim volumes; healing goes on by itself then.`;
    events.record({ kind: 'arc.no-room', arc, corelet: first, text, data: { bytes: replica.dataBytes } });
  }
}
