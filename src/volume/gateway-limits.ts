/** How long a gateway waits before what. Times in milliseconds. */
export const gatewayLimits = {
  /** An answer that doesn't come for this long: complain about the leader … */
  complainMs: 150,
  /** … and after this long ask elsewhere, too. */
  hedgeMs: 400,
  /** A Corelet is doubted as a whole, which concerns everybody, at most this often. */
  doubtMs: 500,
  /** From a try that was answered with "not now" to the next one: at first, and at most. */
  retryMs: 5,
  retryMaxMs: 100,
  tickMs: 5,
  /** Tries that follow a hint at once; later ones wait a moment first. */
  promptTriesMax: 4,
  /** Answers of older tries are still taken; beyond this many the oldest is forgotten. */
  requestsPerExchangeMax: 16,
} as const;
