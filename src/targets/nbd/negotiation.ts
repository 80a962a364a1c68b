import { utf8Text } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { BlockDevice, VolumeCatalog } from '../../volume/block-device.ts';
import {
  allocationContext,
  allocationContextId,
  infoTypes,
  optionReplies,
  options,
  transmissionFlags,
} from '../../wire/nbd/codes.ts';
import { encodeExport } from '../../wire/nbd/handshake.ts';
import { decodeContextQuery, decodeExportQuery } from '../../wire/nbd/option.ts';
import { encodeOptionReply, type OptionReply } from '../../wire/nbd/option-reply.ts';
import { askAgain } from '../asking-again.ts';
import type { NbdLimits } from './limits.ts';
import type { Agreement } from './request-check.ts';

/** What follows the answer to an option. `drop`: the protocol has no way to refuse but to hang up. */
export type NextPhase =
  | { readonly phase: 'options' }
  | { readonly phase: 'transmission'; readonly device: BlockDevice; readonly agreement: Agreement }
  | { readonly phase: 'end' }
  | { readonly phase: 'drop' };

export interface OptionAnswer {
  readonly messages: readonly Uint8Array[];
  readonly next: NextPhase;
}

export interface NegotiationOptions {
  readonly catalog: VolumeCatalog;
  readonly clock: Clock;
  readonly limits: NbdLimits;
  readonly noZeroes: boolean;
}

const description = 'Corelet volume';
const stay: NextPhase = { phase: 'options' };
const drop: OptionAnswer = { messages: [], next: { phase: 'drop' } };

/** The option haggling: one option with its data in, an answer out. The caller waits for the answer before the next. */
export class Negotiation {
  readonly #catalog: VolumeCatalog;
  readonly #clock: Clock;
  readonly #limits: NbdLimits;
  readonly #noZeroes: boolean;
  #structuredReplies = false;
  /** The volume for which `base:allocation` was selected. */
  #allocationVolume: string | undefined;
  #isStopping = false;

  constructor(negotiation: NegotiationOptions) {
    this.#catalog = negotiation.catalog;
    this.#clock = negotiation.clock;
    this.#limits = negotiation.limits;
    this.#noZeroes = negotiation.noZeroes;
  }

  /** Options from now on are refused with ERR_SHUTDOWN, but for ABORT. */
  stop(): void {
    this.#isStopping = true;
  }

  /** An option whose data was too long to keep and has been skipped. */
  tooBig(option: number): OptionAnswer {
    if (option === options.exportName) return drop;
    const isKnown = Object.values<number>(options).includes(option) && option !== options.extendedHeaders;
    return refusal(option, isKnown ? optionReplies.errTooBig : optionReplies.errUnsupported, 'the option is too long');
  }

  async answer(option: number, data: Uint8Array): Promise<OptionAnswer> {
    if (option === options.abort) return answered(option, [{ type: 'ack' }], { phase: 'end' });
    if (this.#isStopping) {
      if (option === options.exportName) return drop;
      return refusal(option, optionReplies.errShutdown, 'this Corelet is stopping');
    }
    try {
      return await this.#dispatch(option, data);
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      if (option === options.exportName) return drop;
      return refusal(option, optionReplies.errInvalid, error.message);
    }
  }

