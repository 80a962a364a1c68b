import { blockBytes } from '../../src/base/ids.ts';
import { readValue, writeValue } from '../../src/sim/contents.ts';
import type { History, Operation } from '../../src/sim/history.ts';
import { type Answer, HistoryConnection } from './history-connection.ts';

const answerMsMaxDefault = 3000;
const lookMs = 100;
const redialMs = 50;
/** Half of all operations go to these few blocks, so that they meet. */
const hotBlocks = 64;
/** At one block at a time: what a checker must consider grows exponentially with it. */
const overlapMax = 6;

export interface LoadOptions {
  readonly ports: readonly number[];
  readonly volume: string;
  readonly seed: number;
  readonly hosts: number;
  readonly depth: number;
  /** Blocks in use, spread evenly over the volume. */
  readonly blocks: number;
  readonly volumeBytes: number;
  /** Of all operations. */
  readonly readShare: number;
  /** A command that isn't answered for so long (3 s by default): the host gives the path up and goes on through another. */
  readonly answerMsMax?: number;
  /** Between an answer and the next command; none by default. */
  readonly pauseMs?: number;
}

/** Hosts that write and read the same blocks, each through one Corelet at a time; all they did and saw is recorded. */
export class HistoryLoad {
  readonly history: History;
  readonly options: LoadOptions;
  readonly #hosts: Host[];
  stopping = false;
  reconnects = 0;
  refusals = 0;
  readonly #lookout: NodeJS.Timeout;
  readonly #underWay: Uint8Array;

  constructor(history: History, options: LoadOptions) {
    this.history = history;
    this.options = options;
    this.#underWay = new Uint8Array(options.blocks);
    this.#hosts = Array.from({ length: options.hosts }, (_, host) => new Host(this, host));
    this.#lookout = setInterval(() => {
      for (const host of this.#hosts) host.look();
    }, lookMs);
  }

  offsetOf(block: number): number {
    const { blocks, volumeBytes } = this.options;
    return block * Math.floor(volumeBytes / blockBytes / blocks) * blockBytes;
  }

  /** A block to do something with; given back by `leave`. */
  enter(): number {
    const { blocks } = this.options;
    let block = Math.floor(Math.random() * (Math.random() < 0.5 ? Math.min(hotBlocks, blocks) : blocks));
    while ((this.#underWay[block] as number) >= overlapMax) block = (block + 1) % blocks;
    this.#underWay[block] = (this.#underWay[block] as number) + 1;
    return block;
  }

  leave(block: number): void {
    this.#underWay[block] = (this.#underWay[block] as number) - 1;
  }

  start(): void {
    for (const host of this.#hosts) host.start();
  }

  /** Begins nothing new; resolves when all that was asked is answered or given up. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.#hosts.map((host) => host.idle()));
    clearInterval(this.#lookout);
    for (const host of this.#hosts) host.close();
  }
}

class Host {
  readonly #load: HistoryLoad;
  readonly #host: number;
  #path: number;
  #connection: HistoryConnection | undefined;
  /** Buffers of writes that were answered. */
  readonly #written: Uint8Array[] = [];
  #underWay = 0;
  #whenIdle: (() => void) | undefined;

  constructor(load: HistoryLoad, host: number) {
    this.#load = load;
    this.#host = host;
    this.#path = host % load.options.ports.length;
  }

  start(): void {
    void this.#connect();
  }

  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
      if (this.#underWay === 0) resolve();
    });
  }

  close(): void {
    this.#connection?.abandon();
  }

  look(): void {
    const { answerMsMax = answerMsMaxDefault } = this.#load.options;
    if ((this.#connection?.oldestWaitMs(performance.now()) ?? 0) > answerMsMax) this.#connection?.abandon();
  }

  async #connect(): Promise<void> {
    const { options } = this.#load;
    while (!this.#load.stopping) {
      try {
        const port = options.ports[this.#path] as number;
        this.#connection = await HistoryConnection.open(port, options.volume);
        for (let i = 0; i < options.depth; i++) this.#next(this.#connection);
        return;
      } catch {
        this.#path = (this.#path + 1) % options.ports.length;
        await new Promise((resolve) => setTimeout(resolve, redialMs));
      }
    }
  }

  #lost(connection: HistoryConnection): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#load.reconnects++;
    this.#path = (this.#path + 1) % this.#load.options.ports.length;
    void this.#connect();
  }

  #next(connection: HistoryConnection): void {
    const { history, options, stopping } = this.#load;
    if (stopping || connection.isLost) return;
    const block = this.#load.enter();
    const isRead = Math.random() < options.readShare;
    const offset = this.#load.offsetOf(block);
    const operation = history.begin({
      host: this.#host,
      slot: this.#path,
      kind: isRead ? 'read' : 'write',
      offset,
      lengthBytes: blockBytes,
      invokedMs: performance.now(),
    });
    this.#underWay++;
    if (isRead) {
      connection.read(offset, blockBytes, (answer) => this.#answered(connection, operation, block, answer));
      return;
    }
    const data = this.#written.pop() ?? new Uint8Array(blockBytes);
    writeValue(data, options.seed, operation.number, block);
    history.touch(block, operation, 'write', operation.number);
    connection.write(offset, data, (answer) => {
      if (answer !== 'lost') this.#written.push(data); // what is lost may still be on its way into a socket
      this.#answered(connection, operation, block, answer);
    });
  }

  #answered(connection: HistoryConnection, operation: Operation, block: number, answer: Answer): void {
    const { history, options } = this.#load;
    const now = performance.now();
    if (answer === 'lost') history.end(operation, 'unknown', now);
    else if ('error' in answer) {
      this.#load.refusals++;
      history.end(operation, 'failed', now, String(answer.error));
    } else {
      history.end(operation, 'ok', now);
      if (operation.kind === 'read')
        history.touch(block, operation, 'read', readValue(answer.data, options.seed, block));
    }
    this.#load.leave(block);
    this.#underWay--;
    if (this.#underWay === 0) this.#whenIdle?.();
    if (answer === 'lost') this.#lost(connection);
    else if (options.pauseMs === undefined) this.#next(connection);
    else setTimeout(() => this.#next(connection), options.pauseMs);
  }
}
