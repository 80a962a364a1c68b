import assert from 'node:assert/strict';
import { blockBytes } from '../../../src/base/ids.ts';
import { readValue, writeValue } from '../../../src/sim/contents.ts';
import { checkLinearizability } from '../../../src/sim/checkers/linearizability.ts';
import { History } from '../../../src/sim/history.ts';
import type { EventRecord } from '../../../src/ports/events.ts';
import { type ChassisStatus, type DemoChassis, isRunning, startChassis } from '../chassis.ts';
import { eventually, rest } from '../commands.ts';
import { type Answer, HistoryConnection, kept } from '../history-connection.ts';
import { HistoryLoad } from '../history-load.ts';
import { type Kill, planPulls, type PullsPlan } from './pulls-plan.ts';

const startMsMax = 180_000;
const healMsMax = 180_000;
/** The volume is written at first, and read in the end, in pieces of so many blocks. */
const pieceBlocks = 16;
const piecesAtOnce = 8;
const hosts = 2;
/** Of each host: few enough that healing has the machine, and never none. */
const depth = 4;
const pauseMs = 10;
/** Longer than anything may take that is no bug: a host that waits is told of, not sent elsewhere. */
const answerMsMax = 60_000;

export interface PullsOptions {
  readonly slots: number;
  readonly volumeMiB: number;
  readonly seed: number;
  /** Times that the whole chassis is killed and started again; at most one per pull. */
  readonly kills: number;
  /** The data folder of a run that failed stays. */
  readonly keepFailed: boolean;
  pulled(pull: Pull): void;
}

/** One module pulled and made good. Milliseconds from its end on. */
export interface Pull {
  readonly slot: number;
  readonly left: number;
  /** Until the last of the others had a view without it, by what each recorded; NaN: all were killed before they recorded it. */
  readonly agreedMs: number;
  readonly fullMs: number;
  /** What finished copies sent to others meanwhile. */
  readonly copiedBytes: number;
  /** Of the host's answered I/O that was under way meanwhile. */
  readonly longestMs: number;
  readonly kill: (Kill & Restarted) | undefined;
}

interface Restarted {
  /** From the start of the chassis to its ready line, and from the kill to the first answer to a host. */
  readonly readyMs: number;
  readonly servedMs: number;
}

export interface PullsReport {
  readonly pulls: readonly Pull[];
  readonly operations: number;
  /** Under way at a kill. */
  readonly unknown: number;
  /** Connections of hosts that ended without a kill. */
  readonly dropped: number;
  /** Pulls that were refused for a moment, as not safe. */
  readonly unsafe: number;
  readonly blocks: number;
}

/**
 * Pulls module by module, each when the one before was made good, until three are left; two hosts write and read meanwhile
 * through two of those that stay, and what they wrote is read once more through the third.
 * @throws AssertionError where a host was refused, a read fits no order of the writes, or a copy is bad.
 */
export async function runPulls(options: PullsOptions): Promise<PullsReport> {
  const { slots, volumeMiB, seed, kills } = options;
  const plan = planPulls(seed, slots, kills);
  const chassis = await startChassis({ slots, volume: `demo:${volumeMiB}MiB`, limitMs: startMsMax });
  const run = new PullsRun(chassis, plan, options);
  let isGood = false;
  try {
    const report = await run.run();
    isGood = true;
    return report;
  } catch (error) {
    if (options.keepFailed) throw new Error(`seed ${seed}; see ${chassis.data}`, { cause: error });
    throw error;
  } finally {
    await run.end(!isGood && options.keepFailed);
  }
}

class PullsRun {
  readonly #plan: PullsPlan;
  readonly #options: PullsOptions;
  readonly #blocks: number;
  readonly #history = new History();
  readonly #load: HistoryLoad;
  #chassis: DemoChassis;
  #dropped = 0;
  #reconnects = 0;
  #unsafe = 0;

