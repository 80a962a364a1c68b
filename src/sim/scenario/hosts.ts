import { assert } from '../../base/assert.ts';
import { joined } from '../../base/bytes.ts';
import { blockBytes } from '../../base/ids.ts';
import { Abandonment } from '../../volume/abandonment.ts';
import type { BlockDevice, CompareResult, HostCommand, IoResult, ReadResult } from '../../volume/block-device.ts';
import { ticketLifeMs } from '../../wire/peer/limits.ts';
import type { Violation } from '../checkers/violation.ts';
import { tellOperation } from '../checkers/violation.ts';
import type { SimCluster } from '../cluster.ts';
import { readValue, tornValue, writeValue } from '../contents.ts';
import type { SimEngine } from '../engine.ts';
import { History, zeroValue } from '../history.ts';
import type { Operation, OperationKind, RegisterOperation } from '../history.ts';
import { blocksBySector, type Range, Registers } from './range.ts';

const openRetryMs = 20;
/** After this a command's tickets are dead, whatever became of it; more than T_life, since clocks drift. */
const effectMsMax = 1.003 * ticketLifeMs + 2;

/** Answers after which nothing may have happened (for a command within one chunk). */
const definite: ReadonlySet<string> = new Set([
  'RETRYABLE',
  'OUT_OF_RANGE',
  'NO_SPACE',
  'READ_ONLY',
  'GONE',
  'CONFLICT',
]);

/** Something asked of a Corelet whose answer a story can wait for. */
export interface Asked {
  readonly slot: number;
  /** `''` while open; then `ok` or the code. */
  answer: string;
  /** Of a read: value of each register, in order. */
  values: readonly number[];
}

/** One command of a host, from when its gateway has it until the host knows. */
export interface Task extends Asked {
  readonly operation: Operation;
  readonly command: Command;
  readonly abandonment: Abandonment;
  /** Of a compare-and-write: what it did to its register, as far as is known. */
  readonly compared: RegisterOperation | undefined;
}

export interface Command {
  readonly kind: OperationKind;
  readonly host: number;
  readonly slot: number;
  readonly range: Range;
  /** Of a compare-and-write: the value that must be there. */
  readonly expected?: number;
}

/** Hosts that do what a story tells them, through any gateway, and write down what they see. */
export class Hosts {
  readonly history = new History();
  readonly violations: Violation[] = [];
  /** A write was acknowledged. */
  onAcknowledged: ((task: Task) => void) | undefined;
  readonly registers: Registers;
  readonly open = new Set<Task>();
  /** Everything that was ever asked, in order. */
  readonly asked: Task[] = [];
  /** Hosts that have registered something: each opens volumes for itself, so that gateways can tell them apart. */
  readonly registrants = new Set<number>();
  readonly #engine: SimEngine;
  readonly #cluster: SimCluster;
  readonly #seed: number;
  readonly #devices = new Map<string, { readonly start: number; readonly device: BlockDevice }>();

  constructor(engine: SimEngine, cluster: SimCluster, seed: number, texts: readonly string[]) {
    this.#engine = engine;
    this.#cluster = cluster;
    this.#seed = seed;
    this.registers = new Registers(blocksBySector(texts));
    cluster.downListeners.push((slot) => this.#gatewayDied(slot));
  }

  /** Opens the volume there, now. Hosts then keep that device as long as the process lives, whatever becomes of the volume. */
  async device(slot: number, volume: string, host = 0): Promise<BlockDevice | 'NOT_FOUND' | undefined> {
    const { starts } = this.#cluster.slot(slot);
    const key = this.#deviceKey(slot, volume, host);
    const known = this.#devices.get(key);
    if (known?.start === starts) return known.device;
    const registrant = this.registrants.has(host) ? `h${host}` : undefined;
    const opened = await this.#cluster.handle(slot)?.catalog.open(volume, undefined, registrant);
    if (opened === undefined || opened === 'RETRYABLE') return undefined;
    if (opened !== 'NOT_FOUND') this.#devices.set(key, { start: starts, device: opened });
    return opened;
  }

  #deviceKey(slot: number, volume: string, host: number): string {
    return this.registrants.has(host) ? `${slot}/${volume}/${host}` : `${slot}/${volume}`;
  }

  /** The host sends its command; undefined: the volume can't be opened there within `limitMs`. */
  async begin(command: Command, limitMs: number): Promise<Task | 'NOT_FOUND' | undefined> {
    const device = await this.#openWithin(command, limitMs);
    return device === undefined || device === 'NOT_FOUND' ? device : this.send(command, device);
  }

  /** The host sends its command to a gateway where the volume is open. */
  send(command: Command, device: BlockDevice): Task {
    const { kind, host, slot, range } = command;
    const { offset, lengthBytes, volume } = range;
    const invokedMs = this.#engine.nowMs;
    const effectByMs = invokedMs + effectMsMax;
    const operation = this.history.begin({ host, slot, kind, offset, lengthBytes, invokedMs, effectByMs });
    let compared: RegisterOperation | undefined;
    if (kind === 'compare') {
      this.registers.each(volume, offset, lengthBytes, (key) => {
        compared = this.history.touch(key, operation, 'compare', operation.number, command.expected);
      });
    } else if (kind !== 'read') {
      const value = kind === 'write' ? operation.number : zeroValue;
      this.registers.each(volume, offset, lengthBytes, (key) => this.history.touch(key, operation, 'write', value));
    }
    const task: Task = { operation, command, slot, abandonment: new Abandonment(), compared, answer: '', values: [] };
    this.open.add(task);
    this.asked.push(task);
    const { process, clock } = this.#cluster.slot(slot);
    assert(process !== undefined && clock !== undefined, 'a host talks to a process');
    // It isn't there before it is sent; when the gateway reads it is another matter.
    const arrival = { arrivedAfterMs: clock.nowMs(), abandonment: task.abandonment };
    this.#engine.enter(process, () => this.#perform(task, device, arrival));
    return task;
  }

