import { type ArcId, blockBytes, type CoreletId } from '../base/ids.ts';
import type { Store } from '../store/store.ts';
import { type MemberId, replicaOf } from './members.ts';

/** After a receiver said that it has no room, its word counts for so long: what its heartbeats tell may be older. */
const refusalMs = 10_000;
/** Receivers remembered; more than that are forgotten together. */
const refusalsMax = 1024;

/**
 * The brake on healing: copies that arcs don't have yet never make a flash fuller than `fillMax` of what may hold data. A
 * cluster that healed itself full would refuse its hosts' writes for the sake of copies. The receiver has the last word, since only
 * it knows what it promised to the leaders of other arcs; the leaders look first, so that they seldom hear it.
 */
export class CopyRoom {
  readonly #store: Store;
  readonly #fillMax: number;
  /** What a complete copy holds, of each arc whose copy comes in here now. */
  readonly #promised = new Map<ArcId, number>();
  readonly #refusedAtMs = new Map<MemberId | CoreletId, number>();

  constructor(store: Store, fillMax: number) {
    this.#store = store;
    this.#fillMax = fillMax;
  }

  // ---- coming in --------------------------------------------------------------------------------------------------

  /** Whether a copy of an arc, so many bytes when it is whole, may come in. */
  fits(arc: ArcId, bytes: number): boolean {
    const { usedBytes, sizeBytes } = this.#store.fill();
    const needBytes = this.#missing(arc, bytes);
    let othersBytes = 0;
    for (const [other, wholeBytes] of this.#promised)
      if (other !== arc) othersBytes += this.#missing(other, wholeBytes);
    // What is here already, of an earlier life, needs no room: a copy of that kind comes back however full the flash is.
    return needBytes === 0 || usedBytes + othersBytes + needBytes <= this.#fillMax * sizeBytes;
  }

  /** From then on, until it is released, its room is nobody else's. */
  promise(arc: ArcId, bytes: number): void {
    this.#promised.set(arc, bytes);
  }

  /** The copy is whole, or isn't wanted any more. */
  release(arc: ArcId): void {
    this.#promised.delete(arc);
  }

  #missing(arc: ArcId, bytes: number): number {
    return Math.max(0, bytes - this.#store.map(arc).blockCount * blockBytes);
  }

  // ---- going out --------------------------------------------------------------------------------------------------

  /** That learner's Corelet said that it has no room for it. */
  refused(member: MemberId, nowMs: number): void {
    if (this.#refusedAtMs.size >= refusalsMax) this.#refusedAtMs.clear();
    this.#refusedAtMs.set(member, nowMs);
    this.#refusedAtMs.set(replicaOf(member).id, nowMs);
  }

  /** Whether it has said so lately: of that learner, or of anyone. */
  isRefused(by: MemberId | CoreletId, nowMs: number): boolean {
    return nowMs - (this.#refusedAtMs.get(by) ?? Number.NEGATIVE_INFINITY) < refusalMs;
  }
}
