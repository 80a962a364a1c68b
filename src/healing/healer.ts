import { assert } from '../base/assert.ts';
import type { ArcHost } from '../arc/host.ts';
import { type Configuration, holdsMember, type MemberId, memberId, replicaOf } from '../arc/members.ts';
import type { Replica } from '../arc/replica.ts';
import type { ArcId, CoreletId } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import { type Events, placeOf } from '../ports/events.ts';
import type { Random } from '../ports/random.ts';
import type { PlacementTable } from '../ring/placement.ts';
import { hasMember, memberById, stateOfMember } from '../ring/view.ts';
import type { DeviceFill } from '../wire/peer/types.ts';
import { RoomBrake } from './brake.ts';
import { type ArcFacts, fullTargets, type HealingStep, planStep } from './plan.ts';
import { Proving } from './proving.ts';

export const healingLimits = {
  /** Between two looks at the arcs led here … */
  tickMs: 100,
  /** … and from one look to the next where something happened that a step waits for. */
  hurryMs: 10,
  /** Arcs led here that may have a learner at a time, when they are in danger … */
  repairsMax: 8,
  /** … and when they only follow placement. */
  movesMax: 2,
  /** A learner or heir that is behind by no more entries than this is caught up. */
  lagMax: 32,
  /** Leaderships given away per tick: a few at a time, so that hosts hardly notice. */
  transfersMax: 8,
  /** A leader leads this long before it looks for a better placed one. */
  settleMs: 3000,
  /** A learner, inherited from another leader, that answers nothing for so long is replaced by one of a new generation. */
  muteMs: 2000,
  /** Learners remembered as mute; more than that are forgotten together. */
  mutesMax: 4096,
} as const;

/** One look in so many tells the others how much is left to copy. */
const bytesToldEvery = 5;

export interface HealerOptions {
  readonly self: CoreletId;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: Events;
  readonly host: ArcHost;
  /** Voters wanted per arc. */
  readonly copies: number;
  /** The share of a flash up to which copies may fill it. */
  readonly copyFillMax: number;
  /** Of a Corelet's flash, as far as it is known. */
  fill(id: CoreletId): DeviceFill | undefined;
  /** How often a Corelet was removed for silence, less what time forgave. */
  flapScore(id: CoreletId): number;
  /** Of the view that is current; undefined while there is none. */
  placement(): PlacementTable | undefined;
}

/** An arc led here, and its complete voters beyond the majority. */
interface LedArc {
  readonly replica: Replica;
  readonly margin: number;
}

/** One more loss, and they have no quorum. */
function endangeredOf(led: readonly LedArc[]): readonly LedArc[] {
  return led.filter(({ margin }) => margin <= 0);
}

/**
 * Reconstruction: the leader of each arc compares its configuration with placement and takes one step at a time,
 * the arcs nearest to losing their quorum first. No one coordinates; every step is a committed configuration, so a
 * leader that dies leaves a state from which the next one goes on.
 */
export class Healer {
  readonly #options: HealerOptions;
  /** Since when a learner of an arc led here has answered nothing. */
  readonly #muteSinceMs = new Map<MemberId, number>();
  readonly #proving: Proving;
  #ticks = 0;
  /** Since the last tick. */
  #transfers = 0;
  /** Arcs that gave a learner up at the last tick: another one comes at the next, or giving up and beginning would chase each other. */
  readonly #givenUp = new Set<ArcId>();
  /** Of arcs led here, the voter that the newest change leaves out: nobody speaks to it any more, so it is told to go. */
  readonly #leaving = new Map<ArcId, MemberId>();
  readonly #brake: RoomBrake;

  constructor(options: HealerOptions) {
    this.#options = options;
    this.#brake = new RoomBrake(options);
    this.#proving = new Proving(options);
  }