  async #dispatch(option: number, data: Uint8Array): Promise<OptionAnswer> {
    switch (option) {
      case options.exportName:
        return this.#exportName(utf8Text(data));
      case options.list:
        expectNoData(data);
        return this.#list();
      case options.info:
      case options.go:
        return this.#infoOrGo(option, data);
      case options.structuredReply:
        expectNoData(data);
        this.#structuredReplies = true;
        return answered(option, [{ type: 'ack' }]);
      case options.listMetaContext:
      case options.setMetaContext:
        return this.#metaContext(option, data);
      case options.startTls:
        expectNoData(data);
        return refusal(option, optionReplies.errUnsupported, 'TLS is not offered');
      default:
        return refusal(option, optionReplies.errUnsupported, 'unknown option');
    }
  }

  async #exportName(name: string): Promise<OptionAnswer> {
    const device = await this.#open(name);
    if (typeof device === 'string') return drop;
    const message = encodeExport({ sizeBytes: device.sizeBytes, flags: this.#flags(device) }, this.#noZeroes);
    return { messages: [message], next: this.#transmission(device) };
  }

  async #list(): Promise<OptionAnswer> {
    const volumes = await this.#catalog.list();
    const replies: OptionReply[] = volumes.map(({ name }) => ({ type: 'server', name, description }));
    replies.push({ type: 'ack' });
    return answered(options.list, replies);
  }

  async #infoOrGo(option: number, data: Uint8Array): Promise<OptionAnswer> {
    const query = decodeExportQuery(data);
    const device = await this.#open(query.name);
    if (typeof device === 'string') return noExport(option, device);
    const fields = { sizeBytes: device.sizeBytes, flags: this.#flags(device) };
    const replies: OptionReply[] = [{ type: 'info-export', fields }];
    if (query.infoTypes.includes(infoTypes.name)) replies.push({ type: 'info-name', name: device.name });
    if (query.infoTypes.includes(infoTypes.description)) replies.push({ type: 'info-description', description });
    if (query.infoTypes.includes(infoTypes.blockSize)) {
      const maximumBytes = this.#limits.payloadBytesMax;
      replies.push({ type: 'info-block-size', minimumBytes: 1, preferredBytes: 4096, maximumBytes });
    }
    replies.push({ type: 'ack' });
    if (option === options.info) device.close();
    return answered(option, replies, option === options.go ? this.#transmission(device) : stay);
  }

  async #metaContext(option: number, data: Uint8Array): Promise<OptionAnswer> {
    const isSet = option === options.setMetaContext;
    if (isSet) this.#allocationVolume = undefined; // also when this one fails
    const query = decodeContextQuery(data);
    if (isSet && !this.#structuredReplies) throw new RemoteProtocolError('structured replies come first');
    const device = await this.#open(query.name);
    if (typeof device === 'string') return noExport(option, device);
    device.close(); // looked up only
    const isWanted = isSet
      ? query.queries.includes(allocationContext)
      : query.queries.length === 0 || query.queries.some((text) => text === 'base:' || text === allocationContext);
    const replies: OptionReply[] = [];
    if (isWanted) replies.push({ type: 'meta-context', id: isSet ? allocationContextId : 0, name: allocationContext });
    if (isWanted && isSet) this.#allocationVolume = device.name;
    replies.push({ type: 'ack' });
    return answered(option, replies);
  }

  /** The empty name means the only volume. A volume whose arc is between leaders is asked for again, within a bound. */
  async #open(name: string): Promise<BlockDevice | 'NOT_FOUND' | 'RETRYABLE'> {
    let exportName = name;
    if (name === '') {
      const volumes = await this.#catalog.list();
      const [only] = volumes;
      if (only === undefined || volumes.length > 1) return 'NOT_FOUND';
      exportName = only.name;
    }
    return askAgain({
      clock: this.#clock,
      limitMs: this.#limits.openRetryMsMax,
      ask: () => this.#catalog.open(exportName),
      isNotNow: (device) => device === 'RETRYABLE',
      isOver: () => this.#isStopping,
    });
  }

  #transmission(device: BlockDevice): NextPhase {
    const allocation = this.#allocationVolume === device.name;
    return {
      phase: 'transmission',
      device,
      agreement: { structuredReplies: this.#structuredReplies, allocation },
    };
  }

  #flags(device: BlockDevice): number {
    const flags = transmissionFlags;
    const writing = device.readOnly ? flags.readOnly : flags.sendTrim | flags.sendWriteZeroes | flags.sendFastZero;
    const always = flags.hasFlags | flags.sendFlush | flags.sendFua | flags.canMultiConn | flags.sendCache;
    return always | writing | (this.#structuredReplies ? flags.sendDf : 0);
  }
}

function expectNoData(data: Uint8Array): void {
  if (data.length > 0) throw new RemoteProtocolError('this option takes no data');
}

function answered(option: number, replies: readonly OptionReply[], next: NextPhase = stay): OptionAnswer {
  return { messages: replies.map((reply) => encodeOptionReply(option, reply)), next };
}

function refusal(option: number, code: number, message: string): OptionAnswer {
  return answered(option, [{ type: 'error', code, message }]);
}

function noExport(option: number, why: 'NOT_FOUND' | 'RETRYABLE'): OptionAnswer {
  return why === 'NOT_FOUND'
    ? refusal(option, optionReplies.errUnknown, 'no such volume')
    : refusal(option, optionReplies.errShutdown, 'the volume is not available now, try again');
}
