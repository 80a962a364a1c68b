import { RemoteProtocolError } from '../../base/errors.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import type { VolumeCatalog } from '../../volume/block-device.ts';
import { InputQueue } from '../input.ts';
import { options } from '../../wire/nbd/codes.ts';
import { clientFlagsBytes, decodeClientFlags, encodeGreeting } from '../../wire/nbd/handshake.ts';
import { decodeOptionHeader, type OptionHeader, optionHeaderBytes } from '../../wire/nbd/option.ts';
import { defaultNbdLimits, type NbdLimits, optionBytesMax, skippedOptionBytesMax } from './limits.ts';
import { Negotiation, type OptionAnswer } from './negotiation.ts';
import type { NbdOutput } from './output.ts';
import { ReplyQueue } from './replies.ts';
import { Transmission, type TransmissionListener } from './transmission.ts';

export interface NbdSessionOptions {
  readonly catalog: VolumeCatalog;
  readonly clock: Clock;
  readonly output: NbdOutput;
  readonly limits?: Partial<NbdLimits>;
}

/** Why the session isn't reading on. */
type Step = 'progress' | 'starved' | 'blocked';

type Phase = 'flags' | 'options' | 'answering' | 'transmission' | 'finishing' | 'closed';

/** Of a request: 28 bytes, and some. */
const headerBytesMax = 32;
const noData = new Uint8Array(0);

/**
 * One NBD connection, without its socket: bytes in, commands to the device, replies out (NetworkBlockDevice/nbd
 * doc/proto.md). Replies of one turn leave in one `send`. Bounded by its limits: it pauses its input instead of queueing.
 */
export class NbdSession implements TransmissionListener {
  readonly #catalog: VolumeCatalog;
  readonly #clock: Clock;
  readonly #output: NbdOutput;
  readonly #limits: NbdLimits;
  readonly #input = new InputQueue(headerBytesMax);
  readonly #replies = new ReplyQueue();
  readonly #flushRun = (): void => this.#flush();
  #phase: Phase = 'flags';
  #negotiation: Negotiation | undefined;
  #option: OptionHeader | undefined;
  /** Of the option being received: kept here, or skipped when it is too long to keep. */
  #optionData = noData;
  #optionReceivedBytes = 0;
  #transmission: Transmission | undefined;
  #handshakeTimer: Timer | undefined;
  #arrivedAfterMs = 0;
  #isFlushDue = false;
  #isSaturated = false;
  #isPaused = false;
  #isInputEnded = false;
  #isStopping = false;

  constructor(session: NbdSessionOptions) {
    this.#catalog = session.catalog;
    this.#clock = session.clock;
    this.#output = session.output;
    this.#limits = { ...defaultNbdLimits, ...session.limits };
  }

