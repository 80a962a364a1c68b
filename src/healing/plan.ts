import { type Configuration, type MemberId, replicaOf } from '../arc/members.ts';
import type { CoreletId } from '../base/ids.ts';

/** What a leader knows when it compares its arc's configuration with placement. */
export interface ArcFacts {
  readonly self: CoreletId;
  readonly configuration: Configuration;
  /** Wanted voters, the preferred leader first. */
  readonly target: readonly CoreletId[];
  readonly copies: number;
  /** The gateway through which most of the arc's operations come, if there is one. */
  readonly home: CoreletId | undefined;
  /** Has led long enough to know its traffic: before that, giving the leadership away would be guessing. */
  readonly settled: boolean;
  isAlive(id: CoreletId): boolean;
  inView(id: CoreletId): boolean;
  /** Has, or nearly has, everything that is in the log. */
  isCaughtUp(member: MemberId): boolean;
  /** That life of a voter is over, though its Corelet may live: it comes back as a learner of a new generation. */
  isEnded(member: MemberId): boolean;
  /** A copy of the arc that isn't there yet leaves its flash less full than copies may make it. */
  hasRoom(id: CoreletId): boolean;
  /** A learner with which this leader gets nowhere: it never answered with a log that could be continued, or copied to. */
  isStuck(learner: MemberId): boolean;
}

/** The next single step towards the target; one at a time, each through a committed configuration (design §10.14). */
export type HealingStep =
  | { readonly kind: 'none' }
  | { readonly kind: 'addLearner'; readonly id: CoreletId }
  | { readonly kind: 'removeLearner'; readonly learner: MemberId }
  | { readonly kind: 'replace'; readonly learner: MemberId; readonly victim: MemberId | undefined }
  | { readonly kind: 'removeVoter'; readonly victim: MemberId }
  | { readonly kind: 'transfer'; readonly to: MemberId };

const none: HealingStep = { kind: 'none' };

/** Pure. Call only when no configuration change is under way. */
export function planStep(facts: ArcFacts): HealingStep {
  const { configuration, target } = facts;
  const unwanted = configuration.learners.find(
    (learner) => !target.includes(replicaOf(learner).id) || facts.isStuck(learner),
  );
  if (unwanted !== undefined) return { kind: 'removeLearner', learner: unwanted };
  const learner = configuration.learners[0];
  if (learner !== undefined) return facts.isCaughtUp(learner) ? replaceBy(facts, learner) : none;
  const missing = missingIn(facts).find((id) => facts.hasRoom(id));
  if (missing !== undefined) return { kind: 'addLearner', id: missing };
  if (configuration.voters.length > facts.copies) {
    const victim = leastWanted(facts);
    if (victim !== undefined) return removal(facts, victim);
  }
  return preferredLeader(facts);
}

/** Wanted, alive, and without a copy whose life goes on. */
function missingIn(facts: ArcFacts): CoreletId[] {
  const { voters } = facts.configuration;
  const voterIds = voters.filter((voter) => !facts.isEnded(voter)).map((voter) => replicaOf(voter).id);
  return facts.target.filter((id) => !voterIds.includes(id) && facts.isAlive(id));
}

/** The brake: a copy is wanted and none is begun, since none of those that it may go to has room. Who would have it. */
export function fullTargets(facts: ArcFacts): readonly CoreletId[] {
  if (facts.configuration.learners.length > 0) return [];
  const missing = missingIn(facts);
  return missing.some((id) => facts.hasRoom(id)) ? [] : missing;
}

function replaceBy(facts: ArcFacts, learner: MemberId): HealingStep {
  const { voters } = facts.configuration;
  const same = voters.find((voter) => replicaOf(voter).id === replicaOf(learner).id);
  const ended = same ?? voters.find((voter) => facts.isEnded(voter));
  const victim = ended ?? (voters.length >= facts.copies ? leastWanted(facts) : undefined);
  if (victim !== undefined && replicaOf(victim).id === facts.self) return handOver(facts);
  const next = [...voters.filter((voter) => voter !== victim), learner];
  // A leader never proposes voters of which its view lacks a majority (design §5).
  const inView = next.filter((voter) => facts.inView(replicaOf(voter).id)).length;
  return inView > next.length / 2 ? { kind: 'replace', learner, victim } : none;
}

/** Of the voters that placement doesn't want: one the view dropped, else a silent one, else any but this leader. */
function leastWanted(facts: ArcFacts): MemberId | undefined {
  const extra = facts.configuration.voters.filter((voter) => !facts.target.includes(replicaOf(voter).id));
  return (
    extra.find((voter) => !facts.inView(replicaOf(voter).id)) ??
    extra.find((voter) => !facts.isAlive(replicaOf(voter).id)) ??
    extra.find((voter) => replicaOf(voter).id !== facts.self) ??
    extra[0]
  );
}

function removal(facts: ArcFacts, victim: MemberId): HealingStep {
  if (replicaOf(victim).id === facts.self) return handOver(facts);
  const rest = facts.configuration.voters.filter((voter) => voter !== victim);
  const sound = rest.filter((voter) => facts.isAlive(replicaOf(voter).id) && facts.inView(replicaOf(voter).id));
  return sound.length > rest.length / 2 ? { kind: 'removeVoter', victim } : none;
}

/** This leader is to go: another one takes over first, and removes it. */
function handOver(facts: ArcFacts): HealingStep {
  const heir = facts.configuration.voters.find((voter) => {
    const { id } = replicaOf(voter);
    return id !== facts.self && facts.target.includes(id) && facts.isAlive(id) && facts.isCaughtUp(voter);
  });
  return heir === undefined ? none : { kind: 'transfer', to: heir };
}

/** Beside the work if it comes in at one of the wanted voters, else where placement spreads the leaders evenly. */
function preferredLeader(facts: ArcFacts): HealingStep {
  const { home, target } = facts;
  if (!facts.settled) return none;
  const preferred = home !== undefined && target.includes(home) && facts.isAlive(home) ? home : target[0];
  if (preferred === undefined || preferred === facts.self || !facts.isAlive(preferred)) return none;
  const voter = facts.configuration.voters.find((member) => replicaOf(member).id === preferred);
  return voter !== undefined && facts.isCaughtUp(voter) ? { kind: 'transfer', to: voter } : none;
}
