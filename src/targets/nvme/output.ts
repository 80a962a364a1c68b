/** What a connection does to its socket. Nothing here calls back before it returns. */
export interface NvmeOutput {
  /** Where the host reached us, as `HOST:PORT` (`[HOST]:PORT` for IPv6). */
  readonly localAddress: string;
  readonly remoteAddress: string;
  /** By the clock, a moment at which the host had surely not closed the connection, as far as the network tells. */
  readonly openMs: number;
  /**
   * Queues `pieces` in order as one write. The bytes stay unchanged for ever, the array only during the call.
   * @returns false when so much is queued that commands should wait: `drained()` will follow.
   */
  send(pieces: readonly Uint8Array[]): boolean;
  /** Stops reading. A chunk already on its way may still be received. */
  pause(): void;
  resume(): void;
  /** Closes in good order, after everything queued. */
  end(): void;
  /** Closes now; what is queued is lost. */
  destroy(): void;
}
