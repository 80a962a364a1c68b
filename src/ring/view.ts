import type { CoreletId } from '../base/ids.ts';

/** A member of the view. */
export interface Member {
  readonly id: CoreletId;
  /** `unix:PATH` or `tcp:HOST:PORT` of its fabric. */
  readonly address: string;
  readonly slot: number;
  /** Failure domain: two copies never share one while enough others exist. The slot itself by default. */
  readonly zone: string;
  /** Capacity relative to the others, > 0. */
  readonly weight: number;
  /** Seed of its place in rendezvous hashing (u32); a spare that stands in for a lost member takes over the lost one's. */
  readonly place: number;
  /** `spare` holds no copies until it takes the place of a lost member. */
  readonly role: 'active' | 'spare';
}

/** The agreed list of members, numbered from 1; every Corelet sees the same sequence. Members sorted by id. */
export interface View {
  readonly number: number;
  readonly members: readonly Member[];
}
