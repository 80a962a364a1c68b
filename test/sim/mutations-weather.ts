/** Of a thousand: what a storm is mostly made of. */
export interface Weather {
  /** In the group at all; more than three let its voters change. */
  readonly members: number;
  /** Per step: all members are given a cause to campaign. */
  readonly causes: number;
  /** Per message, per vote granted, per append: its sender is gone when it has left. */
  readonly doomed: number;
  readonly doomedVoters: number;
  readonly doomedLeaders: number;
  /** Per step: a flash becomes slow, or quick again. */
  readonly slow: number;
  /** Per message, and per answer to a question about leadership: it comes very late. */
  readonly late: number;
  readonly lateReplies: number;
  /** Per step: a leader is cut from all others. */
  readonly cutLeaders: number;
  /** Per pair, every 10 steps: whether the other one lives is noticed. */
  readonly noticed: number;
  /** Per step and leader. */
  readonly reads: number;
  readonly changes: number;
}

export const weathers: Readonly<Record<string, Weather>> = {
  storm: {
    members: 5,
    causes: 25,
    doomed: 4,
    doomedVoters: 4,
    doomedLeaders: 4,
    slow: 20,
    late: 100,
    lateReplies: 100,
    cutLeaders: 0,
    noticed: 150,
    reads: 250,
    changes: 40,
  },
  /** Nobody leads for long, and voters die as soon as they have voted. */
  elections: {
    members: 5,
    causes: 60,
    doomed: 2,
    doomedVoters: 200,
    doomedLeaders: 2,
    slow: 20,
    late: 200,
    lateReplies: 200,
    cutLeaders: 0,
    noticed: 150,
    reads: 50,
    changes: 20,
  },
  /** What was said is rarely durable when its speaker dies. */
  unsynced: {
    members: 3,
    causes: 40,
    doomed: 12,
    doomedVoters: 12,
    doomedLeaders: 100,
    slow: 30,
    late: 150,
    lateReplies: 50,
    cutLeaders: 4,
    noticed: 150,
    reads: 50,
    changes: 40,
  },
  /** Who was overtaken doesn't hear of it, and is asked all the time. */
  reads: {
    members: 3,
    causes: 60,
    doomed: 1,
    doomedVoters: 1,
    doomedLeaders: 1,
    slow: 20,
    late: 20,
    lateReplies: 600,
    cutLeaders: 20,
    noticed: 30,
    reads: 600,
    changes: 5,
  },
};

/** mulberry32: the seed is the whole storm. */
export class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e3779b1) >>> 0;
  }
  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
  below(count: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * count);
  }
  hit(perThousand: number): boolean {
    return this.below(1000) < perThousand;
  }
  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}
