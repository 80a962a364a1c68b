import { blockBytes, chunkBytes } from '../src/base/ids.ts';
import { type Answer, HistoryConnection } from '../test/interop/history-connection.ts';

interface Done {
  readonly endedMs: number;
  readonly tookMs: number;
}

export interface SteadyHostOptions {
  readonly port: number;
  readonly volumeBytes: number;
  /** I/Os under way at a time, every second one a write. */
  readonly depth: number;
}

/** A host that reads and writes random blocks of `demo` through one Corelet, on and on, and remembers how long each took. Times as of `performance.now`. */
export class SteadyHost {
  readonly #connection: HistoryConnection;
  readonly #options: SteadyHostOptions;
  readonly #done: Done[] = [];
  readonly #openSinceMs = new Set<{ readonly beganMs: number }>();
  #stopped = false;
  /** What the host was told, where that was no success. */
  failed: string | undefined;

  private constructor(connection: HistoryConnection, options: SteadyHostOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  static async open(options: SteadyHostOptions): Promise<SteadyHost> {
    const host = new SteadyHost(await HistoryConnection.open(options.port, 'demo'), options);
    for (let i = 0; i < options.depth; i++) host.#next(i);
    return host;
  }

  #next(turn: number): void {
    if (this.#stopped || this.failed !== undefined) return;
    const open = { beganMs: performance.now() };
    this.#openSinceMs.add(open);
    const offset = Math.floor((Math.random() * this.#options.volumeBytes) / blockBytes) * blockBytes;
    const done = (answer: Answer): void => {
      this.#openSinceMs.delete(open);
      if (this.#stopped) return;
      if (answer === 'lost' || 'error' in answer) this.failed = JSON.stringify(answer);
      const endedMs = performance.now();
      this.#done.push({ endedMs, tookMs: endedMs - open.beganMs });
      this.#next(turn + 1);
    };
    if (turn % 2 === 0) this.#connection.write(offset, new Uint8Array(blockBytes).fill(turn & 0xff), done);
    else this.#connection.read(offset, blockBytes, done);
  }

  /** Of those that ended since then, and of those still open; sorted. */
  tookMs(sinceMs: number): number[] {
    const nowMs = performance.now();
    const ended = this.#done.filter(({ endedMs }) => endedMs >= sinceMs).map(({ tookMs }) => tookMs);
    return [...ended, ...[...this.#openSinceMs].map(({ beganMs }) => nowMs - beganMs)].sort((a, b) => a - b);
  }

  longestMs(sinceMs: number): number {
    return this.tookMs(sinceMs).at(-1) ?? 0;
  }

  p99Ms(sinceMs: number): number {
    const took = this.tookMs(sinceMs);
    return took[Math.floor(took.length * 0.99)] ?? 0;
  }

  stop(): void {
    this.#stopped = true;
    this.#connection.abandon();
  }
}

/** Writes all of `demo` once, through one Corelet. @throws Error with what the host was told, where that was no success. */
export async function fillVolume(port: number, volumeBytes: number): Promise<void> {
  const connection = await HistoryConnection.open(port, 'demo');
  try {
    for (let offset = 0; offset < volumeBytes; offset += chunkBytes) {
      const data = new Uint8Array(Math.min(chunkBytes, volumeBytes - offset)).fill(1 + ((offset / chunkBytes) % 255));
      const answer = await new Promise<Answer>((resolve) => connection.write(offset, data, resolve));
      if (answer === 'lost' || 'error' in answer) throw new Error(`the host was told ${JSON.stringify(answer)}`);
    }
  } finally {
    connection.abandon();
  }
}
