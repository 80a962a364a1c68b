import { crc32c } from '../../base/crc32c.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import { fatalErrors } from '../../wire/nvme/codes.ts';
import { type CommandFields, decodeCommand } from '../../wire/nvme/command.ts';
import { readU32 } from '../../wire/little-endian.ts';
import {
  commandPduBytes,
  commonHeaderBytes,
  connectionPduBytes,
  type DataFields,
  dataPduBytes,
  decodeData,
  decodePduHeader,
  digestBytes,
  digestFlags,
  encodePduHeader,
  encodeTerm,
  fieldOffsets,
  icReqPdu,
  icRespPdu,
  pduFlags,
  type PduHeader,
  pduTypes,
  termBytesMax,
  termHeaderBytes,
} from '../../wire/nvme/pdu.ts';
import { InputQueue } from '../input.ts';
import type { Budget } from '../budget.ts';
import type { Command } from './command.ts';
import { FatalTransportError } from './fatal.ts';
import { transferBytesMax, type NvmeLimits } from './limits.ts';
import type { NvmeOutput } from './output.ts';
import { Payload } from './payload.ts';
import { type Executor, Queue, type QueueListener } from './queue.ts';
import { ReplyQueue } from './replies.ts';

export interface ConnectionOptions {
  readonly clock: Clock;
  readonly output: NvmeOutput;
  readonly limits: NvmeLimits;
  readonly budget: Budget;
  /** Who answers until the connection is a controller's queue. */
  readonly unconnected: (queue: Queue) => Executor;
  /** Resolves when the queue, and those that end with it, have nothing under way. */
  readonly quiet: (queue: Queue) => Promise<void>;
  /** The queue's connection is gone. */
  readonly gone: (queue: Queue) => void;
  /** The host was heard. */
  readonly heard: (queue: Queue) => void;
}

/** Why the connection isn't reading on. */
type Step = 'progress' | 'starved' | 'blocked';
type Phase = 'icReq' | 'running' | 'closed';

const hpdaMax = 31;

/**
 * One NVMe/TCP connection without its socket (TCP transport §3): bytes in, commands to its queue, PDUs out. PDUs of one
 * turn leave in one `send`. Data is kept as views of what the socket gave.
 */
export class NvmeConnection implements QueueListener {
  readonly queue: Queue;
  readonly #clock: Clock;
  readonly #output: NvmeOutput;
  readonly #limits: NvmeLimits;
  readonly #options: ConnectionOptions;
  readonly #input = new InputQueue(connectionPduBytes + digestBytes);
  readonly #replies = new ReplyQueue();
  readonly #flushRun = (): void => this.#flush();
  readonly #header: PduHeader = { type: 0, flags: 0, hlen: 0, pdo: 0, plen: 0 };
  readonly #fields = { ...noCommand };
  readonly #data: DataFields = { cid: 0, tag: 0, offset: 0, lengthBytes: 0 };
  #phase: Phase = 'icReq';
  readonly #payload: Payload;
  #connectTimer: Timer | undefined;
  #isFlushDue = false;
  #isSaturated = false;
  #isPaused = false;
  #isStopping = false;

