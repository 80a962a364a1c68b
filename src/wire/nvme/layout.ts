import { assert } from '../../base/assert.ts';
import { utf8Bytes, utf8Text } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../little-endian.ts';

// Structures of fixed size with fields at fixed places, most bytes of which are zero: identify data, logs, parameters.
// A layout names the fields that are used; one table serves to write and to read.

/** A field at a place in its structure. */
export interface Field<T> {
  readonly at: number;
  readonly sizeBytes: number;
  read(bytes: Uint8Array, at: number): T;
  write(bytes: Uint8Array, at: number, value: T): void;
}

type AnyField = Field<number> | Field<string> | Field<Uint8Array>;
export type Layout = Readonly<Record<string, AnyField>>;
export type Fields<L extends Layout> = { readonly [Name in keyof L]: L[Name] extends Field<infer T> ? T : never };

export interface Structure<T> {
  readonly sizeBytes: number;
  /** Fills `bytes`, zeros before, from `at`. */
  write(bytes: Uint8Array, at: number, fields: T): void;
  encode(fields: T): Uint8Array;
  /** @throws RemoteProtocolError where bytes are missing or a field can't be. */
  decode(bytes: Uint8Array, at?: number): T;
}

export function structure<L extends Layout>(sizeBytes: number, layout: L): Structure<Fields<L>> {
  const fields = Object.entries(layout) as [string, Field<unknown>][];
  const write = (bytes: Uint8Array, at: number, values: Fields<L>): void => {
    for (const [name, field] of fields) field.write(bytes, at + field.at, values[name]);
  };
  return {
    sizeBytes,
    write,
    encode(values) {
      const bytes = new Uint8Array(sizeBytes);
      write(bytes, 0, values);
      return bytes;
    },
    decode(bytes, at = 0) {
      if (bytes.length - at < sizeBytes)
        throw new RemoteProtocolError(`${sizeBytes} bytes wanted, ${bytes.length - at} there`);
      const values: Record<string, unknown> = {};
      for (const [name, field] of fields) values[name] = field.read(bytes, at + field.at);
      return values as Fields<L>;
    },
  };
}

export function u8(at: number): Field<number> {
  return {
    at,
    sizeBytes: 1,
    read: (bytes, from) => bytes[from] as number,
    write(bytes, to, value) {
      bytes[to] = value;
    },
  };
}
export function u16(at: number): Field<number> {
  return { at, sizeBytes: 2, read: readU16, write: writeU16 };
}
export function u32(at: number): Field<number> {
  return { at, sizeBytes: 4, read: readU32, write: writeU32 };
}
/** A safe integer; fails to be read where it is none. */
export function u64(at: number): Field<number> {
  return { at, sizeBytes: 8, read: safeU64, write: writeU64 };
}
/** A safe integer in 16 bytes, as counters of health have it. */
export function u128(at: number): Field<number> {
  return {
    at,
    sizeBytes: 16,
    read(bytes, from) {
      if (readU64(bytes, from + 8) !== 0) throw new RemoteProtocolError('128-bit field above 2^53 - 1');
      return safeU64(bytes, from);
    },
    write: writeU64,
  };
}

function safeU64(bytes: Uint8Array, at: number): number {
  const value = readU64(bytes, at);
  if (!Number.isSafeInteger(value)) throw new RemoteProtocolError('64-bit field above 2^53 - 1');
  return value;
}

/** Filled up with spaces (NVMe base §1.5): trailing ones are no part of it. */
export function ascii(at: number, sizeBytes: number): Field<string> {
  return {
    at,
    sizeBytes,
    read: (bytes, from) => utf8Text(bytes.subarray(from, from + sizeBytes)).trimEnd(),
    write(bytes, to, value) {
      const text = utf8Bytes(value);
      assert(text.length <= sizeBytes, 'a text fits its field', value);
      bytes.fill(0x20, to, to + sizeBytes);
      bytes.set(text, to);
    },
  };
}

/** Ended by a zero byte, as names (NQN) are. */
export function name(at: number, sizeBytes: number): Field<string> {
  return {
    at,
    sizeBytes,
    read(bytes, from) {
      const end = bytes.indexOf(0, from);
      if (end < 0 || end >= from + sizeBytes) throw new RemoteProtocolError('a name without an end');
      return utf8Text(bytes.subarray(from, end));
    },
    write(bytes, to, value) {
      const text = utf8Bytes(value);
      assert(text.length < sizeBytes, 'a name fits its field', value);
      bytes.set(text, to);
    },
  };
}

export function raw(at: number, sizeBytes: number): Field<Uint8Array> {
  return {
    at,
    sizeBytes,
    read: (bytes, from) => bytes.slice(from, from + sizeBytes),
    write(bytes, to, value) {
      assert(value.length === sizeBytes, 'bytes fill their field', value.length);
      bytes.set(value, to);
    },
  };
}
