import type { ArcHost } from '../arc/host.ts';
import { replicaOf } from '../arc/members.ts';
import type { Replica } from '../arc/replica.ts';
import { type ArcId, blockBytes, chunkBytes, type CoreletId, type VolumeId } from '../base/ids.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import { type Events, placeOf } from '../ports/events.ts';

export const scrubLimits = {
  /** Between two chunks while nobody asked for a round: a Corelet at rest stays at rest. */
  stepMs: 10_000,
  /** In a round that was asked for, and hosts are quiet: so much of the time that a chunk took is rest … */
  restWhenIdle: 0.2,
  /** … and while hosts work: a chunk then takes them little, whatever the machine. */
  restWhenBusy: 4,
  /** A host's operation within so long: hosts work. */
  quietMs: 300,
  /** One rest, at most. */
  restMsMax: 2000,
  /** Tries of one chunk whose bad blocks nobody gave, or that changed while it was compared, … */
  triesMax: 4,
  /** … and the time between two of them. */
  againMs: 500,
} as const;

/** What one round of scrubbing came to so far. */
export interface ScrubRound {
  /** Somebody asked for it; else it goes on by itself, a chunk now and then. */
  readonly asked: boolean;
  readonly chunks: number;
  readonly chunksDone: number;
  readonly bytesVerified: number;
  readonly blocksVerified: number;
  /** Blocks that couldn't be read, or weren't what they should be; and those of them that are good again. */
  readonly badBlocks: number;
  readonly repairedBlocks: number;
  /** Chunks compared with the other copies by digest, and those that differed. */
  readonly comparisons: number;
  readonly differing: number;
  /** Couldn't be settled in this round: bad blocks that no copy gave, chunks that went on differing. */
  readonly unsettled: number;
}

export interface ScrubStatus {
  readonly running: boolean;
  readonly round: ScrubRound;
  /** Wall time at which a whole round ended last; null: none since the start. */
  readonly completedAtWallMs: number | null;
  readonly completed: ScrubRound | null;
  /** Blocks here of which two valid contents of one version were found: they are given to no host until they are written anew. */
  readonly quarantinedBlocks: number;
}

export interface ScrubOptions {
  readonly self: CoreletId;
  readonly clock: Clock;
  readonly events: Events;
  readonly host: ArcHost;
  /** Writes anew what isn't whole of what only a restart of this Corelet reads, and says how many copies that was. `anew`: its blocks were bad, too. */
  mendOwn(anew: boolean): Promise<{ readonly superblocks: number; readonly tables: number }>;
  /** Between two chunks while nobody asked; `scrubLimits.stepMs` unless given. */
  readonly stepMs: number | undefined;
}

type Count = { -readonly [K in keyof ScrubRound]: ScrubRound[K] };

const none: ScrubRound = {
  asked: false,
  chunks: 0,
  chunksDone: 0,
  bytesVerified: 0,
  blocksVerified: 0,
  badBlocks: 0,
  repairedBlocks: 0,
  comparisons: 0,
  differing: 0,
  unsettled: 0,
};

/** Of a Corelet that has just begun. */
export const neverScrubbed: ScrubStatus = {
  running: false,
  round: none,
  completedAtWallMs: null,
  completed: null,
  quarantinedBlocks: 0,
};

interface Step {
  readonly replica: Replica;
  readonly key: { readonly volume: VolumeId; readonly layer: number; readonly chunk: number };
}

/**
 * Every copy on this Corelet is read and checked, chunk by chunk, round after round; what is bad is fetched from another copy
 * at once. The leader of an arc also compares each chunk's digest with every other voter's. One chunk at a time, and as much
 * rest as hosts need (the idea is Garage's tranquilizer: rest in proportion to what the work took).
 */
export class Scrub {
  readonly #options: ScrubOptions;
  readonly #room = new Uint8Array(chunkBytes);
  #round: Count = { ...none };
  #steps: IterableIterator<Step> | undefined;
  #completed: ScrubRound | null = null;
  #completedAtWallMs: number | null = null;
  #timer: Timer | undefined;
  #working = false;
  #stopped = false;
  /** Rounds that wait for those that asked. */
  #waiting: (() => void)[] = [];

  constructor(options: ScrubOptions) {
    this.#options = options;
  }

  start(): void {
    this.#after(this.#stepMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    for (const done of this.#waiting.splice(0)) done();
  }

