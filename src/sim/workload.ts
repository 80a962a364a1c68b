import { assert } from '../base/assert.ts';
import { joined } from '../base/bytes.ts';
import { blockBytes, blocksPerChunk, chunkBytes, type VolumeId } from '../base/ids.ts';
import type { Prng } from '../base/prng.ts';
import type { BlockDevice, IoResult, ReadResult } from '../volume/block-device.ts';
import type { Violation } from './checkers/violation.ts';
import { tellOperation } from './checkers/violation.ts';
import type { SimCluster } from './cluster.ts';
import { readValue, sectorBytes, tornValue, writeValue } from './contents.ts';
import type { SimEngine } from './engine.ts';
import { History, zeroValue } from './history.ts';
import type { Operation, OperationKind, RegisterKey } from './history.ts';

const sectorsPerBlock = blockBytes / sectorBytes;
const keysPerBlock = sectorsPerBlock + 1;
/** Blocks at each edge of a chunk that hosts use: few, so that operations meet; at the edges, so that they cross chunks. */
const edgeBlocks = 6;
/** In each chunk, blocks that hosts also write by the sector. */
const sectorBlocks: readonly number[] = [2, 3];
const noGatewayRetryMs = 20;
/** Operations of one host that hang and were left behind. */
const abandonedMax = 8;

export interface WorkloadOptions {
  readonly volume: string;
  readonly hosts: number;
  /** Operations that each host has under way at once. */
  readonly queueDepth: number;
  /** All hosts together. */
  readonly operations: number;
  /** Mean pause between an answer and the next operation. */
  readonly thinkMs: number;
  /** A host that waits longer goes on without the answer; if it still comes, it counts. */
  readonly patienceMs: number;
}

/** A write that its host was told to be done, and one register of it per chunk that it touched. */
export interface Acknowledgement {
  readonly operation: Operation;
  readonly volume: VolumeId;
  readonly registers: readonly { readonly key: RegisterKey; readonly chunk: number }[];
}

interface Flight {
  readonly operation: Operation;
  readonly slot: number;
  answered: boolean;
  leave: (() => void) | undefined;
}

/** Hosts that read and write the same few blocks through different Corelets, and write down what they see. */
export class Workload {
  readonly history = new History();
  readonly violations: Violation[] = [];
  /** Called at the moment of every acknowledgement of a write. */
  onAcknowledged: ((acknowledgement: Acknowledgement) => void) | undefined;
  readonly #engine: SimEngine;
  readonly #cluster: SimCluster;
  readonly #draw: Prng;
  readonly #seed: number;
  readonly #options: WorkloadOptions;
  readonly #flights = new Set<Flight>();
  /** Opened volume of each slot, for the start that it was opened in. */
  readonly #devices = new Map<number, { readonly start: number; readonly device: BlockDevice }>();
  #sizeBlocks = 0;
  #issued = 0;
  #stopped = false;

