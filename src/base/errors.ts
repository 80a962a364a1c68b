/** The other side broke the protocol. Thrown by decoders; the session answers with what the protocol says and may close. */
export class RemoteProtocolError extends Error {
  override name = 'RemoteProtocolError';
}
