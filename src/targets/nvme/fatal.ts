import { RemoteProtocolError } from '../../base/errors.ts';

/** The host broke the transport: the connection ends with a C2HTermReq that says how. */
export class FatalTransportError extends RemoteProtocolError {
  override name = 'FatalTransportError';
  /** One of `fatalErrors`. */
  readonly status: number;
  /** The offset of the wrong field in its header, where there is one. */
  readonly information: number;

  constructor(status: number, information: number, message: string) {
    super(message);
    this.status = status;
    this.information = information;
  }
}