  constructor(chassis: DemoChassis, plan: PullsPlan, options: PullsOptions) {
    this.#chassis = chassis;
    this.#plan = plan;
    this.#options = options;
    const volumeBytes = options.volumeMiB * 1024 * 1024;
    this.#blocks = volumeBytes / blockBytes;
    this.#load = new HistoryLoad(this.#history, {
      ports: plan.survivors.slice(0, hosts).map((slot) => chassis.nbdPort + slot),
      volume: 'demo',
      seed: options.seed,
      hosts,
      depth,
      blocks: this.#blocks,
      volumeBytes,
      readShare: 0.5,
      answerMsMax,
      pauseMs,
    });
  }

  async run(): Promise<PullsReport> {
    await this.#all('write');
    await this.#chassis.full(healMsMax);
    this.#load.start();
    const pulls: Pull[] = [];
    for (const [turn, { slot, kill }] of this.#plan.pulls.entries()) {
      const pull = await this.#pull(slot, this.#plan.pulls.length - turn - 1 + this.#plan.survivors.length, kill);
      pulls.push(pull);
      this.#options.pulled(pull);
    }
    await this.#load.stop();
    this.#countDropped();
    await this.#all('read');
    await this.#scrub();
    assert.equal(this.#load.refusals, 0, 'no host was refused anything');
    const { violations, unchecked } = checkLinearizability(this.#history, (block) => `block ${block}`);
    assert.deepEqual(
      violations,
      [],
      'every read fits one order of the writes, and the last ones see all that was acknowledged',
    );
    assert.equal(unchecked, 0, 'every block was decided');
    const { operations } = this.#history;
    const unknown = operations.filter(({ outcome }) => outcome === 'unknown').length;
    return {
      pulls,
      operations: operations.length,
      unknown,
      dropped: this.#dropped,
      unsafe: this.#unsafe,
      blocks: this.#blocks,
    };
  }

  async end(keepData: boolean): Promise<void> {
    const stopped = this.#load.stop();
    await this.#chassis.stop({ keepData });
    await stopped;
  }

  async #pull(slot: number, left: number, kill: Kill | undefined): Promise<Pull> {
    const chassis = this.#chassis;
    const record = chassis.slots().find((one) => one.slot === slot);
    assert(record !== undefined);
    const gone = eventually('the module gone', 60_000, () =>
      isRunning(record.pid) ? undefined : { atMs: performance.now(), atWallMs: Date.now() },
    );
    await this.#drawn(slot);
    const { atMs, atWallMs } = await gone;
    const restarted = kill === undefined ? undefined : await this.#kill(slot, kill);
    await this.#chassis.healedWithout(slot, healMsMax);
    const fullMs = performance.now() - atMs;
    return {
      slot,
      left,
      agreedMs: (await this.#agreedAt(record.id, atWallMs, kill !== undefined)) - atWallMs,
      fullMs,
      copiedBytes: await eventually('what was copied', healMsMax, () => this.#copiedBytes(atWallMs)),
      longestMs: this.#longestMs(atMs),
      kill: kill === undefined || restarted === undefined ? undefined : { ...kill, ...restarted },
    };
  }

  /** Full a moment ago, it is refused while the Corelet that is asked doesn't hear another one: then it is tried again, as a person would. */
  async #drawn(slot: number): Promise<void> {
    await eventually(`slot ${slot} pulled`, healMsMax, async () => {
      const pulled = await this.#chassis.corelet(['slot', 'pull', String(slot)]);
      if (pulled.code === 0) return true;
      assert.match(pulled.stderr, /is not safe to pull/);
      this.#unsafe++;
      return undefined;
    });
  }

  async #kill(slot: number, { moment, delayMs, startMs }: Kill): Promise<Restarted> {
    const holdsWithout = (status: ChassisStatus): boolean => {
      const state = status.slots.find((one) => one.slot === slot)?.state;
      return (state === undefined || state === 'gone') && status.arcs.full === status.arcs.total;
    };
    // Copies of so little data may be made between two looks.
    if (moment !== 'agreeing') {
      await this.#chassis.until(moment, healMsMax, (status) =>
        moment === 'copying' && status.rebuild.bytesLeft > 0 ? true : holdsWithout(status),
      );
    }
    await rest(delayMs);
    this.#countDropped();
    const killedMs = performance.now();
    await this.#chassis.cutPower();
    if (startMs !== undefined) await this.#startAndKill(startMs);
    this.#chassis = await this.#start(startMsMax);
    const served = await eventually('a host served again', healMsMax, () =>
      this.#history.operations.find(({ outcome, invokedMs }) => outcome === 'ok' && invokedMs > killedMs),
    );
    this.#reconnects = this.#load.reconnects;
    return { readyMs: this.#chassis.readyMs, servedMs: served.completedMs - killedMs };
  }

  async #startAndKill(startMs: number): Promise<void> {
    try {
      const chassis = await this.#start(startMs);
      await chassis.cutPower();
    } catch (error) {
      if (!String(error).includes('ready: not within')) throw error;
    }
  }

  #start(limitMs: number): Promise<DemoChassis> {
    const { data, slotCount: slots, nbdPort, iscsiPort, nvmePort, nvmeDiscoveryPort, adminPort } = this.#chassis;
    const volume = `demo:${this.#options.volumeMiB}MiB`;
    return startChassis({ data, slots, volume, nbdPort, iscsiPort, nvmePort, nvmeDiscoveryPort, adminPort, limitMs });
  }

  /** Those that ended without a kill. */
  #countDropped(): void {
    this.#dropped += this.#load.reconnects - this.#reconnects;
    this.#reconnects = this.#load.reconnects;
  }

  #running(): number[] {
    const records = this.#chassis.slots().filter(({ pid }) => isRunning(pid));
    return records.map(({ slot }) => slot);
  }

  /** When the last of those that run recorded a view without that one. Who was killed meanwhile may have it without a record of it. */
  #agreedAt(lost: string, sinceWallMs: number, killed: boolean): Promise<number> {
    return eventually('all agreed', healMsMax, () => {
      const recorded = this.#running().map((slot) => {
        const isIt = ({ kind, corelet, atWallMs }: EventRecord): boolean =>
          kind === 'view.removed' && corelet === lost && atWallMs >= sinceWallMs - 1000;
        return this.#chassis.recorded(slot).find(isIt)?.atWallMs;
      });
      const times = recorded.filter((time) => time !== undefined);
      if (times.length < recorded.length && !killed) return undefined;
      return times.length === 0 ? Number.NaN : Math.max(...times);
    });
  }

  #copiedBytes(sinceWallMs: number): number {
    let bytes = 0;
    for (const slot of this.#running()) {
      for (const { kind, atWallMs, data } of this.#chassis.recorded(slot)) {
        if ((kind !== 'arc.copied' && kind !== 'arc.copy-failed') || atWallMs < sinceWallMs) continue;
        bytes += Number(data?.['blocks'] ?? 0) * blockBytes;
      }
    }
    return bytes;
  }

  #longestMs(sinceMs: number): number {
    let longestMs = 0;
    for (const { outcome, completedMs, invokedMs } of this.#history.operations)
      if (outcome === 'ok' && completedMs >= sinceMs) longestMs = Math.max(longestMs, completedMs - invokedMs);
    return longestMs;
  }

  /** Through the survivor that no host used. */
  async #all(kind: 'write' | 'read'): Promise<void> {
    const port = this.#chassis.nbdPort + (this.#plan.survivors.at(-1) as number);
    const connection = await HistoryConnection.open(port, 'demo');
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < this.#blocks) {
        const first = next;
        next += pieceBlocks;
        await this.#piece(connection, kind, first);
      }
    };
    try {
      await Promise.all(Array.from({ length: piecesAtOnce }, lane));
    } finally {
      connection.abandon();
    }
  }

  async #piece(connection: HistoryConnection, kind: 'write' | 'read', first: number): Promise<void> {
    const { seed } = this.#options;
    const history = this.#history;
    const offset = first * blockBytes;
    const lengthBytes = pieceBlocks * blockBytes;
    const slot = this.#plan.survivors.at(-1) as number;
    const operation = history.begin({ host: hosts, slot, kind, offset, lengthBytes, invokedMs: performance.now() });
    const data = new Uint8Array(kind === 'write' ? lengthBytes : 0);
    const blockOf = (bytes: Uint8Array, i: number): Uint8Array => bytes.subarray(i * blockBytes, (i + 1) * blockBytes);
    for (let i = 0; kind === 'write' && i < pieceBlocks; i++) {
      writeValue(blockOf(data, i), seed, operation.number, first + i);
      history.touch(first + i, operation, 'write', operation.number);
    }
    const answer = await new Promise<Answer>((resolve) => {
      if (kind === 'write') connection.write(offset, data, resolve);
      else connection.read(offset, lengthBytes, (read) => resolve(kept(read)));
    });
    assert(answer !== 'lost' && 'data' in answer, `the whole volume can be ${kind === 'write' ? 'written' : 'read'}`);
    history.end(operation, 'ok', performance.now());
    for (let i = 0; kind === 'read' && i < pieceBlocks; i++)
      history.touch(first + i, operation, 'read', readValue(blockOf(answer.data, i), seed, first + i));
  }

  /** The last three hold everything, and every copy of it is good. */
  async #scrub(): Promise<void> {
    await this.#chassis.full(healMsMax);
    const scrubbed = await this.#chassis.corelet(['scrub', 'now', '--json', '--wait', '120'], { limitMs: 180_000 });
    assert.equal(scrubbed.code, 0, scrubbed.stderr + scrubbed.stdout);
    const { total } = JSON.parse(scrubbed.stdout) as { total: { badBlocks: number; differing: number } };
    assert.equal(total.badBlocks + total.differing, 0, scrubbed.stdout);
  }
}

/** A line of its own. */
export function tellPull({ slot, left, agreedMs, fullMs, copiedBytes, longestMs, kill }: Pull): string {
  const mib = (copiedBytes / 1024 / 1024).toFixed(0);
  const pulled = `slot ${slot} pulled, ${left} left: agreed after ${Math.round(agreedMs)} ms, full after ${Math.round(fullMs)} ms, ${mib} MiB copied, the longest I/O ${Math.round(longestMs)} ms`;
  if (kill === undefined) return pulled;
  const again = kill.startMs === undefined ? '' : `, and again ${kill.startMs} ms into its start`;
  return `${pulled}; all killed (${kill.moment} + ${kill.delayMs} ms)${again}: ready ${Math.round(kill.readyMs)} ms after the last start, the first answer to a host ${Math.round(kill.servedMs)} ms after the kill`;
}

/** The last line. */
export function tellPulls({ operations, unknown, dropped, unsafe, blocks }: PullsReport): string {
  return (
    `${operations} I/Os, none refused, ${unknown} under way at a kill; ${dropped} connections of hosts ended without one; ` +
    `${unsafe} pulls refused for a moment as not safe; ${blocks} blocks verified, and scrubbed`
  );
}
