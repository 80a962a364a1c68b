import { connect, type Socket } from 'node:net';

// A client of one NBD export for many small requests at a time, cheap enough to load a chassis on the same cores.
// NBD protocol, https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md: fixed newstyle, NBD_OPT_GO, simple replies.

const greetingBytes = 18;
const optionHeadBytes = 20;
const requestBytes = 28;
const replyBytes = 16;
const requestMagic = 0x25609513;
const replyMagic = 0x67446698;
const replyAck = 1;
const errorReplyMin = 0x8000_0000;
const handshakeMsMax = 2000;
const inboxBytes = 256 * 1024;

/**
 * What became of a request: bytes for a read, there only until `done` returns; an error number of the server; `lost`: the connection
 * ended before an answer.
 */
export type Answer = { readonly data: Uint8Array } | { readonly error: number } | 'lost';

/** The same, for later. */
export function kept(answer: Answer): Answer {
  return typeof answer === 'object' && 'data' in answer ? { data: new Uint8Array(answer.data) } : answer;
}

interface Handshake {
  readonly name: string;
  greeted: boolean;
  /** With a reason: it failed. */
  readonly done: (why: string | undefined) => void;
}

interface Asked {
  readonly readBytes: number;
  readonly sentMs: number;
  readonly done: (answer: Answer) => void;
}

/** What has come and wasn't taken yet, in one buffer that is used over and over: the client shares its cores with what it loads. */
class Inbox {
  #buffer = Buffer.allocUnsafe(inboxBytes);
  #filled = 0;

  /** Where the next bytes go. */
  get room(): Buffer {
    if (this.#filled === this.#buffer.length) {
      const larger = Buffer.allocUnsafe(2 * this.#buffer.length);
      this.#buffer.copy(larger);
      this.#buffer = larger;
    }
    return this.#buffer.subarray(this.#filled);
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#filled);
  }

  came(count: number): void {
    this.#filled += count;
  }

  /** The first `count` bytes are done with. */
  took(count: number): void {
    if (count === 0) return;
    this.#buffer.copyWithin(0, count, this.#filled);
    this.#filled -= count;
  }
}

/** One connection. Requests of one turn leave in one write. */
export class HistoryConnection {
  readonly #socket: Socket;
  readonly #inbox = new Inbox();
  readonly #asked = new Map<number, Asked>();
  #handshake: Handshake | undefined;
  #cookie = 0;
  #corked = false;
  #lost = false;

  private constructor(port: number, handshake: Handshake) {
    this.#handshake = handshake;
    const callback = (count: number): boolean => {
      this.#inbox.came(count);
      this.#inbox.took(this.#handshake === undefined ? this.#replies() : this.#greet(this.#handshake));
      return true;
    };
    // The types know one buffer only; a function is asked for each.
    const buffer = (() => this.#inbox.room) as unknown as Uint8Array;
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true, onread: { buffer, callback } });
    this.#socket.on('error', () => {}); // 'close' follows
    this.#socket.on('close', () => this.abandon());
  }

  /** Rejects where nobody answers in time, or the export is refused. */
  static open(port: number, name: string): Promise<HistoryConnection> {
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => connection.#end('no handshake in time'), handshakeMsMax);
      const done = (why: string | undefined) => {
        clearTimeout(limit);
        if (why === undefined) resolve(connection);
        else reject(new Error(why));
      };
      const connection = new HistoryConnection(port, { name, greeted: false, done });
    });
  }

  /** @returns how much of what came is done with. */
  #greet(handshake: Handshake): number {
    const { bytes } = this.#inbox;
    let at = 0;
    if (!handshake.greeted) {
      if (bytes.length < greetingBytes) return 0;
      handshake.greeted = true;
      at = greetingBytes;
      this.#socket.write(goRequest(handshake.name));
    }
    while (bytes.length - at >= optionHeadBytes) {
      const end = at + optionHeadBytes + bytes.readUInt32BE(at + 16);
      if (bytes.length < end) break;
      const type = bytes.readUInt32BE(at + 12);
      at = end;
      if (type >= errorReplyMin) {
        this.#end(`export ${handshake.name} refused`);
        break;
      }
      if (type !== replyAck) continue;
      this.#handshake = undefined;
      handshake.done(undefined);
      break;
    }
    return at;
  }

  get isLost(): boolean {
    return this.#lost;
  }

  /** How long the oldest request has been waiting. */
  oldestWaitMs(nowMs: number): number {
    const oldest = this.#asked.values().next().value;
    return oldest === undefined ? 0 : nowMs - oldest.sentMs;
  }

  read(offset: number, lengthBytes: number, done: (answer: Answer) => void): void {
    this.#ask(0, offset, lengthBytes, undefined, lengthBytes, done);
  }

  write(offset: number, data: Uint8Array, done: (answer: Answer) => void): void {
    this.#ask(1, offset, data.length, data, 0, done);
  }

  #ask(
    type: number,
    offset: number,
    lengthBytes: number,
    data: Uint8Array | undefined,
    readBytes: number,
    done: (answer: Answer) => void,
  ): void {
    const cookie = ++this.#cookie;
    const head = Buffer.allocUnsafe(requestBytes);
    head.writeUInt32BE(requestMagic, 0);
    head.writeUInt32BE(type, 4); // no flags
    head.writeUInt32BE(0, 8);
    head.writeUInt32BE(cookie, 12);
    head.writeUInt32BE(Math.floor(offset / 2 ** 32), 16);
    head.writeUInt32BE(offset >>> 0, 20);
    head.writeUInt32BE(lengthBytes, 24);
    this.#asked.set(cookie, { readBytes, sentMs: performance.now(), done });
    const socket = this.#socket;
    if (!this.#corked) {
      this.#corked = true;
      socket.cork();
      setImmediate(() => {
        this.#corked = false;
        socket.uncork();
      });
    }
    socket.write(head);
    if (data !== undefined) socket.write(data);
  }

  /** @returns how much of what came is done with. */
  #replies(): number {
    const { bytes } = this.#inbox;
    let at = 0;
    while (!this.#lost && bytes.length - at >= replyBytes) {
      if (bytes.readUInt32BE(at) !== replyMagic) throw new Error('not an NBD reply');
      const error = bytes.readUInt32BE(at + 4);
      const cookie = bytes.readUInt32BE(at + 12);
      const asked = this.#asked.get(cookie);
      if (asked === undefined) throw new Error('a reply to nothing that was asked');
      const end = at + replyBytes + (error === 0 ? asked.readBytes : 0);
      if (bytes.length < end) break;
      this.#asked.delete(cookie);
      asked.done(error === 0 ? { data: bytes.subarray(at + replyBytes, end) } : { error });
      at = end;
    }
    return at;
  }

  /** Gives it up: the outcome of what was asked is not known. */
  abandon(): void {
    this.#end('connection closed');
  }

  #end(why: string): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#socket.destroy();
    this.#handshake?.done(why);
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const { done } of asked) done('lost');
  }
}

function goRequest(name: string): Buffer {
  const go = Buffer.alloc(4 + 16 + 4 + name.length + 2);
  go.writeUInt32BE(3, 0); // fixed newstyle, no zeroes
  go.write('IHAVEOPT', 4, 'latin1');
  go.writeUInt32BE(7, 12); // NBD_OPT_GO
  go.writeUInt32BE(6 + name.length, 16);
  go.writeUInt32BE(name.length, 20);
  go.write(name, 24, 'latin1');
  return go;
}
