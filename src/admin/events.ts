import { appendFileSync, readFileSync, renameSync, statSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import type { EventRecord, Events } from '../ports/events.ts';

/** Whoever runs the Corelet, nobody else. */
const fileMode = 0o600;

/** Kept in memory, and read back at a start. */
export const eventsMax = 4_096;
/** A file above this is put aside as `.1`; the one before that is gone. */
const fileBytesMax = 4 * 1024 * 1024;
/** Lines that wait for the file while it is slow; more are kept in memory only. */
const pendingLinesMax = 4_096;
const flushDelayMs = 200;

export interface EventQuery {
  /** About this slot, or about one of `corelets`. */
  readonly slot?: number;
  readonly corelets?: readonly string[];
  readonly arc?: number;
  /** At or after this wall time. */
  readonly sinceWallMs?: number;
  /** The newest so many. */
  readonly limit: number;
}

/**
 * What one Corelet saw and decided: a bounded ring in memory, written behind to a bounded pair of files. A record of the
 * past, never an input to a decision; so a failed write loses lines and nothing else.
 */
export class EventLog implements Events {
  readonly #path: string | undefined;
  readonly #wallMs: () => number;
  readonly #ring: EventRecord[] = [];
  /** Where the oldest record of a full ring is. */
  #oldest = 0;
  #pending: string[] = [];
  #fileBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();
  recordedTotal = 0;

  /** `path`: the file; undefined keeps events in memory only. */
  constructor(path: string | undefined, wallMs: () => number) {
    this.#path = path;
    this.#wallMs = wallMs;
    if (path !== undefined) this.#load(path);
  }

  record(event: Omit<EventRecord, 'atWallMs'>): void {
    const stamped: EventRecord = { atWallMs: this.#wallMs(), ...event };
    this.#keep(stamped);
    this.recordedTotal++;
    if (this.#path === undefined || this.#pending.length >= pendingLinesMax) return;
    this.#pending.push(`${JSON.stringify(stamped)}\n`);
    this.#timer ??= setTimeout(() => {
      this.#flushing = this.#flushing.then(() => this.#flush());
    }, flushDelayMs).unref();
  }

  /** Oldest first; at most `limit`, the newest of those that match. */
  query({ slot, corelets = [], arc, sinceWallMs, limit }: EventQuery): readonly EventRecord[] {
    const found: EventRecord[] = [];
    for (let age = 1; age <= this.#ring.length && found.length < limit; age++) {
      const event = this.#ring[(this.#oldest + this.#ring.length - age) % this.#ring.length] as EventRecord;
      if (sinceWallMs !== undefined && event.atWallMs < sinceWallMs) continue;
      if (arc !== undefined && event.arc !== arc) continue;
      const about = event.slot === slot || (event.corelet !== undefined && corelets.includes(event.corelet));
      if (slot === undefined ? corelets.length === 0 || about : about) found.push(event);
    }
    return found.reverse();
  }

  /** Writes what waits; for the end of the process. */
  closeSync(): void {
    clearTimeout(this.#timer);
    const lines = this.#pending.join('');
    this.#pending = [];
    if (this.#path === undefined || lines === '') return;
    try {
      appendFileSync(this.#path, lines, { mode: fileMode });
    } catch {
      // The process ends with what the file has.
    }
  }

  #keep(event: EventRecord): void {
    if (this.#ring.length < eventsMax) {
      this.#ring.push(event);
      return;
    }
    this.#ring[this.#oldest] = event;
    this.#oldest = (this.#oldest + 1) % eventsMax;
  }

  async #flush(): Promise<void> {
    this.#timer = undefined;
    const lines = this.#pending.join('');
    this.#pending = [];
    if (this.#path === undefined || lines === '') return;
    try {
      if (this.#fileBytes > fileBytesMax) {
        renameSync(this.#path, `${this.#path}.1`);
        this.#fileBytes = 0;
      }
      await appendFile(this.#path, lines, { mode: fileMode });
      this.#fileBytes += lines.length;
    } catch {
      // The ring has them; the flash that matters has its own way to say that it fails.
    }
  }

  #load(path: string): void {
    const lines = [...readLines(`${path}.1`), ...readLines(path)].slice(-eventsMax);
    for (const line of lines) {
      const event = parseEvent(line);
      if (event !== undefined) this.#keep(event);
    }
    this.#fileBytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  }
}

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch {
    return [];
  }
}

/** Undefined for a line that a crash cut short. */
function parseEvent(line: string): EventRecord | undefined {
  try {
    const event = JSON.parse(line) as Partial<EventRecord> | null;
    if (typeof event?.atWallMs === 'number' && typeof event.kind === 'string' && typeof event.text === 'string')
      return event as EventRecord;
  } catch {
    // Told by the result.
  }
  return undefined;
}
