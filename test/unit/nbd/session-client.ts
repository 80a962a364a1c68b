import assert from 'node:assert/strict';
import { chunkTypes, optionReplies } from '../../../src/wire/nbd/codes.ts';
import { readU16, readU32, readU64 } from '../../../src/wire/big-endian.ts';
import { decodeGreeting, encodeClientFlags, greetingBytes } from '../../../src/wire/nbd/handshake.ts';
import { encodeContextQuery, encodeExportQuery, encodeOption } from '../../../src/wire/nbd/option.ts';
import { decodeOptionReply, type OptionReply, optionReplyHeaderBytes } from '../../../src/wire/nbd/option-reply.ts';
import { chunkHeadBytes, decodeReplyHead, simpleReplyBytes } from '../../../src/wire/nbd/reply.ts';
import { encodeRequest } from '../../../src/wire/nbd/request.ts';
import { options } from '../../../src/wire/nbd/codes.ts';
import type { NbdLimits } from '../../../src/targets/nbd/limits.ts';
import type { NbdOutput } from '../../../src/targets/nbd/output.ts';
import { NbdSession } from '../../../src/targets/nbd/session.ts';
import type { VolumeCatalog } from '../../../src/volume/block-device.ts';
import { ManualClock } from './clocks.ts';

const patienceMs = 30_000;

/** Waits for what the session does in later turns, with patience for a busy machine. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + patienceMs;
  while (!condition()) {
    assert.ok(performance.now() < endMs, `never happened: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export interface Chunk {
  readonly flags: number;
  readonly type: number;
  readonly payload: Uint8Array;
}
/** A whole reply: the data of a simple READ, or the chunks of a structured one up to DONE. */
export interface Reply {
  readonly cookie: number;
  readonly error: number;
  readonly data: Uint8Array;
  readonly chunks: readonly Chunk[];
}

export interface RequestText {
  readonly command: number;
  readonly offset?: number;
  readonly lengthBytes?: number;
  readonly flags?: number;
  readonly cookie?: number;
  readonly payload?: Uint8Array;
}

export function requestBytesOf(text: RequestText): Uint8Array {
  const payload = text.payload ?? new Uint8Array(0);
  const head = encodeRequest({
    command: text.command,
    flags: text.flags ?? 0,
    cookieHigh: 0xfeed,
    cookieLow: text.cookie ?? 1,
    offset: text.offset ?? 0,
    lengthBytes: text.lengthBytes ?? payload.length,
  });
  const bytes = new Uint8Array(head.length + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length);
  return bytes;
}

export interface GoOptions {
  readonly name?: string;
  readonly structured?: boolean;
  readonly allocation?: boolean;
}

/** A client wired straight to a session: no socket, every byte and every pause visible. */
export class SessionClient implements NbdOutput {
  /** As the listener tells: the connection was open then. */
  openMs = 0;
  readonly session: NbdSession;
  readonly clock: ManualClock;
  isPaused = false;
  isEnded = false;
  isDestroyed = false;
  /** Makes `send` say that enough is queued. */
  isSlowReader = false;
  sendCount = 0;
  bytes = new Uint8Array(0);
  #structured = false;

  constructor(catalog: VolumeCatalog, limits: Partial<NbdLimits> = {}) {
    this.clock = new ManualClock();
    this.session = new NbdSession({ catalog, clock: this.clock, output: this, limits });
    this.session.start();
  }

  send(pieces: readonly Uint8Array[]): boolean {
    assert.ok(!this.isDestroyed && !this.isEnded, 'nothing is sent on a closed connection');
    const joined = new Uint8Array(this.bytes.length + pieces.reduce((sum, piece) => sum + piece.length, 0));
    joined.set(this.bytes);
    let at = this.bytes.length;
    for (const piece of pieces) {
      joined.set(piece, at);
      at += piece.length;
    }
    this.bytes = joined;
    this.sendCount++;
    return !this.isSlowReader;
  }
  pause(): void {
    assert.ok(!this.isPaused, 'paused once');
    this.isPaused = true;
  }
  resume(): void {
    assert.ok(this.isPaused, 'resumed once');
    this.isPaused = false;
  }
  end(): void {
    this.isEnded = true;
  }
  destroy(): void {
    this.isDestroyed = true;
  }

  get isClosed(): boolean {
    return this.isEnded || this.isDestroyed;
  }

  async take(count: number): Promise<Uint8Array> {
    await until(() => this.bytes.length >= count, `${count} bytes from the server`);
    const taken = this.bytes.slice(0, count);
    this.bytes = this.bytes.slice(count);
    return taken;
  }

  async greet(noZeroes = true): Promise<void> {
    decodeGreeting(await this.take(greetingBytes));
    this.session.receive(encodeClientFlags({ fixedNewstyle: true, noZeroes }));
  }

