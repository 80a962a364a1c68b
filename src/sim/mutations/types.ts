/** One change of a source file: `find` must occur in it exactly once. */
export interface Edit {
  /** From the project's root. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/**
 * `usual`: a power loss at every write · `reuse`: only while space is in use again that the newest checkpoint doesn't know to be free ·
 * `churn`: the same on a device that is nearly full of what is never written again: what is free comes from the newest segments.
 */
export type StoreSetup = 'usual' | 'reuse' | 'churn';

/** How a fault is looked for. Seeds are tried in order, from the first to the last, until one shows it. */
export type Hunt =
  /** A whole cluster on virtual time, as `npm run sim` runs it; `profile` names its options. */
  | { readonly by: 'cluster'; readonly profile: string; readonly seeds: readonly [number, number] }
  /** One store and its power losses, as `npm run sim -- --store`. */
  | {
      readonly by: 'store';
      readonly setup: StoreSetup;
      readonly operations: number;
      readonly seeds: readonly [number, number];
    }
  /** A group of consensus cores without arcs, on a disk in memory, under schedules of loss, crashes and changes. */
  | { readonly by: 'chaos'; readonly weather: string; readonly seeds: readonly [number, number] }
  /** A story of test/scenarios, played on a whole cluster. */
  | { readonly by: 'story'; readonly story: string; readonly seeds: readonly [number, number] }
  /** A story of test/scenarios/consensus, played on cores alone; it has no chance in it: one seed. */
  | { readonly by: 'core-story'; readonly story: string; readonly seeds: readonly [number, number] };

/** A deliberate fault: what a Corelet must never be like, as a change of its source. */
export interface Mutation {
  readonly name: string;
  /** What it breaks: an invariant, or a rule of design §10. */
  readonly rule: string;
  /** The fault, in a sentence. */
  readonly what: string;
  readonly edits: readonly Edit[];
  readonly hunt: Hunt;
  /** Only a violation of one of these is a catch: a fault that breaks something else isn't understood. */
  readonly expect: readonly string[];
}

/** What one seed showed. */
export interface Sighting {
  readonly seed: number;
  /** Undefined: nothing was wrong. */
  readonly violation: { readonly invariant: string; readonly summary: string } | undefined;
  /** Operations that hosts had an answer to, or entries that were committed: a build in which nothing works shows nothing. */
  readonly worked: number;
}

export interface HunterOrders {
  readonly edits: readonly Edit[];
  readonly hunt: Hunt;
  /** Goes on after a violation: for the control run. */
  readonly all: boolean;
}
