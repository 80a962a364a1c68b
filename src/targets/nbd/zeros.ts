/**
 * Whether `bytes` is surely all zeros. Three probes turn data away in nanoseconds; bytes that can't be read by words
 * count as data.
 */
export function isZero(bytes: Uint8Array): boolean {
  const length = bytes.length;
  if (length < 4096) return false;
  if (bytes[0] !== 0 || bytes[length - 1] !== 0 || bytes[length >>> 1] !== 0) return false;
  if (((bytes.byteOffset | length) & 3) !== 0) return false;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, length >>> 2);
  for (let i = 0; i < words.length; i += 4) {
    if (((words[i] as number) | (words[i + 1] as number) | (words[i + 2] as number) | (words[i + 3] as number)) !== 0)
      return false;
  }
  return true;
}