  async option(option: number, data: Uint8Array = new Uint8Array(0)): Promise<OptionReply[]> {
    this.session.receive(encodeOption(option, data));
    return this.optionReplies(option);
  }

  /** Replies up to the final one. */
  async optionReplies(option: number): Promise<OptionReply[]> {
    const replies: OptionReply[] = [];
    for (;;) {
      const head = await this.take(optionReplyHeaderBytes);
      const data = await this.take(readU32(head, 16));
      const whole = new Uint8Array([...head, ...data]);
      const { option: answered, reply } = decodeOptionReply(whole);
      assert.equal(answered, option);
      replies.push(reply);
      if (reply.type === 'ack' || reply.type === 'error') return replies;
    }
  }

  /** Greeting, options and GO: from here on requests. @returns the transmission flags. */
  async go({ name = 'vol', structured = false, allocation = false }: GoOptions = {}): Promise<number> {
    await this.greet();
    if (structured) assert.equal(finalType(await this.option(options.structuredReply)), 'ack');
    this.#structured = structured;
    if (allocation) {
      const query = encodeContextQuery({ name, queries: ['base:allocation'] });
      assert.equal(finalType(await this.option(options.setMetaContext, query)), 'ack');
    }
    const replies = await this.option(options.go, encodeExportQuery({ name, infoTypes: [] }));
    assert.equal(finalType(replies), 'ack');
    const [first] = replies;
    assert.ok(first?.type === 'info-export');
    return first.fields.flags;
  }

  request(text: RequestText): void {
    this.session.receive(requestBytesOf(text));
  }

  /** Sends and waits for the reply, which must be to this request. */
  async ask(text: RequestText): Promise<Reply> {
    this.request(text);
    const isRead = text.command === 0;
    const reply = await this.reply(isRead ? (text.lengthBytes ?? 0) : 0);
    assert.equal(reply.cookie, text.cookie ?? 1);
    return reply;
  }

  /** The next reply; `dataBytes` follow a simple one without error. */
  async reply(dataBytes = 0): Promise<Reply> {
    const chunks: Chunk[] = [];
    for (;;) {
      await until(() => decodeReplyHead(this.bytes, 0) !== undefined, 'the head of a reply');
      const head = decodeReplyHead(this.bytes, 0);
      assert.ok(head !== undefined);
      assert.equal(head.cookieHigh, 0xfeed);
      if (head.kind === 'simple') {
        await this.take(simpleReplyBytes);
        const data = await this.take(head.error === 0 ? dataBytes : 0);
        return { cookie: head.cookieLow, error: head.error, data, chunks };
      }
      assert.ok(this.#structured, 'structured replies only where they were agreed');
      await this.take(chunkHeadBytes);
      const chunk = { flags: head.flags, type: head.type, payload: await this.take(head.payloadBytes) };
      chunks.push(chunk);
      if ((head.flags & 1) === 0) continue;
      const failed = chunks.find(({ type }) => (type & 0x8000) !== 0);
      const error = failed === undefined ? 0 : readU32(failed.payload, 0);
      return { cookie: head.cookieLow, error, data: new Uint8Array(0), chunks };
    }
  }
}

export function finalType(replies: readonly OptionReply[]): string {
  return replies.at(-1)?.type ?? 'none';
}

/** The error code of a refused option, for comparing with `optionReplies`. */
export function refusalOf(replies: readonly OptionReply[]): number {
  const last = replies.at(-1);
  assert.ok(last?.type === 'error', `refused, not ${last?.type}`);
  assert.ok(Object.values<number>(optionReplies).includes(last.code));
  return last.code;
}

/** Puts the content chunks of a structured READ together; what no chunk covers stays 0xEE. */
export function assembled(reply: Reply, offset: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes).fill(0xee);
  for (const { type, payload } of reply.chunks) {
    if (type === chunkTypes.offsetData) bytes.set(payload.subarray(8), readU64(payload, 0) - offset);
    if (type === chunkTypes.offsetHole) {
      const at = readU64(payload, 0) - offset;
      bytes.fill(0, at, at + readU32(payload, 8));
    }
  }
  return bytes;
}

/** The text of an error chunk. */
export function errorText(chunk: Chunk | undefined): string {
  assert.ok(chunk !== undefined && chunk.type === chunkTypes.error);
  const messageBytes = readU16(chunk.payload, 4);
  assert.equal(chunk.payload.length, 6 + messageBytes);
  return new TextDecoder().decode(chunk.payload.subarray(6));
}

export function pattern(lengthBytes: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  for (let i = 0; i < lengthBytes; i++) bytes[i] = 1 + ((i * 31 + seed * 7) % 255);
  return bytes;
}
