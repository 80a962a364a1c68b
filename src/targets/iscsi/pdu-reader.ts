import { crc32c } from '../../base/crc32c.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { readDigest } from '../../wire/iscsi/digest.ts';
import {
  additionalBytesMax,
  additionalBytesOf,
  dataBytesOf,
  digestBytes,
  headerBytes,
  paddedBytes,
} from '../../wire/iscsi/header.ts';
import { InputQueue } from '../input.ts';

/** `tooLong`: its data were skipped. `dataDigest`: its data are not what was sent. */
export type PduFault = 'none' | 'tooLong' | 'dataDigest';

/** One PDU as it came. `data` are views of what the socket delivered, without padding; nobody writes to them again. */
export interface Pdu {
  readonly header: Uint8Array;
  readonly data: readonly Uint8Array[];
  readonly fault: PduFault;
}

type Stage = 'header' | 'data' | 'skip' | 'dataEnd';

const noData: readonly Uint8Array[] = [];

/** Cuts the stream into PDUs and checks digests (RFC 7143 §11.2). A PDU is handed out when it is whole. */
export class PduReader {
  headerDigest = false;
  dataDigest = false;
  /** A longer data segment is skipped and told as `tooLong`. */
  dataBytesMax: number;
  readonly #input = new InputQueue(headerBytes + additionalBytesMax + digestBytes);
  #stage: Stage = 'header';
  #header = new Uint8Array(0);
  #data: Uint8Array[] = [];
  #missingBytes = 0;
  #crc = 0;

  constructor(dataBytesMax: number) {
    this.dataBytesMax = dataBytesMax;
  }

  get availableBytes(): number {
    return this.#input.available;
  }

  push(chunk: Uint8Array): void {
    this.#input.push(chunk);
  }

  clear(): void {
    this.#input.clear();
    this.#data = [];
  }

  /** The next PDU, or undefined while it isn't whole. @throws RemoteProtocolError for a header digest that doesn't hold: the stream is out of step. */
  next(): Pdu | undefined {
    for (;;) {
      switch (this.#stage) {
        case 'header':
          if (!this.#readHeader()) return undefined;
          break;
        case 'data':
          if (!this.#readData()) return undefined;
          break;
        case 'skip':
          this.#missingBytes -= this.#input.skip(this.#missingBytes);
          if (this.#missingBytes > 0) return undefined;
          return this.#done('tooLong');
        case 'dataEnd': {
          const fault = this.#readDataEnd();
          if (fault === undefined) return undefined;
          return this.#done(fault);
        }
      }
    }
  }

  #readHeader(): boolean {
    const input = this.#input;
    if (!input.peek(headerBytes)) return false;
    const bytes = headerBytes + additionalBytesOf(input.bytes, input.at);
    const whole = bytes + (this.headerDigest ? digestBytes : 0);
    if (!input.peek(whole)) return false;
    const { at } = input;
    if (this.headerDigest && crc32c(input.bytes.subarray(at, at + bytes)) !== readDigest(input.bytes, at + bytes))
      throw new RemoteProtocolError('header digest');
    this.#header = input.bytes.slice(at, at + headerBytes);
    input.skip(whole);
    const dataBytes = dataBytesOf(this.#header, 0);
    this.#missingBytes = dataBytes;
    this.#crc = 0;
    if (dataBytes > this.dataBytesMax) {
      this.#missingBytes = paddedBytes(dataBytes) + (this.dataDigest ? digestBytes : 0);
      this.#stage = 'skip';
    } else this.#stage = 'data';
    return true;
  }

  #readData(): boolean {
    const input = this.#input;
    while (this.#missingBytes > 0) {
      if (input.available === 0) return false;
      const view = this.#take();
      if (this.dataDigest) this.#crc = crc32c(view, this.#crc);
      this.#missingBytes -= view.length;
    }
    this.#stage = 'dataEnd';
    return true;
  }

  /** A view; only data that come in crumbs are copied together, because a view of each would cost more memory than it holds. */
  #take(): Uint8Array {
    const dataBytes = dataBytesOf(this.#header, 0);
    const piecesMax = 8 + (dataBytes >>> 12);
    if (this.#data.length < piecesMax) {
      const view = this.#input.take(this.#missingBytes);
      this.#data.push(view);
      return view;
    }
    if (this.#data.length === piecesMax) this.#data.push(new Uint8Array(this.#missingBytes));
    const rest = this.#data[piecesMax] as Uint8Array;
    const count = Math.min(this.#missingBytes, this.#input.available);
    const from = rest.length - this.#missingBytes;
    this.#input.copy(count, rest, from);
    return rest.subarray(from, from + count);
  }

  /** Padding and digest; undefined while they aren't there. */
  #readDataEnd(): PduFault | undefined {
    const dataBytes = dataBytesOf(this.#header, 0);
    const padBytes = paddedBytes(dataBytes) - dataBytes;
    const hasDigest = this.dataDigest && dataBytes > 0;
    const endBytes = padBytes + (hasDigest ? digestBytes : 0);
    if (endBytes === 0) return 'none';
    const input = this.#input;
    if (!input.peek(endBytes)) return undefined;
    let fault: PduFault = 'none';
    if (hasDigest) {
      const { bytes, at } = input;
      const crc = padBytes === 0 ? this.#crc : crc32c(bytes.subarray(at, at + padBytes), this.#crc);
      if (crc !== readDigest(bytes, at + padBytes)) fault = 'dataDigest';
    }
    input.skip(endBytes);
    return fault;
  }

  #done(fault: PduFault): Pdu {
    const data = fault === 'none' && this.#data.length > 0 ? this.#data : noData;
    this.#data = [];
    this.#stage = 'header';
    return { header: this.#header, data, fault };
  }
}
