import type { CoreletId } from '../base/ids.ts';
import type { Member, View } from '../ring/view.ts';
import type { Removal } from '../wire/membership/types.ts';

/** Randomness, as in ports/ (which membership does not need otherwise). */
export interface RandomSource {
  u32(): number;
  fraction(): number;
}

export interface MembershipOptions {
  /** How this Corelet presents itself: its wish for role and place counts when it joins, the view's word afterwards. */
  readonly self: Member;
  readonly incarnation: number;
  readonly random: RandomSource;
  readonly limits?: Partial<MembershipLimits>;
  /** The newest register that was handed out as `persist` and became durable. Wins over `founding`. */
  readonly restored?: Uint8Array;
  /** So many members may sit out at a time; by default one. */
  readonly sittingOutMax?: number;
  /** The first view of a new cluster, the same at each of its members. */
  readonly founding?: View;
}

/** Durations in milliseconds of the caller's clock. */
export interface MembershipLimits {
  /** Silent for so long after it was asked and didn't answer: accused. */
  readonly suspectAfterMs: number;
  /** Unheard for so long, asked or not: accused. */
  readonly silenceMaxMs: number;
  /** Unheard for so long after its connection was reset: accused. */
  readonly resetSuspectAfterMs: number;
  /** Nobody is accused for not being heard at all before so long after our start, or after it joined. */
  readonly startGraceMs: number;
  /** A cut that stayed the same for so long is proposed. */
  readonly settleMs: number;
  /** So long a half-accused member may hold up the removal of others. */
  readonly unstableMaxMs: number;
  readonly alertRepeatMs: number;
  /** An accusation, or a wish, that wasn't repeated for so long doesn't count any more. */
  readonly alertLifeMs: number;
  /** Accused by some of its observers for so long: the others accuse it too. */
  readonly reinforceMs: number;
  /** A fast vote that led to nothing for so long is followed by classic rounds. */
  readonly fastTimeoutMs: number;
  /** Between candidates for proposing, in the order of their ids. */
  readonly proposerStepMs: number;
  readonly proposalTimeoutMs: number;
  readonly joinRepeatMinMs: number;
  readonly joinRepeatMaxMs: number;
  /** A request to join that wasn't repeated for so long: who asks has been away. */
  readonly joinSteadyMs: number;
  /** A request to join that wasn't repeated for so long is forgotten. */
  readonly joinLifeMs: number;
  /** A wish for another state of a member that isn't agreed after so long is given up. */
  readonly wishLifeMs: number;
  /** Wait before re-admission after a first removal for silence … */
  readonly holdDownMs: number;
  /** … and after a second one; doubles with each further one. */
  readonly holdDownAgainMs: number;
  readonly holdDownMaxMs: number;
  /** The count of removals halves in this time. */
  readonly holdDownHalfLifeMs: number;
}

export const defaultLimits: MembershipLimits = {
  suspectAfterMs: 400,
  silenceMaxMs: 8000,
  resetSuspectAfterMs: 500,
  startGraceMs: 3000,
  settleMs: 100,
  unstableMaxMs: 500,
  alertRepeatMs: 300,
  alertLifeMs: 10_000,
  reinforceMs: 5000,
  fastTimeoutMs: 300,
  proposerStepMs: 150,
  proposalTimeoutMs: 400,
  joinRepeatMinMs: 250,
  joinRepeatMaxMs: 2000,
  joinSteadyMs: 4000,
  joinLifeMs: 6000,
  wishLifeMs: 10_000,
  holdDownMs: 250,
  holdDownAgainMs: 10_000,
  holdDownMaxMs: 300_000,
  holdDownHalfLifeMs: 300_000,
};

/** The view has this many members at least, if it ever had: with fewer a further loss would leave no majority at all. */
export const membersFloor = 3;
/** Requests to join that are kept at a time. */
export const joinsMax = 64;
/** Wishes for another state of a member that are kept at a time. */
export const wishesMax = 256;
/** Corelets whose removals are counted. */
export const flapsMax = 256;
/** The longest time between two calls of `tick` while something is under way … */
export const tickMaxMs = 50;
/** … and while nothing is. */
export const restTickMs = 2000;
/** A call that comes so late means that this process stood still. */
export const stallMs = 200;

export interface OutgoingMessage {
  readonly to: CoreletId;
  /** Body of a peer message `membership`. */
  readonly body: Uint8Array;
  /** Only when every `persist` handed out so far (this batch's included) is durable. */
  readonly afterSync: boolean;
}

export type ViewCause = 'founding' | 'loss' | 'leave' | 'join' | 'update';

export interface ViewChange {
  readonly view: View;
  readonly previous: View | undefined;
  readonly removed: readonly Member[];
  readonly joined: readonly Member[];
  /** Members whose record changed: a promoted spare, a new address. As they are now. */
  readonly changed: readonly Member[];
  readonly cause: ViewCause;
  /** Who accused whom, of the newest step. */
  readonly observers: readonly Removal[];
}

/** For `corelet why`: an `EventRecord` but for the time, which the owner adds. */
export interface MembershipEvent {
  readonly kind: string;
  readonly slot?: number;
  readonly corelet?: string;
  readonly text: string;
  readonly data?: Readonly<Record<string, string | number | boolean | readonly (string | number)[]>>;
}

/** To be done in this order: persist, viewChanges and events at once, messages as each one says. */
export interface MembershipEffects {
  /** Replaces the register kept before. */
  readonly persist: Uint8Array | undefined;
  readonly messages: readonly OutgoingMessage[];
  readonly viewChanges: readonly ViewChange[];
  readonly events: readonly MembershipEvent[];
  /** Others accuse these, whom we hear: ask them at once whether they live, and tell `heard` or `silent`. */
  readonly asks: readonly CoreletId[];
}

export type Standing = 'member' | 'outside' | 'leaving' | 'left';
