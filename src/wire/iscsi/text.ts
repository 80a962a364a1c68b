import { utf8Bytes, utf8Text } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';

// Text of login and text PDUs (RFC 7143 §6.1): key=value pairs, a NUL byte after each.

/** Pairs of one request: more than any initiator has keys for. */
export const pairsMax = 128;

export type TextPair = readonly [key: string, value: string];

/** §6.1: at most 63 bytes. */
const keyPattern = /^[A-Z][A-Za-z0-9.+@_-]{0,62}$/;

/**
 * The pairs in their order.
 * @throws RemoteProtocolError without a NUL at the end, a '=' in a pair, with an impossible or a repeated key, or too many pairs.
 */
export function decodeText(bytes: Uint8Array): readonly TextPair[] {
  if (bytes.length === 0) return [];
  if (bytes[bytes.length - 1] !== 0) throw new RemoteProtocolError('text that does not end with NUL');
  const pairs: TextPair[] = [];
  const seen = new Set<string>();
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0, at);
    // More NUL than needed: some initiators pad within the segment.
    if (end > at) {
      const pair = decodePair(utf8Text(bytes.subarray(at, end)));
      if (seen.has(pair[0])) throw new RemoteProtocolError(`key ${pair[0]} twice`);
      if (pairs.length === pairsMax) throw new RemoteProtocolError(`more than ${pairsMax} keys`);
      seen.add(pair[0]);
      pairs.push(pair);
    }
    at = end + 1;
  }
  return pairs;
}

function decodePair(text: string): TextPair {
  const equals = text.indexOf('=');
  if (equals < 0) throw new RemoteProtocolError("a pair without '='");
  const key = text.slice(0, equals);
  if (!keyPattern.test(key)) throw new RemoteProtocolError('an impossible key');
  return [key, text.slice(equals + 1)];
}

export function encodeText(pairs: readonly TextPair[]): Uint8Array {
  let text = '';
  for (const [key, value] of pairs) text += `${key}=${value}\0`;
  return utf8Bytes(text);
}

/** §6.1: decimal or 0x hexadecimal, within the safe integers; undefined otherwise. */
export function parseNumber(text: string): number | undefined {
  if (!/^(?:\d{1,16}|0[xX][0-9a-fA-F]{1,13})$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

const base64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** §6.1, binary-value: 0x hexadecimal or 0b Base64, at most `bytesMax` bytes; undefined otherwise. */
export function parseBinary(text: string, bytesMax: number): Uint8Array | undefined {
  const form = text.slice(0, 2).toLowerCase();
  const digits = text.slice(2);
  if (form === '0x') return parseHex(digits, bytesMax);
  return form === '0b' ? parseBase64(digits, bytesMax) : undefined;
}

function parseHex(digits: string, bytesMax: number): Uint8Array | undefined {
  if (digits.length === 0 || digits.length > 2 * bytesMax || !/^[0-9a-fA-F]+$/.test(digits)) return undefined;
  const even = digits.length % 2 === 0 ? digits : `0${digits}`;
  return Uint8Array.from({ length: even.length / 2 }, (_, i) => Number.parseInt(even.slice(2 * i, 2 * i + 2), 16));
}

function parseBase64(digits: string, bytesMax: number): Uint8Array | undefined {
  const length = (digits.length / 4) * 3;
  if (digits.length === 0 || digits.length % 4 !== 0 || length > bytesMax + 2) return undefined;
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(digits)) return undefined;
  const padCount = digits.endsWith('==') ? 2 : digits.endsWith('=') ? 1 : 0;
  const bytes = new Uint8Array(length - padCount);
  if (bytes.length > bytesMax) return undefined;
  for (let i = 0, at = 0; i < digits.length; i += 4) {
    let word = 0;
    for (let j = 0; j < 4; j++) word = (word << 6) | Math.max(0, base64.indexOf(digits.charAt(i + j)));
    for (let shift = 16; shift >= 0 && at < bytes.length; shift -= 8) bytes[at++] = word >>> shift;
  }
  return bytes;
}
