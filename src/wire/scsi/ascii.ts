const space = 0x20;

/** Left-aligned ASCII, padded with spaces, cut at `length` (SPC-4 §4.3.1). What isn't printable becomes a '?'. */
export function writePadded(bytes: Uint8Array, at: number, length: number, text: string): void {
  for (let i = 0; i < length; i++) {
    const code = i < text.length ? text.charCodeAt(i) : space;
    bytes[at + i] = code >= space && code < 0x7f ? code : 0x3f;
  }
}
