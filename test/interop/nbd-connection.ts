import { connect, type Socket } from 'node:net';

// A small NBD client of our own, for what no ready-made one tells: which writes were acknowledged when the power went.
// NBD protocol, https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md: fixed newstyle, NBD_OPT_GO, simple replies.

const optionMagic = 0x49484156454f5054n; // IHAVEOPT
const greetingMagic = 0x4e42444d41474943n; // NBDMAGIC
const requestMagic = 0x25609513;
const simpleReplyMagic = 0x67446698;
const optionGo = 7;
const replyAck = 1;
const replyInfo = 3;
const commands = { read: 0, write: 1, trim: 4 } as const;

interface Waiting {
  readonly readBytes: number;
  readonly resolve: (data: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/** One connection to one export. Requests run side by side; each rejects when the server refuses it or goes away. */
export class NbdConnection {
  readonly sizeBytes: number;
  readonly #socket: Socket;
  readonly #bytes: ByteQueue;
  readonly #waiting = new Map<bigint, Waiting>();
  #nextCookie = 1n;

  private constructor(socket: Socket, bytes: ByteQueue, sizeBytes: number) {
    this.#socket = socket;
    this.#bytes = bytes;
    this.sizeBytes = sizeBytes;
    void this.#receive();
  }

  static async open(port: number, name: string): Promise<NbdConnection> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    const bytes = new ByteQueue(socket);
    const greeting = await bytes.take(18);
    if (greeting.readBigUInt64BE(0) !== greetingMagic) throw new Error('not an NBD server');
    const go = Buffer.alloc(4 + 16 + 4 + name.length + 2);
    go.writeUInt32BE(3, 0); // fixed newstyle, no zeroes
    go.writeBigUInt64BE(optionMagic, 4);
    go.writeUInt32BE(optionGo, 12);
    go.writeUInt32BE(6 + name.length, 16);
    go.writeUInt32BE(name.length, 20);
    go.write(name, 24, 'latin1');
    socket.write(go);
    let sizeBytes = 0;
    for (;;) {
      const head = await bytes.take(20);
      const type = head.readUInt32BE(12);
      const payload = await bytes.take(head.readUInt32BE(16));
      if (type === replyInfo && payload.readUInt16BE(0) === 0) sizeBytes = Number(payload.readBigUInt64BE(2));
      if (type === replyAck) return new NbdConnection(socket, bytes, sizeBytes);
      if (type >= 0x8000_0000) {
        socket.destroy();
        throw new Error(`export ${name} refused: ${payload.toString('utf8')}`);
      }
    }
  }

  read(offset: number, lengthBytes: number): Promise<Buffer> {
    return this.#request(commands.read, offset, lengthBytes, undefined);
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    await this.#request(commands.write, offset, data.length, data);
  }

  async trim(offset: number, lengthBytes: number): Promise<void> {
    await this.#request(commands.trim, offset, lengthBytes, undefined);
  }

  close(): void {
    this.#socket.destroy();
  }

  #request(type: number, offset: number, lengthBytes: number, data: Uint8Array | undefined): Promise<Buffer> {
    const head = Buffer.alloc(28);
    const cookie = this.#nextCookie++;
    head.writeUInt32BE(requestMagic, 0);
    head.writeUInt16BE(type, 6);
    head.writeBigUInt64BE(cookie, 8);
    head.writeBigUInt64BE(BigInt(offset), 16);
    head.writeUInt32BE(lengthBytes, 24);
    return new Promise((resolve, reject) => {
      if (this.#bytes.ended) {
        reject(new Error('connection is closed'));
        return;
      }
      this.#waiting.set(cookie, { readBytes: type === commands.read ? lengthBytes : 0, resolve, reject });
      this.#socket.write(head);
      if (data !== undefined) this.#socket.write(data);
    });
  }

  async #receive(): Promise<void> {
    try {
      for (;;) {
        const head = await this.#bytes.take(16);
        if (head.readUInt32BE(0) !== simpleReplyMagic) throw new Error('reply has a wrong magic');
        const cookie = head.readBigUInt64BE(8);
        const waiting = this.#waiting.get(cookie);
        if (waiting === undefined) throw new Error('reply to nothing that was asked');
        const code = head.readUInt32BE(4);
        const data = await this.#bytes.take(code === 0 ? waiting.readBytes : 0);
        this.#waiting.delete(cookie);
        if (code === 0) waiting.resolve(data);
        else waiting.reject(new Error(`NBD error ${code}`));
      }
    } catch (error) {
      this.#socket.destroy();
      for (const waiting of this.#waiting.values()) waiting.reject(new Error('connection lost', { cause: error }));
      this.#waiting.clear();
    }
  }
}

/** Bytes of a socket, taken in exact amounts, by one reader. */
class ByteQueue {
  ended = false;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    const end = () => {
      this.ended = true;
      this.#wake?.();
    };
    socket.on('data', (piece: Buffer) => {
      this.#pieces.push(piece);
      this.#bytes += piece.length;
      this.#wake?.();
    });
    socket.on('error', end);
    socket.on('close', end);
  }

  async take(count: number): Promise<Buffer> {
    while (this.#bytes < count) {
      if (this.ended) throw new Error('connection closed');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const all = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
    this.#pieces = all.length > count ? [all.subarray(count)] : [];
    this.#bytes -= count;
    return all.subarray(0, count);
  }
}
