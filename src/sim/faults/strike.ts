import type { Prng } from '../../base/prng.ts';
import type { SimCluster } from '../cluster.ts';

/** What a fault has to work with. */
export interface StrikeContext {
  readonly cluster: SimCluster;
  /** This fault's own numbers: leaving another out changes none of them. */
  readonly draw: Prng;
  /** A slot that runs and that no other fault holds. */
  readonly slot: number;
  /** Where the one module is that may lose what it holds in this run: the others always hold whole copies. */
  readonly weakSlot: number;
  /** Faults last this much of their usual time. */
  readonly lastingFactor: number;
  readonly later: (delayMs: number, run: () => void) => void;
  /** Every arc has all its copies, complete: one module may lose what it holds. */
  readonly mayForget: () => boolean;
}

/** A fault that has begun. */
export interface Strike {
  readonly text: string;
  /** Slots that are out of order until it ends. */
  readonly slots: readonly number[];
  /** Undefined: it is over at once. */
  readonly lastsMs?: number;
  /** Called once: at its end, or earlier when the faults of the run end. */
  undo?(): void;
  /** After `undo`: until this holds the slots count as out of order. */
  settled?(): boolean;
}

/** Begins a fault. Undefined: it can't be now. */
export type Begin = (context: StrikeContext) => Strike | undefined;

/** Starts what is down and lets go on what sleeps. */
export function revive(cluster: SimCluster, slot: number): void {
  cluster.resume(slot);
  if (cluster.state(slot) === 'down') void cluster.start(slot);
}