  /** One look at all arcs led here. Call every `tickMs`. */
  tick(): void {
    const { host } = this.#options;
    const table = this.#options.placement();
    this.#givenUp.clear();
    this.#transfers = 0;
    const led = this.#led();
    host.copies.look(endangeredOf(led).reduce((sum, { replica }) => sum + this.#bytesLeft(replica), 0));
    this.#step(led, table, false);
    this.#ticks += 1;
    for (const { replica } of led) {
      const bytesLeft = this.#bytesLeft(replica);
      // How much is left changes all the time; that there is something, or no more, is news.
      if (bytesLeft === 0 || this.#ticks % bytesToldEvery === 0) host.announce(replica, bytesLeft);
    }
    host.abdicateWhereStuck();
  }

  /**
   * What a step waited for has happened: the steps that are possible now, without waiting for the next tick. Giving
   * up a learner, and giving leaderships to whom placement prefers, have time.
   */
  hurry(): void {
    this.#step(this.#led(), this.#options.placement(), true);
  }

  /** The arcs led here, the one in most danger first. */
  #led(): readonly LedArc[] {
    const led: LedArc[] = [];
    for (const replica of this.#options.host.replicas()) {
      if (replica.isLeader) led.push({ replica, margin: this.#margin(replica) });
    }
    return led.sort((a, b) => a.margin - b.margin);
  }

  #step(led: readonly LedArc[], table: PlacementTable | undefined, hurried: boolean): void {
    const settled = led.filter(({ replica }) => replica.core.ownTermCommitted);
    if (table !== undefined) {
      this.#proving.look(table.view);
      this.#advance(settled, table, hurried);
    }
    const order = led.map(({ replica }) => replica);
    // Also where nothing of this term is committed yet: that may wait for the very follower that needs a copy.
    this.#options.host.copies.start(order, endangeredOf(led).length);
    for (const replica of order) this.#dismiss(replica);
  }

  /** Complete voters beyond the majority: 0 means that one more loss stops the arc. */
  #margin(replica: Replica): number {
    const { voters } = replica.core.configuration;
    return this.#options.host.completeVoters(replica) - (Math.floor(voters.length / 2) + 1);
  }

  #advance(led: readonly LedArc[], table: PlacementTable, hurried: boolean): void {
    let learners = led.filter(({ replica }) => replica.core.configuration.learners.length > 0).length;
    this.#brake.look(led.map(({ replica }) => replica));
    for (const { replica } of led) {
      const { core } = replica;
      if (core.configurationPending || core.transferring !== undefined) continue;
      const facts = this.#facts(replica, table);
      const step = planStep(facts);
      this.#brake.note(replica, fullTargets(facts), this.#options.host.completeVoters(replica) < this.#options.copies);
      if (step.kind === 'transfer') {
        const moves = core.configuration.learners.length > 0;
        if ((hurried && !moves) || this.#transfers >= healingLimits.transfersMax) continue;
        this.#transfers += 1;
        core.transfer(step.to, replica.now);
        replica.flush();
      } else if (step.kind === 'addLearner') {
        const missing = this.#options.host.completeVoters(replica) < this.#options.copies;
        if (this.#givenUp.has(replica.arc) || (!missing && this.#proving.isOn(step.id))) continue;
        if (learners >= (missing ? healingLimits.repairsMax : healingLimits.movesMax)) continue;
        learners += 1;
        this.#brake.promised(step.id, replica.dataBytes);
        this.#addLearner(replica, step.id);
      } else if (step.kind !== 'none') {
        if (step.kind === 'removeLearner') {
          if (hurried) continue;
          this.#givenUp.add(replica.arc);
        }
        this.#change(replica, step);
      }
    }
  }

  #facts(replica: Replica, table: PlacementTable): ArcFacts {
    const { host, self, copies } = this.#options;
    const { core } = replica;
    return {
      self,
      configuration: core.configuration,
      target: table.of(replica.arc),
      copies,
      home: this.#home(replica, table),
      settled: replica.leadingMs > healingLimits.settleMs,
      isAlive: (id) => host.isAlive(id),
      inView: (id) => hasMember(table.view, id),
      isCaughtUp: (member) => {
        const progress = core.progress().get(member);
        return progress?.state === 'replicate' && progress.matchIndex + healingLimits.lagMax >= core.lastIndex;
      },
      isEnded: (member) => replica.standing.isEnded(member),
      hasRoom: (id) => this.#brake.hasRoom(replica, id),
      isStuck: (learner) =>
        replica.standing.isEnded(learner) || this.#isFull(replica, learner) || this.#isStuck(replica, learner),
    };
  }

  /** Nobody leads beside its work while it sits out or drains. */
  #home(replica: Replica, { view }: PlacementTable): CoreletId | undefined {
    const home = replica.traffic.home(replica.now);
    const member = home === undefined ? undefined : memberById(view, home);
    return member === undefined || stateOfMember(member) === 'live' ? home : undefined;
  }

  /** The receiver said that it has no room, and none of the copy is there: another look later, from the beginning. */
  #isFull(replica: Replica, learner: MemberId): boolean {
    const { room } = this.#options.host.copies;
    return replica.core.progress().get(learner)?.state === 'copying' && room.isRefused(learner, replica.now);
  }

