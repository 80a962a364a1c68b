import { joined } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { rejectReasons, reservedTag } from '../../wire/iscsi/codes.ts';
import type { TextRequest } from '../../wire/iscsi/text-pdu.ts';
import { decodeText, encodeText, type TextPair } from '../../wire/iscsi/text.ts';
import { targetsTextBytesMax, textBytesMax } from './limits.ts';
import type { Responder } from './responder.ts';

/** Text that answers a SendTargets; `retry`: the volumes can't be listed now. */
export type TargetsText = (value: string) => Promise<readonly TextPair[] | 'retry' | 'invalid'>;

interface Exchange {
  readonly taskTag: number;
  readonly transferTag: number;
  /** What came so far, or what is still to be sent. */
  readonly bytes: Uint8Array;
  readonly isAnswer: boolean;
}

const noText = new Uint8Array(0);

/** Text requests of the full-feature phase (RFC 7143 §11.10): SendTargets, in as many PDUs as it takes, one exchange at a time. */
export class TextExchange {
  readonly #responder: Responder;
  readonly #segmentBytes: number;
  readonly #targets: TargetsText;
  #open: Exchange | undefined;
  #transferTag = 0;
  #isAnswering = false;

  constructor(responder: Responder, segmentBytes: number, targets: TargetsText) {
    this.#responder = responder;
    this.#segmentBytes = segmentBytes;
    this.#targets = targets;
  }

  receive(request: TextRequest, header: Uint8Array, data: readonly Uint8Array[]): void {
    const { taskTag, transferTag } = request;
    const open = this.#open;
    const isNew = transferTag === reservedTag;
    if (this.#isAnswering) return this.#responder.reject(header, rejectReasons.protocolError);
    if (!isNew && (open === undefined || open.transferTag !== transferTag || open.taskTag !== taskTag))
      return this.#responder.reject(header, rejectReasons.invalidField);
    this.#open = undefined; // a new request puts an end to an old exchange
    if (!isNew && open?.isAnswer === true) return this.#answerPart(taskTag, open.bytes);
    const bytes = joined(isNew || open === undefined ? data : [open.bytes, ...data]);
    if (bytes.length > textBytesMax || (request.continued && request.final))
      return this.#responder.reject(header, rejectReasons.protocolError);
    if (!request.continued) return this.#answer(taskTag, header, bytes);
    const next = this.#nextTransferTag();
    this.#open = { taskTag, transferTag: next, bytes, isAnswer: false };
    this.#responder.text(taskTag, noText, next, false);
  }

  #answer(taskTag: number, header: Uint8Array, bytes: Uint8Array): void {
    let pairs: readonly TextPair[];
    try {
      pairs = decodeText(bytes);
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      return this.#responder.reject(header, rejectReasons.protocolError);
    }
    const [first] = pairs;
    if (first === undefined) return this.#responder.text(taskTag, noText, reservedTag, false);
    // Nothing else is negotiated after the login.
    if (pairs.length > 1 || first[0] !== 'SendTargets')
      return this.#responder.reject(header, rejectReasons.protocolError);
    this.#isAnswering = true;
    void this.#targets(first[1]).then((answer) => {
      this.#isAnswering = false;
      if (answer === 'invalid') return this.#responder.reject(header, rejectReasons.invalidField);
      const text = answer === 'retry' ? undefined : encodeText(answer);
      // An empty answer would say that there are no targets.
      if (text === undefined || text.length > targetsTextBytesMax)
        return this.#responder.reject(header, rejectReasons.unsupported);
      this.#answerPart(taskTag, text);
    });
  }

  #answerPart(taskTag: number, text: Uint8Array): void {
    if (text.length <= this.#segmentBytes) return this.#responder.text(taskTag, text, reservedTag, false);
    const transferTag = this.#nextTransferTag();
    this.#open = { taskTag, transferTag, bytes: text.subarray(this.#segmentBytes), isAnswer: true };
    this.#responder.text(taskTag, text.subarray(0, this.#segmentBytes), transferTag, true);
  }

  #nextTransferTag(): number {
    this.#transferTag = (this.#transferTag + 1) & 0x7fff_ffff;
    return this.#transferTag;
  }
}
