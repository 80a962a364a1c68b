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

/** What became of a request: bytes for a read; an error number of the server; `lost`: the connection ended before an answer. */
export type Answer = { readonly data: Uint8Array } | { readonly error: number } | 'lost';

interface Asked {
  readonly readBytes: number;
  readonly sentMs: number;
  readonly done: (answer: Answer) => void;
}

/** One connection, after its handshake. Requests of one turn leave in one write. */
export class HistoryConnection {
  readonly #socket: Socket;
  readonly #asked = new Map<number, Asked>();
  #received: Buffer = Buffer.alloc(0);
  #cookie = 0;
  #corked = false;
  #lost = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('close', () => this.abandon());
  }

  /** Rejects where nobody answers in time, or the export is refused. */
  static open(port: number, name: string): Promise<HistoryConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, noDelay: true });
      let received = Buffer.alloc(0);
      let greeted = false;
      const fail = (why: string) => {
        socket.destroy();
        reject(new Error(why));
      };
      const limit = setTimeout(() => fail('no handshake in time'), handshakeMsMax);
      const closed = () => {
        clearTimeout(limit);
        reject(new Error('connection closed'));
      };
      socket.on('error', () => {}); // 'close' follows
      socket.on('close', closed);
      socket.on('data', function handshake(chunk: Buffer) {
        received = Buffer.concat([received, chunk]);
        if (!greeted && received.length >= greetingBytes) {
          greeted = true;
          received = received.subarray(greetingBytes);
          socket.write(goRequest(name));
        }
        while (greeted && received.length >= optionHeadBytes) {
          const end = optionHeadBytes + received.readUInt32BE(16);
          if (received.length < end) return;
          const type = received.readUInt32BE(12);
          received = received.subarray(end);
          if (type >= errorReplyMin) return fail(`export ${name} refused`);
          if (type !== replyAck) continue;
          clearTimeout(limit);
          socket.off('data', handshake);
          socket.off('close', closed);
          return resolve(new HistoryConnection(socket));
        }
      });
    });
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
    const head = Buffer.alloc(requestBytes);
    head.writeUInt32BE(requestMagic, 0);
    head.writeUInt16BE(type, 6);
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

  #receive(chunk: Buffer): void {
    const bytes = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
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
    this.#received = bytes.subarray(at);
  }

  /** Gives it up: the outcome of what was asked is not known. */
  abandon(): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#socket.destroy();
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