  /** An inherited learner may be one whose copy never began: nobody there knows that generation. */
  #isStuck(replica: Replica, learner: MemberId): boolean {
    const progress = replica.core.progress().get(learner);
    const mute = progress?.state === 'probe' && progress.matchIndex === 0;
    if (!mute) {
      this.#muteSinceMs.delete(learner);
      return false;
    }
    const since = this.#muteSinceMs.get(learner) ?? replica.now;
    if (this.#muteSinceMs.size >= healingLimits.mutesMax) this.#muteSinceMs.clear();
    this.#muteSinceMs.set(learner, since);
    if (replica.now - since < healingLimits.muteMs) return false;
    this.#muteSinceMs.delete(learner);
    return true;
  }

  #addLearner(replica: Replica, id: CoreletId): void {
    const { core } = replica;
    const learner = memberId(id, this.#options.random.u32() || 1); // a new generation: it votes as nobody it was before (INV-10)
    const next: Configuration = { ...core.configuration, learners: [...core.configuration.learners, learner] };
    if (!core.proposeConfiguration(next, replica.now).ok) return;
    core.requireCopy(learner); // it has no log that could be continued
    replica.flush();
    this.#record(
      replica.arc,
      id,
      'arc.learner-added',
      `Arc ${replica.arc} wants a copy in ${placeOf(id)}; copying begins.`,
    );
  }

  #change(replica: Replica, step: Exclude<HealingStep, { kind: 'none' | 'addLearner' | 'transfer' }>): void {
    const { core } = replica;
    const now = core.configuration;
    assert(!core.configurationPending, 'INV-9: a change that is under way is finished before the next begins');
    if (step.kind === 'removeLearner') {
      const learners = now.learners.filter((learner) => learner !== step.learner);
      core.proposeConfiguration({ ...now, learners }, replica.now);
    } else {
      const learner = step.kind === 'replace' ? step.learner : undefined;
      const stay = now.voters.filter((voter) => voter !== step.victim);
      const next: Configuration = {
        voters: learner === undefined ? stay : [...stay, learner],
        votersOutgoing: now.voters,
        learners: now.learners.filter((member) => member !== learner),
      };
      if (core.proposeConfiguration(next, replica.now).ok) {
        this.#tellReplaced(replica.arc, step);
        if (step.victim !== undefined) this.#leaving.set(replica.arc, step.victim);
      }
    }
    replica.flush();
  }

  /** Once: if it is away now, it hears it when it asks for votes. */
  #dismiss(replica: Replica): void {
    const { core, arc } = replica;
    const member = this.#leaving.get(arc);
    if (member === undefined || core.configurationPending || core.configurationIndex > core.commitIndex) return;
    this.#leaving.delete(arc);
    if (holdsMember(core.configuration, member)) return;
    const { id, generation } = replicaOf(member);
    replica.transmit(id, { type: 'retire', arc, generation, configurationIndex: core.configurationIndex });
  }

  #tellReplaced(arc: ArcId, step: Extract<HealingStep, { kind: 'replace' | 'removeVoter' }>): void {
    if (step.kind === 'replace') {
      this.#record(
        arc,
        replicaOf(step.learner).id,
        'arc.voter-added',
        `Arc ${arc}: the copy in ${placeOf(replicaOf(step.learner).id)} is complete; it votes now.`,
      );
    }
    if (step.victim !== undefined) {
      this.#record(
        arc,
        replicaOf(step.victim).id,
        'arc.voter-removed',
        `Arc ${arc} goes on without the copy in ${placeOf(replicaOf(step.victim).id)}.`,
      );
    }
  }

  #record(arc: ArcId, corelet: CoreletId, kind: string, text: string): void {
    this.#options.events.record({ kind, arc, corelet, text });
  }

  /** Bytes that this arc's copies still have to move, as far as decided. */
  #bytesLeft(replica: Replica): number {
    const { configuration } = replica.core;
    if (this.#options.host.copies.waitForRoom.has(replica.arc)) return 0; // it may be long until those are on their way
    const copying = this.#options.host.copies.bytesLeft(replica);
    if (copying > 0 || configuration.learners.length > 0) return copying;
    const table = this.#options.placement();
    if (table === undefined) return 0;
    const wanted = table.of(replica.arc).filter((id) => this.#options.host.isAlive(id));
    const missing = wanted.filter((id) => !configuration.voters.some((voter) => replicaOf(voter).id === id)).length;
    return missing * replica.dataBytes;
  }
}