  async #openWithin(command: Command, limitMs: number): Promise<BlockDevice | 'NOT_FOUND' | undefined> {
    const { slot, host } = command;
    const { volume } = command.range;
    const untilMs = this.#engine.nowMs + limitMs;
    const state = this.#cluster.state(slot);
    if (state === 'paused') {
      // A sleeping gateway still accepts what a host sends on a connection that is open.
      const known = this.#devices.get(this.#deviceKey(slot, volume, host));
      return known?.start === this.#cluster.slot(slot).starts ? known.device : undefined;
    }
    while (this.#engine.nowMs < untilMs) {
      const opened = await this.#engine.settle(this.device(slot, volume, host), untilMs - this.#engine.nowMs);
      if (opened?.value !== undefined) return opened.value;
      await this.#engine.run(this.#engine.nowMs + openRetryMs);
    }
    return undefined;
  }

  #perform(task: Task, device: BlockDevice, arrival: HostCommand): void {
    const { operation } = task;
    const { kind, offset, lengthBytes } = operation;
    if (kind === 'read') {
      device.read(offset, lengthBytes).then(
        (result) => this.#answer(task, () => this.#answerRead(task, result)),
        (error: unknown) => this.#answer(task, () => this.#threw(task, error)),
      );
      return;
    }
    this.#change(device, task, arrival).then(
      (result) => this.#answer(task, () => this.#end(task, result.ok ? 'ok' : result.code)),
      (error: unknown) => this.#answer(task, () => this.#threw(task, error)),
    );
  }

  #change(device: BlockDevice, { operation, command }: Task, arrival: HostCommand): Promise<IoResult | CompareResult> {
    const { kind, number, offset, lengthBytes } = operation;
    if (kind === 'zero') return device.zero(offset, lengthBytes, { mayPunch: true }, arrival);
    if (kind === 'trim') return device.trim(offset, lengthBytes, arrival);
    const bytes = this.bytesOf(command.range, number);
    if (command.expected === undefined) return device.write(offset, [bytes], arrival);
    return device.compareAndWrite(offset, this.bytesOf(command.range, command.expected), bytes, arrival);
  }

  /** What a write of `value` to that place holds. */
  bytesOf({ volume, offset, lengthBytes }: Range, value: number): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    if (value === zeroValue) return bytes;
    this.registers.each(volume, offset, lengthBytes, (key, at, length) => {
      writeValue(bytes.subarray(at, at + length), this.#seed, value, key);
    });
    return bytes;
  }

  #answer(task: Task, settle: () => void): void {
    if (this.open.delete(task)) settle();
  }

  #answerRead(task: Task, result: ReadResult): void {
    const { operation } = task;
    if (!result.ok) {
      this.#end(task, result.code);
      return;
    }
    const bytes = joined(result.parts);
    if (bytes.length !== operation.lengthBytes) {
      this.#report('INV-4', 'got another length than it asked for', operation, undefined);
      return;
    }
    this.#end(task, 'ok');
    const values: number[] = [];
    this.registers.each(task.command.range.volume, operation.offset, operation.lengthBytes, (key, at, length) => {
      const value = readValue(bytes.subarray(at, at + length), this.#seed, key);
      values.push(value);
      this.history.touch(key, operation, 'read', value);
      if (value !== tornValue) return;
      this.#report('INV-2', `read a torn or foreign block at ${this.registers.name(key)}`, operation, value);
    });
    task.values = values;
  }

  #end(task: Task, answer: string): void {
    task.answer = answer;
    const { operation } = task;
    const oneChunk = operation.offset % (256 * blockBytes) <= 256 * blockBytes - operation.lengthBytes;
    if (answer === 'MISCOMPARE') {
      this.history.end(operation, 'ok', this.#engine.nowMs, answer);
      if (task.compared !== undefined) task.compared.kind = 'differs';
    } else if (answer === 'ok') {
      this.history.end(operation, 'ok', this.#engine.nowMs);
      if (operation.kind === 'write' || operation.kind === 'compare') this.onAcknowledged?.(task);
    } else if (operation.kind === 'read' || (oneChunk && definite.has(answer)))
      this.history.end(operation, 'failed', this.#engine.nowMs, answer);
    else this.history.end(operation, 'unknown', this.#engine.nowMs, answer);
  }

  #threw(task: Task, error: unknown): void {
    this.#end(task, 'THREW');
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#report('ASSERT', `was thrown at its host: ${message}`, task.operation, undefined);
  }

  #gatewayDied(slot: number): void {
    for (const task of this.open) {
      if (task.slot !== slot) continue;
      this.open.delete(task);
      this.#end(task, 'GATEWAY_DIED');
    }
  }

  #report(invariant: string, what: string, operation: Operation, value: number | undefined): void {
    const summary = `op ${operation.number} ${what}`;
    this.violations.push({ invariant, summary, story: [tellOperation(operation, value)] });
  }
}