  constructor(options: ConnectionOptions) {
    const { clock, output, limits, budget, unconnected } = options;
    this.#options = options;
    this.#clock = clock;
    this.#output = output;
    this.#limits = limits;
    this.queue = new Queue({ clock, output, limits, budget, replies: this.#replies, listener: this });
    this.queue.executor = unconnected(this.queue);
    this.#payload = new Payload(this.#input, this.queue);
  }

  /** The connection is open. Once, first. */
  start(): void {
    this.#connectTimer = this.#clock.after(this.#limits.connectMsMax, () => this.drop());
  }

  /** The queue belongs to a controller. */
  connected(): void {
    this.#connectTimer?.cancel();
  }

  /**
   * Bytes from the host. Views of `chunk` are kept: nobody may write to it again. `arrivedAfterMs`: by the clock, a moment
   * at which it had surely not arrived.
   */
  receive(chunk: Uint8Array, arrivedAfterMs: number = this.#clock.nowMs()): void {
    if (this.#phase === 'closed') return;
    this.queue.receivedAfterMs = arrivedAfterMs;
    this.#options.heard(this.queue);
    this.#input.push(chunk);
    this.#advance();
  }

  /** The host sends nothing more: no host of NVMe closes half a connection, so it has gone another way. */
  inputEnded(): void {
    this.drop();
  }

  /** What `send` had refused to be calm about has left. */
  drained(): void {
    this.#isSaturated = false;
    this.#advance();
  }

  /** The Corelet stops: what is under way is finished, then the connection ends. */
  stop(): void {
    this.#isStopping = true;
    void this.#options.quiet(this.queue).then(() => this.finish());
  }

  /** The connection is gone. Nothing is called on `output` any more. */
  closed(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#connectTimer?.cancel();
    this.#input.clear();
    this.#replies.pieces.length = 0;
    this.#payload.clear();
    this.queue.close();
    this.#options.gone(this.queue);
  }

  replied(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#clock.soon(this.#flushRun);
  }

  drop(): void {
    if (this.#phase === 'closed') return;
    this.closed();
    this.#output.destroy();
  }

  /** Ends it in good order, after what was answered. */
  finish(): void {
    if (this.#phase === 'closed') return;
    this.#send();
    this.closed();
    this.#output.end();
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
    let step: Step = 'starved';
    try {
      do step = this.#step();
      while (step === 'progress');
    } catch (error) {
      if (!(error instanceof FatalTransportError)) throw error;
      this.#terminate(error);
      return;
    }
    if (this.#isClosed()) return;
    this.#pace(step);
  }

  #pace(step: Step): void {
    const pauses = step === 'blocked' && this.#input.available >= this.#limits.inputBytesMax;
    if (pauses === this.#isPaused) return;
    this.#isPaused = !this.#isPaused;
    if (this.#isPaused) this.#output.pause();
    else this.#output.resume();
  }

  // A method, because the compiler doesn't know that a step may have closed the connection.
  #isClosed(): boolean {
    return this.#phase === 'closed';
  }

  /** TCP transport §3.6.2.3: tells why, reads no further, closes in bounded time (the socket's linger). */
  #terminate(error: FatalTransportError): void {
    const input = this.#input;
    const headBytes = Math.min(this.#header.hlen, input.available, connectionPduBytes);
    input.peek(headBytes);
    const header = input.bytes.slice(input.at, input.at + headBytes);
    const { status, information } = error;
    this.#replies.message(encodeTerm(pduTypes.c2hTerm, { status, information, header }));
    this.finish();
  }

  // ---- PDUs -------------------------------------------------------------------------------------------------------

  #step(): Step {
    if (this.#isSaturated) return 'blocked';
    if (this.#payload.isPending) return this.#payload.step();
    if (this.#isStopping) return 'starved'; // nothing new is begun
    return this.#readHeader();
  }

  #readHeader(): Step {
    const input = this.#input;
    if (!input.peek(commonHeaderBytes)) return 'starved';
    const header = this.#header;
    decodePduHeader(input.bytes, input.at, header);
    this.#checkHeader(header);
    const hasDigest = this.#replies.agreement.headerDigest && header.type !== pduTypes.h2cTerm;
    const headBytes = header.hlen + (hasDigest ? digestBytes : 0);
    if (!input.peek(headBytes)) return 'starved';
    if (hasDigest) this.#checkHeaderDigest(header);
    switch (header.type) {
      case pduTypes.icReq:
        return this.#initialize();
      case pduTypes.command:
        return this.#readCommand(headBytes);
      case pduTypes.h2cData:
        return this.#readDataHeader(headBytes);
      default: // the host gave up on us: there is nothing to say
        this.drop();
        return 'blocked';
    }
  }

  /** Type, length and flags, before anything is believed. */
  #checkHeader(header: PduHeader): void {
    const { type, hlen, plen, flags } = header;
    const isFirst = this.#phase === 'icReq';
    if (isFirst !== (type === pduTypes.icReq)) {
      if (isFirst && type !== pduTypes.h2cTerm) this.#header.hlen = commonHeaderBytes;
      throw new FatalTransportError(fatalErrors.sequence, fieldOffsets.type, `PDU of type ${type} out of turn`);
    }
    const wanted = headerLengths.get(type);
    if (wanted === undefined) {
      header.hlen = commonHeaderBytes;
      throw invalid(fieldOffsets.type, `PDU of type ${type}`);
    }
    if (hlen !== wanted) {
      header.hlen = commonHeaderBytes;
      throw invalid(fieldOffsets.hlen, `header of ${hlen} bytes`);
    }
    if (type === pduTypes.icReq || type === pduTypes.h2cTerm) {
      const isRight = type === pduTypes.icReq ? plen === connectionPduBytes : plen >= hlen && plen <= termBytesMax;
      if (!isRight) throw invalid(fieldOffsets.plen, `PDU of ${plen} bytes`);
      return;
    }
    const { headerDigest, dataDigest } = this.#replies.agreement;
    const headBytes = hlen + (headerDigest ? digestBytes : 0);
    if (plen < headBytes) throw invalid(fieldOffsets.plen, `PDU of ${plen} bytes`);
    if (((flags & pduFlags.headerDigest) !== 0) !== headerDigest)
      throw invalid(fieldOffsets.flags, 'header digest flag');
    const hasData = plen > headBytes;
    if (hasData && ((flags & pduFlags.dataDigest) !== 0) !== dataDigest)
      throw invalid(fieldOffsets.flags, 'data digest flag');
  }

  #checkHeaderDigest({ hlen }: PduHeader): void {
    const { bytes, at } = this.#input;
    const told = readU32(bytes, at + hlen);
    const found = crc32c(bytes.subarray(at, at + hlen));
    if (told !== found) throw new FatalTransportError(fatalErrors.headerDigest, told, 'header digest');
  }

  #initialize(): Step {
    const { pfv, hpda, digests } = icReqPdu.decode(this.#input.bytes, this.#input.at);
    if (pfv !== 0) throw new FatalTransportError(fatalErrors.unsupported, fieldOffsets.pfv, `format version ${pfv}`);
    if (hpda > hpdaMax) throw invalid(fieldOffsets.hpda, `alignment ${hpda}`);
    if (digests > (digestFlags.header | digestFlags.data)) throw invalid(fieldOffsets.digests, `digests ${digests}`);
    this.#input.skip(connectionPduBytes);
    const answer = icRespPdu.encode({ pfv: 0, cpda: 0, digests, maxDataBytes: transferBytesMax });
    const hlen = connectionPduBytes;
    encodePduHeader(answer, 0, { type: pduTypes.icResp, flags: 0, hlen, pdo: 0, plen: hlen });
    this.#replies.message(answer);
    this.#replies.agreement = {
      headerDigest: (digests & digestFlags.header) !== 0,
      dataDigest: (digests & digestFlags.data) !== 0,
      alignBytes: 4 * (hpda + 1),
    };
    this.#phase = 'running';
    this.replied();
    return 'progress';
  }

  /** Where the data begins and how much there is. */
  #measure(headBytes: number): number {
    const { plen, pdo } = this.#header;
    if (plen === headBytes) return 0;
    const dataDigestBytes = this.#replies.agreement.dataDigest ? digestBytes : 0;
    if (pdo < headBytes || pdo % 4 !== 0 || pdo + dataDigestBytes >= plen)
      throw invalid(fieldOffsets.pdo, `data at ${pdo} of ${plen} bytes`);
    return plen - pdo - dataDigestBytes;
  }

  #readCommand(headBytes: number): Step {
    const input = this.#input;
    const dataBytes = this.#measure(headBytes);
    if (dataBytes > this.queue.executor.inCapsuleBytesMax)
      throw new FatalTransportError(fatalErrors.limitExceeded, fieldOffsets.plen, `${dataBytes} bytes in a capsule`);
    decodeCommand(input.bytes, input.at + commonHeaderBytes, this.#fields);
    const command = this.queue.accept(this.#fields, dataBytes);
    input.skip(headBytes);
    if (dataBytes === 0) this.queue.arrived(command);
    else this.#expect(command, dataBytes, headBytes, false);
    return 'progress';
  }

  #expect(command: Command, dataBytes: number, headBytes: number, isTransfer: boolean): void {
    const { dataDigest } = this.#replies.agreement;
    this.#payload.begin(command, this.#header.pdo - headBytes, dataBytes, dataDigest, isTransfer);
  }

  #readDataHeader(headBytes: number): Step {
    const input = this.#input;
    const data = this.#data;
    const { flags } = this.#header;
    decodeData(input.bytes, input.at, data);
    const command = this.queue.byTag(data.tag, data.cid);
    if (command === undefined)
      throw new FatalTransportError(
        fatalErrors.sequence,
        fieldOffsets.tag,
        `data with tag ${data.tag} was not asked for`,
      );
    const dataBytes = this.#measure(headBytes);
    if (dataBytes !== data.lengthBytes || dataBytes === 0)
      throw invalid(fieldOffsets.length, `${dataBytes} bytes of data`);
    if (dataBytes > transferBytesMax)
      throw new FatalTransportError(fatalErrors.limitExceeded, fieldOffsets.length, `${dataBytes} bytes of data`);
    const endBytes = data.offset + dataBytes;
    if (data.offset !== command.receivedBytes || endBytes > command.toControllerBytes)
      throw new FatalTransportError(fatalErrors.outOfRange, fieldOffsets.offset, `data at ${data.offset}`);
    const isLast = (flags & pduFlags.last) !== 0;
    if (isLast && endBytes !== command.toControllerBytes)
      throw new FatalTransportError(fatalErrors.outOfRange, fieldOffsets.length, 'the last data is not all');
    input.skip(headBytes);
    this.#expect(command, dataBytes, headBytes, true);
    return 'progress';
  }
}

const headerLengths = new Map<number, number>([
  [pduTypes.icReq, connectionPduBytes],
  [pduTypes.h2cTerm, termHeaderBytes],
  [pduTypes.command, commandPduBytes],
  [pduTypes.h2cData, dataPduBytes],
]);

function invalid(fieldAt: number, message: string): FatalTransportError {
  return new FatalTransportError(fatalErrors.invalidHeader, fieldAt, message);
}

const noCommand: CommandFields = {
  opcode: 0,
  flags: 0,
  cid: 0,
  nsid: 0,
  sglAddress: 0,
  sglLengthBytes: 0,
  sglType: 0,
  cdw10: 0,
  cdw11: 0,
  cdw12: 0,
  cdw13: 0,
  cdw14: 0,
  cdw15: 0,
};
