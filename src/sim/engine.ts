import { assert, AssertionFailed } from '../base/assert.ts';
import { EventHeap } from './heap.ts';
import type { Scheduled } from './heap.ts';
import { TraceHash } from './trace-hash.ts';

/** Events without any progress of virtual time: beyond it a loop feeds itself (INV-8). */
const eventsPerInstantMax = 200_000;
/** Turns between two visits to the machine's own event loop, so that signals and unhandled rejections are seen. */
const turnsPerBreath = 4096;

/** What events belong to: one start of one Corelet, or the world. What happens to it decides if its events run. */
export class SimProcess {
  readonly label: string;
  /** Its number in the trace. */
  readonly code: number;
  state: 'running' | 'paused' | 'dead' = 'running';
  /** Events that fell due while paused, in order. */
  readonly held: (() => void)[] = [];

  constructor(label: string, code: number) {
    this.label = label;
    this.code = code;
  }
}

interface SoonItem {
  readonly owner: SimProcess;
  readonly run: () => void;
}

/** What it does, unless it was cancelled: and it can't be cancelled any more. */
function take(event: Scheduled<SimProcess>): (() => void) | undefined {
  const { run } = event;
  event.run = undefined;
  return run;
}

/**
 * Virtual time: a heap of events, run one by one; between two of them every promise that can go on goes on.
 *
 * The hop: an event runs in a `process.nextTick` callback and queues a microtask that asks for the next tick. Node runs
 * ticks only when the microtask queue is empty, so all promise work of an event, however long its chain, is over before
 * the next event. 0.25 µs on Node 24 (`setImmediate` 1.1 µs, a MessageChannel 0.7 µs); whether an event
 * scheduled promise work at all can't be asked, so every event pays it.
 */
export class SimEngine {
  nowMs = 0;
  eventCount = 0;
  readonly trace = new TraceHash();
  /** Owns what no crash stops: the network, hosts, faults. */
  readonly world: SimProcess;
  readonly #heap = new EventHeap<SimProcess>();
  #soon: SoonItem[] = [];
  #soonAt = 0;
  #processCount = 0;
  #instantEvents = 0;

  constructor() {
    this.world = this.process('world');
  }

  process(label: string): SimProcess {
    return new SimProcess(label, this.#processCount++);
  }

  get pendingCount(): number {
    return this.#heap.size + this.#soon.length - this.#soonAt;
  }

  /** Runs `run` for `owner` at `atMs` (now, if that has passed). */
  schedule(owner: SimProcess, atMs: number, run: () => void): Scheduled<SimProcess> {
    assert(atMs === atMs, `event of ${owner.label} at no time`);
    return this.#heap.push(Math.max(atMs, this.nowMs), owner, run);
  }

  /** Runs `run` in this instant, after the work at hand and before any later event. */
  soon(owner: SimProcess, run: () => void): void {
    this.#soon.push({ owner, run });
  }

  /** Hands an outside happening to `owner` at once: dropped when it is dead, kept while it is paused. */
  enter(owner: SimProcess, run: () => void): void {
    if (owner.state === 'running') run();
    else if (owner.state === 'paused') owner.held.push(run);
  }

  /** None of its timers, callbacks or promises goes on any more. */
  kill(owner: SimProcess): void {
    owner.state = 'dead';
    owner.held.length = 0;
  }

  pause(owner: SimProcess): void {
    if (owner.state === 'running') owner.state = 'paused';
  }

  /** What it missed happens now, in order, before anything new. */
  resume(owner: SimProcess): void {
    if (owner.state !== 'paused') return;
    owner.state = 'running';
    for (const run of owner.held) this.soon(owner, run);
    owner.held.length = 0;
  }

  /** Runs events until virtual time `untilMs`, or until `done` (asked after each event) says so. Rejects with what an event threw. */
  run(untilMs: number, done?: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      let turns = 0;
      const hop = () => process.nextTick(turn);
      const turn = () => {
        try {
          if (done?.() === true || !this.#step(untilMs)) {
            setImmediate(resolve);
            return;
          }
        } catch (error) {
          reject(error instanceof Error ? error : new AssertionFailed(String(error)));
          return;
        }
        if (++turns % turnsPerBreath === 0) setImmediate(turn);
        else queueMicrotask(hop);
      };
      setImmediate(turn);
    });
  }

  /** Lets time pass until `promise` settles. `undefined`: it hadn't after `limitMs` more, or nothing is left that could settle it. */
  async settle<Value>(promise: Promise<Value>, limitMs: number): Promise<{ readonly value: Value } | undefined> {
    let result: { readonly value: Value } | undefined;
    let failure: { readonly error: unknown } | undefined;
    promise.then(
      (value) => {
        result = { value };
      },
      (error: unknown) => {
        failure = { error };
      },
    );
    await this.run(this.nowMs + limitMs, () => result !== undefined || failure !== undefined);
    if (failure !== undefined) throw failure.error;
    return result;
  }

  /** One event. False when nothing is left to do before `untilMs`, which is then the time. */
  #step(untilMs: number): boolean {
    const item = this.#takeSoon();
    if (item !== undefined) {
      this.#happen(item.owner, item.run);
      return true;
    }
    const next = this.#heap.peek();
    if (next === undefined || next.atMs > untilMs) {
      this.nowMs = Math.max(this.nowMs, untilMs);
      this.#instantEvents = 0;
      return false;
    }
    this.#heap.pop();
    if (next.atMs > this.nowMs) this.#instantEvents = 0;
    this.nowMs = next.atMs;
    // A paused owner may still cancel it before it goes on.
    if (next.owner.state === 'paused') next.owner.held.push(() => take(next)?.());
    else this.#happen(next.owner, take(next));
    return true;
  }

  #takeSoon(): SoonItem | undefined {
    if (this.#soonAt === this.#soon.length) {
      if (this.#soonAt > 0) {
        this.#soon = [];
        this.#soonAt = 0;
      }
      return undefined;
    }
    return this.#soon[this.#soonAt++];
  }

  #happen(owner: SimProcess, run: (() => void) | undefined): void {
    if (owner.state === 'dead' || run === undefined) return;
    this.eventCount++;
    if (++this.#instantEvents >= eventsPerInstantMax) throw new AssertionFailed(this.#endless(owner));
    this.trace.event(this.nowMs, owner.code);
    if (owner.state === 'running') run();
    else owner.held.push(run);
  }

  #endless(owner: SimProcess): string {
    return `INV-8: endless work at ${this.nowMs} ms in ${owner.label}`;
  }
}
