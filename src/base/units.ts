/** Sizes and times as people write and read them. Binary units only: a volume is made of blocks. */

const unitBytes: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
  PiB: 1024 ** 5,
};

/** Bytes from `256MiB`, `1.5GiB` or plain bytes; undefined when it isn't a size or not a whole number of bytes up to 2^53 − 1. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d{1,16}(?:\.\d{1,9})?)\s?([A-Za-z]{0,3})$/.exec(text.trim());
  if (match === null) return undefined;
  const [, number, suffix] = match;
  const factor = Object.entries(unitBytes).find(([unit]) => unit.toLowerCase() === (suffix ?? '').toLowerCase())?.[1];
  if (factor === undefined) return undefined;
  const bytes = Number(number) * factor;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** `256 MiB`, `1.5 GiB`, `512 B`: three significant digits at most, trailing zeros cut. */
export function formatBytes(bytes: number): string {
  let unit = 'B';
  let factor = 1;
  for (const [name, size] of Object.entries(unitBytes)) {
    if (name !== '' && bytes >= size) {
      unit = name;
      factor = size;
    }
  }
  const value = bytes / factor;
  const digits = value >= 100 || factor === 1 ? 0 : value >= 10 ? 1 : 2;
  return `${Number(value.toFixed(digits))} ${unit}`;
}

/** `850 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(Math.floor(whole / 60), 'min', whole % 60, 's');
  if (whole < 86_400) return pair(Math.floor(whole / 3600), 'h', Math.floor((whole % 3600) / 60), 'min');
  return pair(Math.floor(whole / 86_400), 'd', Math.floor((whole % 86_400) / 3600), 'h');
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}
