import { assert } from './assert.ts';
import { RemoteProtocolError } from './errors.ts';

// The host's UTF-8 codec: a language-level service in every JavaScript engine, but outside the ECMAScript library types.
declare class TextEncoder {
  encode(text: string): Uint8Array;
}
declare class TextDecoder {
  constructor(label: string, options: { fatal: boolean; ignoreBOM: boolean });
  decode(bytes: Uint8Array): string;
}
const utf8Encoder = new TextEncoder();
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function utf8Bytes(text: string): Uint8Array {
  return utf8Encoder.encode(text);
}

/** @throws RemoteProtocolError where the bytes aren't UTF-8. */
export function utf8Text(bytes: Uint8Array): string {
  try {
    return utf8Decoder.decode(bytes);
  } catch {
    throw new RemoteProtocolError('text is not UTF-8');
  }
}

const hexDigits = '0123456789abcdef';
export function hexText(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += hexDigits.charAt(byte >>> 4) + hexDigits.charAt(byte & 15);
  return text;
}

const two32 = 0x1_0000_0000;
const safeHighMax = 0x1f_ffff; // 2^53 - 1 has 21 high bits

/** The pieces one after the other, copied. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

export function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / two32), true);
}

/** Larger than any safe integer where the field is no safe integer. */
export function getU64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * two32 + view.getUint32(at, true);
}

/** Appends little-endian fields to a buffer that grows; `reset` keeps the buffer for the next message. */
export class Writer {
  bytes: Uint8Array;
  length = 0;
  #view: DataView;

  constructor(capacityBytes = 256) {
    this.bytes = new Uint8Array(capacityBytes);
    this.#view = new DataView(this.bytes.buffer);
  }

  reset(): void {
    this.length = 0;
  }

  /** A view of what was written; valid until the next `reset` or write. */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  /** An independent copy of what was written. */
  copy(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  reserve(count: number): number {
    const at = this.length;
    const needed = at + count;
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
      grown.set(this.bytes.subarray(0, at));
      this.bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.length = needed;
    return at;
  }

  u8(value: number): void {
    const at = this.reserve(1);
    this.bytes[at] = value;
  }
  u16(value: number): void {
    const at = this.reserve(2);
    this.#view.setUint16(at, value, true);
  }
  u32(value: number): void {
    const at = this.reserve(4);
    this.#view.setUint32(at, value, true);
  }
  u64(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, 'not a safe unsigned integer', value);
    const at = this.reserve(8); // first: it may replace the view
    setU64(this.#view, at, value);
  }
  f64(value: number): void {
    const at = this.reserve(8); // first: it may replace the view
    this.#view.setFloat64(at, value, true);
  }
  boolean(value: boolean): void {
    this.u8(value ? 1 : 0);
  }
  raw(value: Uint8Array): void {
    const at = this.reserve(value.length);
    this.bytes.set(value, at);
  }
  /** 16 bytes from 32 hex digits. */
  id(hex: string): void {
    assert(hex.length === 32, 'not an id', hex);
    const at = this.reserve(16);
    for (let i = 0; i < 16; i++) this.bytes[at + i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  }
  /** u16 length, then UTF-8. */
  text(value: string): void {
    const encoded = utf8Bytes(value);
    assert(encoded.length <= 0xffff, 'text over 65,535 bytes');
    this.u16(encoded.length);
    this.raw(encoded);
  }
  /** u32 length, then the bytes. */
  blob(value: Uint8Array): void {
    this.u32(value.length);
    this.raw(value);
  }
  /** Overwrites a u32 written before, for lengths known afterwards. */
  patchU32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }
}

/** Reads little-endian fields; every read is bounds-checked and fails as `RemoteProtocolError`. */
export class Reader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get left(): number {
    return this.end - this.at;
  }

  #take(count: number): number {
    const at = this.at;
    if (at + count > this.end) throw new RemoteProtocolError(`${count} bytes wanted at ${at}, ${this.end - at} left`);
    this.at = at + count;
    return at;
  }

  u8(): number {
    const at = this.#take(1);
    return this.#view.getUint8(at);
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }
  u64(): number {
    const at = this.#take(8);
    const high = this.#view.getUint32(at + 4, true);
    if (high > safeHighMax) throw new RemoteProtocolError('64-bit field above 2^53 - 1');
    return high * two32 + this.#view.getUint32(at, true);
  }
  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }
  boolean(): boolean {
    const value = this.u8();
    if (value > 1) throw new RemoteProtocolError(`not a boolean: ${value}`);
    return value === 1;
  }
  /** A view, not a copy. */
  raw(count: number): Uint8Array {
    const at = this.#take(count);
    return this.bytes.subarray(at, at + count);
  }
  id(): string {
    return hexText(this.raw(16));
  }
  text(lengthMax: number): string {
    const length = this.u16();
    if (length > lengthMax) throw new RemoteProtocolError(`text of ${length} bytes, ${lengthMax} allowed`);
    return utf8Text(this.raw(length));
  }
  /** A view of a u32-prefixed run of bytes. */
  blob(lengthMax: number): Uint8Array {
    const length = this.u32();
    if (length > lengthMax) throw new RemoteProtocolError(`field of ${length} bytes, ${lengthMax} allowed`);
    return this.raw(length);
  }
  /** A count of items that take at least `itemBytesMin` each: refused before memory is taken for them. */
  count(countMax: number, itemBytesMin: number): number {
    const count = this.u32();
    if (count > countMax || count * itemBytesMin > this.left) throw new RemoteProtocolError(`${count} items announced`);
    return count;
  }
  done(): void {
    if (this.at !== this.end) throw new RemoteProtocolError(`${this.end - this.at} bytes left over`);
  }
}
