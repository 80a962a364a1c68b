import { utf8Bytes, utf8Text } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { magics, stringBytesMax } from './codes.ts';
import { readU16, readU32, writeU16, writeU32 } from '../big-endian.ts';

// Option header, client to server, 16 bytes, then `length` bytes of data:
//   0  u64  IHAVEOPT
//   8  u32  option
//  12  u32  length
export const optionHeaderBytes = 16;

export interface OptionHeader {
  readonly option: number;
  readonly lengthBytes: number;
}

export function encodeOption(option: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(optionHeaderBytes + data.length);
  writeU32(bytes, 0, magics.optionHigh);
  writeU32(bytes, 4, magics.optionLow);
  writeU32(bytes, 8, option);
  writeU32(bytes, 12, data.length);
  bytes.set(data, optionHeaderBytes);
  return bytes;
}

/** @throws RemoteProtocolError on another magic: the stream is out of step, the connection must be dropped. */
export function decodeOptionHeader(bytes: Uint8Array, at: number): OptionHeader {
  if (readU32(bytes, at) !== magics.optionHigh || readU32(bytes, at + 4) !== magics.optionLow)
    throw new RemoteProtocolError('option without IHAVEOPT');
  return { option: readU32(bytes, at + 8), lengthBytes: readU32(bytes, at + 12) };
}

/** Reads the data of one option: every length is held against what is left before it is believed. */
class OptionReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at) throw new RemoteProtocolError(`${count} bytes wanted, option ends before`);
    this.#at = at + count;
    return at;
  }
  u16(): number {
    return readU16(this.#bytes, this.#take(2));
  }
  u32(): number {
    return readU32(this.#bytes, this.#take(4));
  }
  text(): string {
    const lengthBytes = this.u32();
    if (lengthBytes > stringBytesMax) throw new RemoteProtocolError(`string of ${lengthBytes} bytes`);
    const at = this.#take(lengthBytes);
    return utf8Text(this.#bytes.subarray(at, at + lengthBytes));
  }
  get left(): number {
    return this.#bytes.length - this.#at;
  }
  done(): void {
    if (this.left !== 0) throw new RemoteProtocolError(`${this.left} bytes left over in the option`);
  }
}

// INFO and GO: u32 name length, name, u16 count, count × u16 information types.
export interface ExportQuery {
  readonly name: string;
  readonly infoTypes: readonly number[];
}

export function encodeExportQuery(query: ExportQuery): Uint8Array {
  const name = utf8Bytes(query.name);
  const bytes = new Uint8Array(4 + name.length + 2 + 2 * query.infoTypes.length);
  writeU32(bytes, 0, name.length);
  bytes.set(name, 4);
  let at = 4 + name.length;
  writeU16(bytes, at, query.infoTypes.length);
  for (const type of query.infoTypes) writeU16(bytes, (at += 2), type);
  return bytes;
}

/** @throws RemoteProtocolError where the lengths don't fit the data: answered with ERR_INVALID. */
export function decodeExportQuery(data: Uint8Array): ExportQuery {
  const reader = new OptionReader(data);
  const name = reader.text();
  const count = reader.u16();
  if (count * 2 !== reader.left) throw new RemoteProtocolError(`${count} information requests announced`);
  const types: number[] = [];
  for (let i = 0; i < count; i++) types.push(reader.u16());
  return { name, infoTypes: types };
}

// LIST_META_CONTEXT and SET_META_CONTEXT: u32 name length, name, u32 count, count × (u32 length, query).
export interface ContextQuery {
  readonly name: string;
  readonly queries: readonly string[];
}

export function encodeContextQuery(query: ContextQuery): Uint8Array {
  const strings = query.queries.map(utf8Bytes);
  const name = utf8Bytes(query.name);
  const bytes = new Uint8Array(8 + name.length + strings.reduce((sum, s) => sum + 4 + s.length, 0));
  writeU32(bytes, 0, name.length);
  bytes.set(name, 4);
  let at = 4 + name.length;
  writeU32(bytes, at, strings.length);
  at += 4;
  for (const string of strings) {
    writeU32(bytes, at, string.length);
    bytes.set(string, at + 4);
    at += 4 + string.length;
  }
  return bytes;
}

/** @throws RemoteProtocolError where the lengths don't fit the data: answered with ERR_INVALID. */
export function decodeContextQuery(data: Uint8Array): ContextQuery {
  const reader = new OptionReader(data);
  const name = reader.text();
  const count = reader.u32();
  if (count * 4 > reader.left) throw new RemoteProtocolError(`${count} queries announced`);
  const queries: string[] = [];
  for (let i = 0; i < count; i++) queries.push(reader.text());
  reader.done();
  return { name, queries };
}
