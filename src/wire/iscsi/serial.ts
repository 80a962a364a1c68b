// Serial numbers of 32 bits, as CmdSN and StatSN are (RFC 1982, RFC 7143 §4.2.2.1).

export function serialAfter(value: number, steps: number): number {
  return (value + steps) >>> 0;
}

/** How many steps `a` is ahead of `b`; negative where it is behind. Opposite points count as behind. */
export function serialDistance(a: number, b: number): number {
  return (a - b) | 0;
}
