import { defaultRaftLimits } from '../consensus/raft.ts';
import type { RaftLimits } from '../consensus/types.ts';
import { copyFillMax } from '../ring/placement.ts';

/** Limits of a Corelet's replicas. Times in milliseconds. */
export interface ArcLimits {
  readonly raft: RaftLimits;
  /** Applied entries kept in memory per arc, so that a follower that lags a little needs no copy. */
  readonly entriesKept: number;
  /** … and at most this many for a live follower or a running copy that lags more. */
  readonly entriesKeptMax: number;
  /** A voter that is behind by no more than this counts as complete. */
  readonly completeLagMax: number;
  /** Copies that this Corelet sends at once. */
  readonly copiesSentMax: number;
  /** Bytes of chunks sent and not yet stored, per copy. */
  readonly copyInflightBytesMax: number;
  /** `copyFillMax` of ring/placement.ts, unless a test asks for another one. */
  readonly copyFillMax: number;
  /** A copy without an answer for this long starts anew. */
  readonly copySilenceMs: number;
  /** A leader whose oldest operation waits longer gives the leadership away (design §10.13). */
  readonly stuckLeaderMs: number;
  /** A copy that committed configurations go without for so long is dropped, though no leader says so. */
  readonly forgottenMs: number;
  /** Operations that wait for a patch of the same chunk, per arc. */
  readonly gatedOpsMax: number;
  /** Deadlines of arcs are looked after at most this often. */
  readonly wheelStepMs: number;
}

export const defaultArcLimits: ArcLimits = {
  raft: defaultRaftLimits,
  entriesKept: 48,
  entriesKeptMax: 16_384,
  completeLagMax: 256,
  copiesSentMax: 4,
  copyInflightBytesMax: 4 * 1024 * 1024,
  copyFillMax,
  copySilenceMs: 3000,
  stuckLeaderMs: 2000,
  forgottenMs: 2000,
  gatedOpsMax: 1024,
  wheelStepMs: 2,
};
