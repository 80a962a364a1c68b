/** What a session does to its connection. Nothing here calls back into the session before it returns. */
export interface NbdOutput {
  /** By the clock, a moment at which the client had surely not closed the connection, as far as the network tells. */
  readonly openMs: number;
  /**
   * Queues `pieces` in order as one write. The bytes stay unchanged for ever, the array only during the call.
   * @returns false when so much is queued that requests should wait: `drained()` will follow.
   */
  send(pieces: readonly Uint8Array[]): boolean;
  /** Stops reading from the client. A chunk already on its way may still be received. */
  pause(): void;
  resume(): void;
  /** Closes in good order, after everything queued. */
  end(): void;
  /** Closes now; what is queued is lost. */
  destroy(): void;
}