  constructor(engine: SimEngine, cluster: SimCluster, draw: Prng, seed: number, options: WorkloadOptions) {
    this.#engine = engine;
    this.#cluster = cluster;
    this.#draw = draw;
    this.#seed = seed;
    this.#options = options;
    cluster.downListeners.push((slot) => this.#gatewayDied(slot));
  }

  start(sizeBytes: number): void {
    this.#sizeBlocks = sizeBytes / blockBytes;
    const { hosts, queueDepth } = this.#options;
    for (let host = 0; host < hosts; host++) for (let lane = 0; lane < queueDepth; lane++) this.#next(host);
  }

  stop(): void {
    this.#stopped = true;
  }

  get done(): boolean {
    return this.#issued >= this.#options.operations && this.#flights.size === 0;
  }

  /** Operations whose host still waits. */
  get openCount(): number {
    return this.#flights.size;
  }

  openStory(): string[] {
    return [...this.#flights].map(({ operation }) => tellOperation(operation, undefined));
  }

  /** Reads all that hosts ever used through `slot`; the numbers of the reads. Undefined: a read was refused. */
  async readAll(slot: number): Promise<ReadonlySet<number> | undefined> {
    const device = await this.#device(slot);
    if (device === undefined) return undefined;
    const numbers = new Set<number>();
    for (let first = 0; first < this.#sizeBlocks; first += blocksPerChunk) {
      for (const start of [first, first + blocksPerChunk - edgeBlocks]) {
        const operation = this.#begin(-1, slot, 'read', start * blockBytes, edgeBlocks * blockBytes);
        const result = await device.read(operation.offset, operation.lengthBytes);
        this.#answerRead(operation, result);
        if (!result.ok) return undefined;
        numbers.add(operation.number);
      }
    }
    return numbers;
  }

  registerName(key: RegisterKey): string {
    const block = Math.floor(key / keysPerBlock);
    const part = key % keysPerBlock;
    return part === 0 ? `block ${block}` : `block ${block} sector ${part - 1}`;
  }

  #next(host: number): void {
    if (this.#stopped || this.#issued >= this.#options.operations) return;
    const pauseMs = -Math.log(1 - this.#draw.fraction()) * this.#options.thinkMs;
    this.#later(pauseMs, () => this.#issue(host));
  }

  #issue(host: number): void {
    if (this.#stopped || this.#issued >= this.#options.operations) return;
    const slot = this.#pickGateway(host);
    if (slot === undefined) {
      this.#later(noGatewayRetryMs, () => this.#issue(host));
      return;
    }
    const start = this.#cluster.slot(slot).starts;
    const opened = this.#devices.get(slot);
    if (opened?.start === start) {
      this.#operate(host, slot, opened.device);
      return;
    }
    // A gateway that dies in the meantime never answers: the host looks elsewhere.
    let waiting = true;
    const goOn = (device: BlockDevice | undefined) => {
      if (!waiting) return;
      waiting = false;
      if (device === undefined || this.#cluster.slot(slot).starts !== start)
        this.#later(noGatewayRetryMs, () => this.#issue(host));
      else this.#operate(host, slot, device);
    };
    void this.#device(slot).then(goOn);
    this.#later(this.#options.patienceMs, () => goOn(undefined));
  }

  /** Every host has two ways in that change rarely, and now and then takes any other. */
  #pickGateway(host: number): number | undefined {
    const count = this.#cluster.slots.length;
    const favourite = (host + (this.#draw.chance(0.5) ? 1 : 0)) % count;
    const first = this.#draw.chance(0.8) ? favourite : this.#draw.below(count);
    for (let step = 0; step < count; step++) {
      const slot = (first + step) % count;
      // A paused gateway still accepts what a host sends.
      const state = this.#cluster.state(slot);
      if (
        state === 'running' ||
        (state === 'paused' && this.#devices.get(slot)?.start === this.#cluster.slot(slot).starts)
      )
        return slot;
    }
    return undefined;
  }

  async #device(slot: number): Promise<BlockDevice | undefined> {
    const start = this.#cluster.slot(slot).starts;
    const known = this.#devices.get(slot);
    if (known?.start === start) return known.device;
    const opened = await this.#cluster.handle(slot)?.catalog.open(this.#options.volume);
    if (opened === undefined || opened === 'RETRYABLE') return undefined;
    if (opened === 'NOT_FOUND') {
      const summary = `the volume is gone, says slot ${slot} at ${this.#engine.nowMs.toFixed(3)} ms`;
      if (this.violations.length === 0) this.violations.push({ invariant: 'INV-1', summary, story: [] });
      return undefined;
    }
    this.#devices.set(slot, { start, device: opened });
    return opened;
  }

  #operate(host: number, slot: number, device: BlockDevice): void {
    this.#issued++;
    const { kind, offset, lengthBytes } = this.#choose();
    const operation = this.#begin(host, slot, kind, offset, lengthBytes);
    const flight: Flight = { operation, slot, answered: false, leave: undefined };
    this.#flights.add(flight);
    flight.leave = () => {
      flight.leave = undefined;
      this.#next(host);
    };
    const answer = (settle: () => void) => {
      if (flight.answered) return;
      flight.answered = true;
      this.#flights.delete(flight);
      settle();
      flight.leave?.();
    };
    this.#engine.trace.number(operation.number);
    // The gateway has the command, and works on it when it runs.
    const process = this.#cluster.slot(slot).process;
    assert(process !== undefined, 'a host talks to a process');
    this.#engine.enter(process, () => {
      if (kind === 'read') {
        device.read(offset, lengthBytes).then(
          (result) => answer(() => this.#answerRead(operation, result)),
          (error: unknown) => answer(() => this.#threw(operation, error)),
        );
        return;
      }
      this.#change(device, operation).then(
        (result) => answer(() => this.#answerChange(operation, result, device.id)),
        (error: unknown) => answer(() => this.#threw(operation, error)),
      );
    });
    this.#later(this.#options.patienceMs, () => {
      if (this.#hanging(host) < abandonedMax) flight.leave?.();
    });
  }

  #hanging(host: number): number {
    let count = 0;
    for (const { operation, leave } of this.#flights) if (operation.host === host && leave === undefined) count++;
    return count;
  }

  #choose(): { readonly kind: OperationKind; readonly offset: number; readonly lengthBytes: number } {
    const draw = this.#draw;
    const chunks = this.#sizeBlocks / blocksPerChunk;
    const chunk = draw.below(chunks);
    const choice = draw.fraction();
    if (choice < 0.18) {
      // By the sector: read or write, never across the block's edge.
      const block = chunk * blocksPerChunk + (sectorBlocks[draw.below(sectorBlocks.length)] as number);
      const first = draw.below(sectorsPerBlock);
      const count = 1 + draw.below(sectorsPerBlock - first);
      const kind = draw.chance(0.45) ? 'read' : draw.chance(0.9) ? 'write' : 'zero';
      return { kind, offset: block * blockBytes + first * sectorBytes, lengthBytes: count * sectorBytes };
    }
    const atStart = draw.chance(0.5);
    const inEdge = draw.below(edgeBlocks);
    const block = chunk * blocksPerChunk + (atStart ? inEdge : blocksPerChunk - edgeBlocks + inEdge);
    // From the end of a chunk into the next: its first blocks are an edge too.
    const runMax = Math.min(edgeBlocks - inEdge + (atStart ? 0 : edgeBlocks), this.#sizeBlocks - block);
    const blocks = draw.chance(0.75) ? 1 : 1 + draw.below(runMax);
    const kind = choice < 0.55 ? 'read' : choice < 0.94 ? 'write' : choice < 0.97 ? 'zero' : 'trim';
    return { kind, offset: block * blockBytes, lengthBytes: blocks * blockBytes };
  }

  #begin(host: number, slot: number, kind: OperationKind, offset: number, lengthBytes: number): Operation {
    const operation = this.history.begin({ host, slot, kind, offset, lengthBytes, invokedMs: this.#engine.nowMs });
    if (kind === 'read') return operation;
    const value = kind === 'write' ? operation.number : zeroValue;
    eachRegister(offset, lengthBytes, (key) => this.history.touch(key, operation, 'write', value));
    return operation;
  }

  #change(device: BlockDevice, { kind, number, offset, lengthBytes }: Operation): Promise<IoResult> {
    if (kind === 'zero') return device.zero(offset, lengthBytes, { mayPunch: this.#draw.chance(0.5) });
    if (kind === 'trim') return device.trim(offset, lengthBytes);
    const bytes = new Uint8Array(lengthBytes);
    eachRegister(offset, lengthBytes, (key, at, length) => {
      writeValue(bytes.subarray(at, at + length), this.#seed, number, key);
    });
    return device.write(offset, [bytes]);
  }

  #answerChange(operation: Operation, result: IoResult, volume: VolumeId): void {
    if (result.ok) {
      this.history.end(operation, 'ok', this.#engine.nowMs);
      if (operation.kind === 'write') this.#tellAcknowledged(operation, volume);
    }
    // RETRYABLE and OUT_OF_RANGE promise that nothing happened; of the others a host may believe nothing.
    else if (result.code === 'RETRYABLE') this.history.end(operation, 'failed', this.#engine.nowMs, result.code);
    else this.history.end(operation, 'unknown', this.#engine.nowMs, result.code);
  }

  #tellAcknowledged(operation: Operation, volume: VolumeId): void {
    if (this.onAcknowledged === undefined) return;
    const registers: { key: RegisterKey; chunk: number }[] = [];
    eachRegister(operation.offset, operation.lengthBytes, (key, at) => {
      const chunk = Math.floor((operation.offset + at) / chunkBytes);
      if (registers.at(-1)?.chunk !== chunk) registers.push({ key, chunk });
    });
    this.onAcknowledged({ operation, volume, registers });
  }

  #answerRead(operation: Operation, result: ReadResult): void {
    if (!result.ok) {
      this.history.end(operation, 'failed', this.#engine.nowMs, result.code);
      return;
    }
    this.history.end(operation, 'ok', this.#engine.nowMs);
    const bytes = joined(result.parts);
    if (bytes.length !== operation.lengthBytes) {
      this.#report('INV-4', `op ${operation.number} got another length than it asked for`, operation, undefined);
      return;
    }
    eachRegister(operation.offset, operation.lengthBytes, (key, at, length) => {
      const value = readValue(bytes.subarray(at, at + length), this.#seed, key);
      this.history.touch(key, operation, 'read', value);
      if (value !== tornValue) return;
      this.#report(
        'INV-2',
        `${this.registerName(key)}: op ${operation.number} read a torn or foreign block`,
        operation,
        value,
      );
    });
  }

  #threw(operation: Operation, error: unknown): void {
    this.history.end(operation, 'unknown', this.#engine.nowMs, 'THREW');
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#report('ASSERT', `op ${operation.number} was thrown at its host: ${message}`, operation, undefined);
  }

  #gatewayDied(slot: number): void {
    for (const flight of this.#flights) {
      if (flight.slot !== slot) continue;
      flight.answered = true;
      this.#flights.delete(flight);
      this.history.end(flight.operation, 'unknown', this.#engine.nowMs, 'GATEWAY_DIED');
      flight.leave?.();
    }
  }

  #report(invariant: string, summary: string, operation: Operation, value: number | undefined): void {
    this.violations.push({ invariant, summary, story: [tellOperation(operation, value)] });
  }

  #later(delayMs: number, run: () => void): void {
    this.#engine.schedule(this.#engine.world, this.#engine.nowMs + delayMs, run);
  }
}

/** The registers that [offset, offset + lengthBytes) covers: its key, and where its bytes are in the range. */
function eachRegister(
  offset: number,
  lengthBytes: number,
  visit: (key: RegisterKey, at: number, lengthBytes: number) => void,
): void {
  for (let at = 0; at < lengthBytes; ) {
    const block = Math.floor((offset + at) / blockBytes);
    if (sectorBlocks.includes(block % blocksPerChunk)) {
      const sector = ((offset + at) % blockBytes) / sectorBytes;
      visit(block * keysPerBlock + 1 + sector, at, sectorBytes);
      at += sectorBytes;
    } else {
      visit(block * keysPerBlock, at, blockBytes);
      at += blockBytes;
    }
  }
}