  /** Begins a round now, of one volume or of all. Resolves when it is done, or never will be. */
  now(volume: VolumeId | undefined): Promise<ScrubStatus> {
    for (const done of this.#waiting.splice(0)) done(); // that round is given up for this one
    this.#begin(true, volume);
    this.#after(0);
    return new Promise((resolve) => {
      this.#waiting.push(() => resolve(this.status()));
    });
  }

  status(): ScrubStatus {
    return {
      running: this.#steps !== undefined,
      round: { ...this.#round },
      completedAtWallMs: this.#completedAtWallMs,
      completed: this.#completed,
      quarantinedBlocks: this.#options.host.quarantine.count,
    };
  }

  get #stepMs(): number {
    return this.#options.stepMs ?? scrubLimits.stepMs;
  }

  #after(delayMs: number): void {
    if (this.#stopped) return;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(delayMs, () => void this.#step());
  }

  #begin(asked: boolean, volume: VolumeId | undefined): void {
    const replicas = [...this.#options.host.replicas()];
    const chunks = replicas.reduce((sum, replica) => sum + countOf(replica, volume), 0);
    this.#round = { ...none, asked, chunks };
    this.#steps = stepsOf(replicas, volume);
  }

  /** One chunk, then rest. */
  async #step(): Promise<void> {
    if (this.#working || this.#stopped) return;
    this.#working = true;
    const { clock, host } = this.#options;
    if (this.#steps === undefined) this.#begin(false, undefined);
    const steps = this.#steps;
    const round = this.#round;
    const next = steps?.next();
    const startedMs = clock.nowMs();
    if (next === undefined || next.done === true) {
      for (const replica of Array.from(host.replicas())) await replica.comparing.settleQuarantine();
      await this.#mendOwn(round);
      if (round === this.#round) this.#end();
    } else if (host.replica(next.value.replica.arc) === next.value.replica && next.value.replica.installed) {
      await this.#scrub(next.value, round);
    }
    round.chunksDone = Math.min(round.chunks, round.chunksDone + 1);
    this.#working = false;
    if (this.#stopped) return;
    if (!this.#round.asked) return this.#after(this.#stepMs);
    // A round that was asked for while this chunk was read begins at once.
    if (round !== this.#round) return this.#after(0);
    const tookMs = clock.nowMs() - startedMs;
    const rest = host.copies.pace.isQuiet(clock.nowMs(), scrubLimits.quietMs)
      ? scrubLimits.restWhenIdle
      : scrubLimits.restWhenBusy;
    this.#after(Math.min(scrubLimits.restMsMax, tookMs * rest));
  }

  /** Last, so that what was found bad before is known. */
  async #mendOwn({ badBlocks }: Count): Promise<void> {
    const { events, self } = this.#options;
    const { superblocks, tables } = await this.#options.mendOwn(badBlocks > 0);
    if (superblocks + tables === 0 || this.#stopped) return;
    const text = `${superblocks} of 2 copies of the superblock and ${tables} of the checkpoint's tables in ${placeOf(self)} weren't what was written: they are written anew.`;
    events.record({ kind: 'flash.own-repaired', corelet: self, text, data: { superblocks, tables } });
  }

  #end(): void {
    const { clock, events, self } = this.#options;
    const round = { ...this.#round };
    this.#steps = undefined;
    this.#completed = round;
    this.#completedAtWallMs = clock.wallMs();
    const { asked, chunks, blocksVerified, badBlocks, repairedBlocks, differing, unsettled } = round;
    if (asked || badBlocks + differing + unsettled > 0) {
      const text = `Scrubbed all copies in ${placeOf(self)}: ${chunks} chunks, ${blocksVerified} blocks verified, ${badBlocks} bad, ${repairedBlocks} repaired, ${differing} chunks differed from another copy, ${unsettled} unsettled.`;
      events.record({ kind: 'scrub.done', corelet: self, text, data: { ...round } });
    }
    this.#round = { ...none };
    for (const done of this.#waiting.splice(0)) done();
  }

  async #scrub({ replica, key }: Step, round: Count): Promise<void> {
    if (!(await this.#verify(replica, key, round))) {
      round.unsettled += 1;
      return;
    }
    if (!replica.isLeader) return;
    for (const member of replica.core.configuration.voters) {
      if (member === replica.member || !replica.isLive(member)) continue;
      await this.#compare(replica, key, member, round);
    }
  }

  /** False: some block stays bad. */
  async #verify(replica: Replica, key: Step['key'], round: Count): Promise<boolean> {
    let bad = 0;
    for (let tries = 0; tries < scrubLimits.triesMax && !this.#stopped; tries++) {
      if (tries > 0) await this.#rest(scrubLimits.againMs);
      const found = await replica.mending.verify(key, this.#room);
      if (tries === 0) {
        round.blocksVerified += found.blocks;
        round.bytesVerified += found.blocks * blockBytes;
      }
      round.badBlocks += Math.max(0, found.bad - bad);
      bad = Math.max(bad, found.bad);
      if (found.result === 'lost') return false;
      if (found.result !== 'mended') continue;
      round.repairedBlocks += bad;
      return true;
    }
    return false;
  }

  async #compare(replica: Replica, key: Step['key'], member: string, round: Count): Promise<void> {
    let result: Awaited<ReturnType<Replica['comparing']['compare']>> = 'later';
    for (let tries = 0; tries < scrubLimits.triesMax && result === 'later' && !this.#stopped; tries++) {
      if (tries > 0) await this.#rest(scrubLimits.againMs);
      if (!replica.isLeader || !this.#options.host.isAlive(replicaOf(member).id)) return;
      result = await replica.comparing.compare(key, member);
    }
    if (result === 'later') return; // a chunk that changes all the time is looked at in the next round
    round.comparisons += 1;
    if (result !== 'same') round.differing += 1;
    if (result === 'differs') round.unsettled += 1;
  }

  #rest(forMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.after(forMs, resolve);
    });
  }
}

function countOf(replica: Replica, volume: VolumeId | undefined): number {
  if (volume === undefined) return replica.map.chunkCount;
  let count = 0;
  for (const key of replica.map.keys()) if (key.volume === volume) count += 1;
  return count;
}

/** The chunks of an arc are looked up when its turn comes: what came since belongs to the round, what is gone doesn't. */
function* stepsOf(replicas: readonly Replica[], volume: VolumeId | undefined): IterableIterator<Step> {
  for (const replica of [...replicas].sort((a, b) => byArc(a.arc, b.arc))) {
    for (const key of Array.from(replica.map.keys())) {
      if (volume === undefined || key.volume === volume) yield { replica, key };
    }
  }
}

const byArc = (a: ArcId, b: ArcId): number => a - b;