  /** The connection is open: greets the client. Once, first. */
  start(): void {
    this.#replies.message(encodeGreeting());
    this.#flush();
    this.#handshakeTimer = this.#clock.after(this.#limits.handshakeMsMax, () => {
      if (this.#transmission === undefined) this.#drop();
    });
  }

  /**
   * Bytes from the client. The session keeps views of `chunk`: nobody may write to it again. `arrivedAfterMs`: by the clock,
   * a moment at which it had surely not arrived.
   */
  receive(chunk: Uint8Array, arrivedAfterMs: number = this.#clock.nowMs()): void {
    if (this.#phase === 'finishing' || this.#phase === 'closed') return;
    this.#arrivedAfterMs = arrivedAfterMs;
    if (this.#transmission !== undefined) this.#transmission.receivedAfterMs = arrivedAfterMs;
    this.#input.push(chunk);
    this.#advance();
  }

  /** The client sends nothing more. What it asked for is still answered. */
  inputEnded(): void {
    this.#isInputEnded = true;
    this.#advance();
  }

  /** What `send` had refused to be calm about has left. */
  drained(): void {
    this.#isSaturated = false;
    this.#advance();
  }

  /** The Corelet stops: what is under way is finished, whatever else has arrived is refused, then the connection ends. */
  stop(): void {
    this.#isStopping = true;
    this.#negotiation?.stop();
    this.#transmission?.stop();
    this.#advance();
  }

  /** The connection is gone. Nothing is called on `output` any more. */
  closed(): void {
    this.#phase = 'closed';
    this.#transmission?.close();
    this.#handshakeTimer?.cancel();
    this.#input.clear();
    this.#replies.pieces.length = 0;
  }

  replied(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#clock.soon(this.#flushRun);
  }

  unanswerable(): void {
    this.#drop();
  }

  #flush(): void {
    this.#isFlushDue = false;
    if (this.#phase === 'closed') return;
    this.#send();
    this.#advance();
  }

  #send(): void {
    const { pieces } = this.#replies;
    this.#replies.close();
    if (pieces.length === 0) return;
    if (!this.#output.send(pieces)) this.#isSaturated = true;
    pieces.length = 0;
  }

  #advance(): void {
    if (this.#isClosed()) return;
    let step: Step;
    try {
      do step = this.#step();
      while (step === 'progress');
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      this.#drop(); // out of step: there is nothing that the client would understand
      return;
    }
    if (this.#isClosed()) return;
    if (this.#phase !== 'finishing') this.#pace(step);
    const isLast = step === 'starved' && (this.#isInputEnded || this.#isStopping);
    if (isLast || this.#phase === 'finishing') this.#finish();
  }

  #pace(step: Step): void {
    const pauses = step === 'blocked' && this.#input.available >= this.#limits.inputBytesMax;
    if (pauses === this.#isPaused) return;
    this.#isPaused = !this.#isPaused;
    if (this.#isPaused) this.#output.pause();
    else this.#output.resume();
  }

  // A method, because the compiler doesn't know that a step may have closed the session.
  #isClosed(): boolean {
    return this.#phase === 'closed';
  }

  /** Ends the connection once the device has done what it was given; asked again after every reply. */
  #finish(): void {
    if (this.#transmission !== undefined && this.#transmission.inFlight > 0) return;
    this.#send();
    this.closed();
    this.#output.end();
  }

  #drop(): void {
    if (this.#phase === 'closed') return;
    this.closed();
    this.#output.destroy();
  }

  #step(): Step {
    if (this.#isSaturated) return 'blocked';
    switch (this.#phase) {
      case 'flags':
        return this.#readFlags();
      case 'options':
        return this.#readOption();
      case 'transmission':
        return this.#readRequest();
      case 'answering':
      case 'finishing':
      case 'closed':
        return 'blocked';
    }
  }

  #readFlags(): Step {
    if (!this.#input.peek(clientFlagsBytes)) return 'starved';
    const { noZeroes } = decodeClientFlags(this.#input.bytes, this.#input.at);
    this.#input.skip(clientFlagsBytes);
    this.#negotiation = new Negotiation({
      catalog: this.#catalog,
      clock: this.#clock,
      limits: this.#limits,
      noZeroes,
    });
    if (this.#isStopping) this.#negotiation.stop();
    this.#phase = 'options';
    return 'progress';
  }

  #readOption(): Step {
    const negotiation = this.#negotiation as Negotiation;
    const header = this.#option;
    if (header === undefined) {
      if (!this.#input.peek(optionHeaderBytes)) return 'starved';
      const read = decodeOptionHeader(this.#input.bytes, this.#input.at);
      if (read.lengthBytes > skippedOptionBytesMax)
        throw new RemoteProtocolError(`option of ${read.lengthBytes} bytes`);
      this.#input.skip(optionHeaderBytes);
      this.#option = read;
      this.#optionData = read.lengthBytes > optionBytesMax ? noData : new Uint8Array(read.lengthBytes);
      this.#optionReceivedBytes = 0;
      return 'progress';
    }
    const { option, lengthBytes } = header;
    const data = this.#optionData;
    const count = Math.min(lengthBytes - this.#optionReceivedBytes, this.#input.available);
    if (lengthBytes > optionBytesMax) this.#input.skip(count);
    else this.#input.copy(count, data, this.#optionReceivedBytes);
    this.#optionReceivedBytes += count;
    if (this.#optionReceivedBytes < lengthBytes) return 'starved';
    this.#option = undefined;
    this.#optionData = noData;
    if (lengthBytes > optionBytesMax) {
      this.#answer(negotiation.tooBig(option));
      return 'progress';
    }
    // Bytes that came in the clear behind STARTTLS could be taken for bytes of the encrypted session.
    if (option === options.startTls && this.#input.available > 0) throw new RemoteProtocolError('bytes after STARTTLS');
    this.#phase = 'answering';
    void negotiation.answer(option, data).then((answer) => {
      if (this.#phase === 'closed') {
        if (answer.next.phase === 'transmission') answer.next.device.close();
        return;
      }
      this.#answer(answer);
      this.#advance();
    });
    return 'progress';
  }

  #answer(answer: OptionAnswer): void {
    for (const message of answer.messages) this.#replies.message(message);
    this.#send();
    const { next } = answer;
    switch (next.phase) {
      case 'options':
      case 'end':
        this.#phase = next.phase === 'end' ? 'finishing' : 'options';
        return;
      case 'drop':
        this.#drop();
        return;
      case 'transmission':
        this.#handshakeTimer?.cancel();
        this.#negotiation = undefined;
        this.#transmission = new Transmission({
          device: next.device,
          clock: this.#clock,
          output: this.#output,
          agreement: next.agreement,
          limits: this.#limits,
          replies: this.#replies,
          listener: this,
        });
        this.#transmission.receivedAfterMs = this.#arrivedAfterMs;
        if (this.#isStopping) this.#transmission.stop();
        this.#phase = 'transmission';
    }
  }

  #readRequest(): Step {
    const result = (this.#transmission as Transmission).step(this.#input);
    if (result === 'full') return 'blocked';
    if (result === 'stale') {
      this.#drop();
      return 'blocked';
    }
    if (result !== 'disconnect') return result;
    this.#phase = 'finishing';
    return 'blocked';
  }
}
