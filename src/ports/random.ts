/** Randomness, told from outside, so that a seed replays a run. */
export interface Random {
  /** Uniform in [0, 2^32). */
  u32(): number;
  /** Uniform in [0, 2^48): ids that must not meet again. */
  u48(): number;
  /** Uniform in [0, 1). */
  fraction(): number;
  bytes(count: number): Uint8Array;
}
