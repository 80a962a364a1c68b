import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';

// A host of NVMe/TCP written from the specification, without the target's codecs, which can be told to misbehave.

/** CRC32C (RFC 3720 appendix B.4), bit by bit. */
export function crcOf(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

function u32Bytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

export interface Pdu {
  readonly type: number;
  readonly flags: number;
  readonly pdo: number;
  /** Without its digest. */
  readonly header: Buffer;
  readonly data: Buffer;
}

export interface Completion {
  readonly cid: number;
  readonly status: number;
  readonly dw0: number;
  readonly dw1: number;
  readonly sqHead: number;
  readonly data: Buffer;
}

export interface Asked {
  readonly opcode: number;
  readonly cid?: number;
  readonly nsid?: number;
  readonly cdw10?: number;
  readonly cdw11?: number;
  readonly cdw12?: number;
  readonly cdw13?: number;
  readonly cdw14?: number;
  readonly cdw15?: number;
  readonly fuse?: number;
  /** For the controller. */
  readonly data?: Buffer;
  /** Sent with the command, or when it is asked for. */
  readonly inCapsule?: boolean;
  /** Room for data for the host. */
  readonly roomBytes?: number;
  readonly sglType?: number;
  readonly sglLengthBytes?: number;
}

export interface InitiatorOptions {
  readonly headerDigest?: boolean;
  readonly dataDigest?: boolean;
  readonly hpda?: number;
}

/** Bytes of a submission queue entry. */
export function entryOf(asked: Asked, cid: number): Buffer {
  const bytes = Buffer.alloc(64);
  bytes[0] = asked.opcode;
  bytes[1] = 0x40 | (asked.fuse ?? 0);
  bytes.writeUInt16LE(cid, 2);
  bytes.writeUInt32LE(asked.nsid ?? 0, 4);
  const inCapsule = asked.data !== undefined && asked.inCapsule !== false;
  bytes.writeUInt32LE(asked.sglLengthBytes ?? asked.data?.length ?? asked.roomBytes ?? 0, 32);
  bytes[39] = asked.sglType ?? (inCapsule ? 0x01 : 0x5a);
  for (const [i, word] of [asked.cdw10, asked.cdw11, asked.cdw12, asked.cdw13, asked.cdw14, asked.cdw15].entries())
    bytes.writeUInt32LE((word ?? 0) >>> 0, 40 + 4 * i);
  return bytes;
}

interface Waiting {
  readonly asked: Asked;
  readonly pieces: Buffer[];
  readonly resolve: (completion: Completion) => void;
  readonly reject: (error: Error) => void;
}

export class Initiator {
  readonly options: InitiatorOptions;
  /** Resolves with what a termination said, or undefined when the connection just closed. */
  readonly ended: Promise<
    { readonly status: number; readonly information: number; readonly header: Buffer } | undefined
  >;
  /** Every PDU that came, newest last. */
  readonly seen: Pdu[] = [];
  icResp: Buffer | undefined;
  /** Answers to what nobody remembers sending are no surprise: what was sent was spoilt. */
  isLenient = false;
  /** Changes what is sent as an answer to a request for data. */
  onR2t: ((pdu: Pdu, send: (data: Buffer, offset: number, last: boolean) => void) => void) | undefined;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #received: Buffer = Buffer.alloc(0);
  #lastCid = 0;
  #initialized!: () => void;
  readonly initialized = new Promise<void>((resolve) => {
    this.#initialized = resolve;
  });
  #term: { status: number; information: number; header: Buffer } | undefined;

  private constructor(socket: Socket, options: InitiatorOptions) {
    this.#socket = socket;
    this.options = options;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      socket.on('close', () => {
        const error = new Error(
          `connection closed${this.#term === undefined ? '' : ` with ${JSON.stringify(this.#term)}`}`,
        );
        for (const { reject } of this.#waiting.values()) reject(error);
        this.#waiting.clear();
        resolve(this.#term);
      });
    });
  }

  static async dial(port: number, options: InitiatorOptions = {}): Promise<Initiator> {
    const socket = connect(port, '127.0.0.1');
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new Initiator(socket, options);
  }

  /** Dialled, and both sides initialized. */
  static async open(port: number, options: InitiatorOptions = {}): Promise<Initiator> {
    const initiator = await Initiator.dial(port, options);
    initiator.send(initiator.icReq());
    await initiator.initialized;
    return initiator;
  }

  send(...pieces: Uint8Array[]): void {
    this.#socket.write(Buffer.concat(pieces));
  }

  close(): void {
    this.#socket.destroy();
  }

  icReq(): Buffer {
    const bytes = Buffer.alloc(128);
    bytes[2] = 128;
    bytes.writeUInt32LE(128, 4);
    bytes[10] = this.options.hpda ?? 0;
    bytes[11] = (this.options.headerDigest === true ? 1 : 0) | (this.options.dataDigest === true ? 2 : 0);
    return bytes;
  }

  /** A PDU with its digests; `header` from byte 8 on. */
  pdu(type: number, rest: Buffer, data: Buffer = Buffer.alloc(0), flags = 0): Buffer {
    const { headerDigest, dataDigest } = this.options;
    const hlen = 8 + rest.length;
    const head = Buffer.concat([Buffer.alloc(8), rest]);
    const pdo = hlen + (headerDigest === true ? 4 : 0);
    const hasDigest = dataDigest === true && data.length > 0;
    head[0] = type;
    head[1] = flags | (headerDigest === true ? 1 : 0) | (hasDigest ? 2 : 0);
    head[2] = hlen;
    head[3] = data.length > 0 ? pdo : 0;
    head.writeUInt32LE(pdo + data.length + (hasDigest ? 4 : 0), 4);
    return Buffer.concat([
      head,
      headerDigest === true ? u32Bytes(crcOf(head)) : Buffer.alloc(0),
      data,
      hasDigest ? u32Bytes(crcOf(data)) : Buffer.alloc(0),
    ]);
  }

  commandPdu(asked: Asked, cid: number): Buffer {
    const inCapsule = asked.data !== undefined && asked.inCapsule !== false;
    return this.pdu(0x04, entryOf(asked, cid), inCapsule ? asked.data : undefined);
  }

  dataPdu(cid: number, tag: number, offset: number, data: Buffer, isLast: boolean): Buffer {
    const rest = Buffer.alloc(16);
    rest.writeUInt16LE(cid, 0);
    rest.writeUInt16LE(tag, 2);
    rest.writeUInt32LE(offset, 4);
    rest.writeUInt32LE(data.length, 8);
    return this.pdu(0x06, rest, data, isLast ? 4 : 0);
  }

  nextCid(): number {
    this.#lastCid = (this.#lastCid + 1) & 0xffff;
    return this.#lastCid;
  }

  /** Its answer; rejects when the connection ends first. */
  expect(asked: Asked, cid: number): Promise<Completion> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(cid, { asked, pieces: [], resolve, reject });
    });
  }

  command(asked: Asked): Promise<Completion> {
    const cid = asked.cid ?? this.nextCid();
    const answer = this.expect(asked, cid);
    this.send(this.commandPdu(asked, cid));
    return answer;
  }

  /** @throws unless it succeeded. */
  async well(asked: Asked): Promise<Completion> {
    const completion = await this.command(asked);
    const { status, dw0 } = completion;
    assert.equal(
      status,
      0,
      `opcode ${asked.opcode.toString(16)}h: status ${status.toString(16)}h, result ${dw0.toString(16)}h`,
    );
    return completion;
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 8) {
      const plen = this.#received.readUInt32LE(4);
      if (this.#received.length < plen) return;
      const whole = this.#received.subarray(0, plen);
      this.#received = this.#received.subarray(plen);
      this.#pdu(whole);
    }
  }

  #pdu(whole: Buffer): void {
    const [type, flags, hlen, pdo] = [whole[0], whole[1], whole[2], whole[3]] as [number, number, number, number];
    const header = whole.subarray(0, hlen);
    if ((flags & 1) !== 0) assert.equal(whole.readUInt32LE(hlen), crcOf(header), 'header digest of the target');
    const hasDataDigest = (flags & 2) !== 0;
    const data = pdo === 0 ? whole.subarray(whole.length) : whole.subarray(pdo, whole.length - (hasDataDigest ? 4 : 0));
    if (hasDataDigest) assert.equal(whole.readUInt32LE(whole.length - 4), crcOf(data), 'data digest of the target');
    const pdu = { type, flags, pdo, header, data };
    this.seen.push(pdu);
    if (this.seen.length > 1000) this.seen.splice(0, 500);
    switch (type) {
      case 0x01:
        this.icResp = header;
        return this.#initialized();
      case 0x03:
        this.#term = {
          status: header.readUInt16LE(8),
          information: header.readUInt32LE(10),
          header: whole.subarray(24),
        };
        return;
      case 0x05:
        return this.#completed(header.subarray(8));
      case 0x07:
        return this.#data(pdu);
      case 0x09:
        return this.#r2t(pdu);
      default:
        throw new Error(`the target sent a PDU of type ${type}`);
    }
  }

  #completed(entry: Buffer): void {
    const cid = entry.readUInt16LE(12);
    const waiting = this.#waiting.get(cid);
    if (waiting === undefined && this.isLenient) return;
    assert.ok(waiting !== undefined, `an answer to command ${cid}, which nobody sent`);
    this.#waiting.delete(cid);
    waiting.resolve({
      cid,
      status: entry.readUInt16LE(14) >>> 1,
      dw0: entry.readUInt32LE(0),
      dw1: entry.readUInt32LE(4),
      sqHead: entry.readUInt16LE(8),
      data: Buffer.concat(waiting.pieces),
    });
  }

  #data({ header, data, flags }: Pdu): void {
    const cid = header.readUInt16LE(8);
    const waiting = this.#waiting.get(cid);
    if (waiting === undefined && this.isLenient) return;
    assert.ok(waiting !== undefined, `data for command ${cid}, which nobody sent`);
    assert.equal(header.readUInt32LE(16), data.length, 'length in the header');
    waiting.pieces.push(data);
    if ((flags & 8) === 0) return;
    this.#waiting.delete(cid);
    waiting.resolve({ cid, status: 0, dw0: 0, dw1: 0, sqHead: 0, data: Buffer.concat(waiting.pieces) });
  }

  #r2t(pdu: Pdu): void {
    const { header } = pdu;
    const cid = header.readUInt16LE(8);
    const tag = header.readUInt16LE(10);
    const from = header.readUInt32LE(12);
    const lengthBytes = header.readUInt32LE(16);
    const send = (data: Buffer, offset: number, isLast: boolean): void =>
      this.send(this.dataPdu(cid, tag, offset, data, isLast));
    if (this.onR2t !== undefined) return this.onR2t(pdu, send);
    const data = this.#waiting.get(cid)?.asked.data;
    assert.ok(data !== undefined, `data asked for command ${cid}, which has none`);
    const pieceMax = this.icResp?.readUInt32LE(12) ?? 4096;
    for (let at = from; at < from + lengthBytes; at += pieceMax) {
      const end = Math.min(at + pieceMax, from + lengthBytes);
      send(data.subarray(at, end), at, end === from + lengthBytes);
    }
  }
}
