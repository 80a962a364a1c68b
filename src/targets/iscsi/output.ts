/** What a connection does to its socket. Nothing here calls back before it returns. */
export interface IscsiOutput {
  /** Where the initiator reached us, as `HOST:PORT` (`[HOST]:PORT` for IPv6): what SendTargets names first. */
  readonly localAddress: string;
  readonly remoteAddress: string;
  /**
   * Queues `pieces` in order as one write. The bytes stay unchanged for ever, the array only during the call.
   * @returns false when so much is queued that requests should wait: `drained()` will follow.
   */
  send(pieces: readonly Uint8Array[]): boolean;
  /** Of what was sent: bytes that the system hasn't taken yet. */
  readonly queuedBytes: number;
  /** Stops reading. A chunk already on its way may still be received. */
  pause(): void;
  resume(): void;
  /** Closes in good order, after everything queued. */
  end(): void;
  /** Closes now; what is queued is lost. */
  destroy(): void;
}
