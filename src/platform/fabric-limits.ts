export const fabricLimits = {
  /** Peers whose newest start is remembered; of more, the one heard first is forgotten. */
  startsKnownMax: 4096,
  /** Peers that connected without being named by `setPeers`. */
  unnamedPeersMax: 1024,
  /** Sockets whose hello hasn't come yet. */
  handshakesMax: 1024,
  /** From the connection to the end of its hello; also from a peer's first lane to its last. */
  handshakeMs: 2000,
  redialMinMs: 50,
  redialMaxMs: 500,
  /** Refusals remembered, so that each is recorded once. */
  refusalsKnownMax: 256,
  /** A Unix socket's path, by the kernel's address structure. */
  unixPathBytesMax: 107,
} as const;
