import { dataSegmentBytesMax as segmentFieldMax } from '../../wire/iscsi/header.ts';
import { parseNumber, type TextPair } from '../../wire/iscsi/text.ts';
import {
  burstBytesMax,
  dataSegmentBytesMax,
  firstBurstBytesMax,
  loginSegmentBytesMax,
  outstandingR2tMax,
} from './limits.ts';

/** What both sides hold to in the full-feature phase (RFC 7143 §13). */
export interface SessionParameters {
  readonly headerDigest: boolean;
  readonly dataDigest: boolean;
  readonly initialR2t: boolean;
  readonly immediateData: boolean;
  /** What the initiator takes in one data segment. */
  readonly initiatorSegmentBytes: number;
  readonly firstBurstBytes: number;
  readonly maxBurstBytes: number;
  readonly outstandingR2t: number;
}

type Rule =
  /** The first of the offered values that we know. */
  | { readonly kind: 'list'; readonly ours: readonly string[] }
  | { readonly kind: 'and' | 'or'; readonly ours: boolean }
  | { readonly kind: 'min' | 'max'; readonly ours: number; readonly low: number; readonly high: number }
  /** Told, not negotiated: no answer. */
  | { readonly kind: 'declared'; readonly low: number; readonly high: number }
  | { readonly kind: 'text' }
  /** Answered always so. */
  | { readonly kind: 'fixed'; readonly answer: string };

interface Key {
  readonly rule: Rule;
  /** Means something in a discovery session. */
  readonly inDiscovery: boolean;
}

const digests: Rule = { kind: 'list', ours: ['CRC32C', 'None'] };

const keys: ReadonlyMap<string, Key> = new Map<string, Key>([
  ['HeaderDigest', { rule: digests, inDiscovery: true }],
  ['DataDigest', { rule: digests, inDiscovery: true }],
  ['MaxRecvDataSegmentLength', { rule: { kind: 'declared', low: 512, high: segmentFieldMax }, inDiscovery: true }],
  ['DefaultTime2Wait', { rule: { kind: 'max', ours: 2, low: 0, high: 3600 }, inDiscovery: true }],
  ['DefaultTime2Retain', { rule: { kind: 'min', ours: 0, low: 0, high: 3600 }, inDiscovery: true }],
  ['ErrorRecoveryLevel', { rule: { kind: 'min', ours: 0, low: 0, high: 2 }, inDiscovery: true }],
  ['InitiatorAlias', { rule: { kind: 'text' }, inDiscovery: true }],
  ['MaxConnections', { rule: { kind: 'min', ours: 1, low: 1, high: 65_535 }, inDiscovery: false }],
  ['InitialR2T', { rule: { kind: 'or', ours: false }, inDiscovery: false }],
  ['ImmediateData', { rule: { kind: 'and', ours: true }, inDiscovery: false }],
  [
    'MaxBurstLength',
    { rule: { kind: 'min', ours: burstBytesMax, low: 512, high: segmentFieldMax }, inDiscovery: false },
  ],
  [
    'FirstBurstLength',
    { rule: { kind: 'min', ours: firstBurstBytesMax, low: 512, high: segmentFieldMax }, inDiscovery: false },
  ],
  ['MaxOutstandingR2T', { rule: { kind: 'min', ours: outstandingR2tMax, low: 1, high: 65_535 }, inDiscovery: false }],
  ['DataPDUInOrder', { rule: { kind: 'or', ours: true }, inDiscovery: false }],
  ['DataSequenceInOrder', { rule: { kind: 'or', ours: true }, inDiscovery: false }],
  // Markers are gone since RFC 7143; who asks hears no.
  ['IFMarker', { rule: { kind: 'fixed', answer: 'No' }, inDiscovery: true }],
  ['OFMarker', { rule: { kind: 'fixed', answer: 'No' }, inDiscovery: true }],
  ['IFMarkInt', { rule: { kind: 'fixed', answer: 'Irrelevant' }, inDiscovery: true }],
  ['OFMarkInt', { rule: { kind: 'fixed', answer: 'Irrelevant' }, inDiscovery: true }],
  ['RDMAExtensions', { rule: { kind: 'fixed', answer: 'No' }, inDiscovery: false }],
  ['TaskReporting', { rule: { kind: 'list', ours: ['RFC3720'] }, inDiscovery: false }],
  ['iSCSIProtocolLevel', { rule: { kind: 'min', ours: 1, low: 0, high: 31 }, inDiscovery: false }],
]);

/** Operational negotiation: the initiator offers, we answer by the key's rule; what nobody mentions has the RFC's default. */
export class Negotiation {
  readonly #isDiscovery: boolean;
  /** Results so far: those of the RFC to begin with (§13). */
  readonly #results = new Map<string, string>([
    ['HeaderDigest', 'None'],
    ['DataDigest', 'None'],
    ['InitialR2T', 'Yes'],
    ['ImmediateData', 'Yes'],
    ['MaxRecvDataSegmentLength', String(loginSegmentBytesMax)],
    ['MaxBurstLength', '262144'],
    ['FirstBurstLength', '65536'],
    ['MaxOutstandingR2T', '1'],
  ]);

  constructor(isDiscovery: boolean) {
    this.#isDiscovery = isDiscovery;
  }

  /** Answers to the offers of one request. FirstBurstLength comes last, since its answer depends on the others. */
  answer(offers: readonly TextPair[]): readonly TextPair[] {
    const answers: TextPair[] = [];
    const last = offers.filter(([key]) => key === 'FirstBurstLength');
    for (const [key, value] of [...offers.filter(([key]) => key !== 'FirstBurstLength'), ...last]) {
      const answer = this.#answerTo(key, value);
      if (answer !== undefined) answers.push([key, answer]);
    }
    return answers;
  }

  get parameters(): SessionParameters {
    const text = (key: string): string => this.#results.get(key) as string;
    const maxBurstBytes = Number(text('MaxBurstLength'));
    return {
      headerDigest: text('HeaderDigest') === 'CRC32C',
      dataDigest: text('DataDigest') === 'CRC32C',
      initialR2t: text('InitialR2T') === 'Yes',
      immediateData: text('ImmediateData') === 'Yes',
      initiatorSegmentBytes: Number(text('MaxRecvDataSegmentLength')),
      firstBurstBytes: Math.min(Number(text('FirstBurstLength')), maxBurstBytes),
      maxBurstBytes,
      outstandingR2t: Number(text('MaxOutstandingR2T')),
    };
  }

  #answerTo(name: string, value: string): string | undefined {
    const key = keys.get(name);
    if (key === undefined) return 'NotUnderstood';
    if (this.#isDiscovery && !key.inDiscovery) return 'Irrelevant';
    if (name === 'FirstBurstLength' && this.#isUnsolicitedOff()) return 'Irrelevant';
    const result = this.#resultOf(name, key.rule, value);
    if (result === undefined) return 'Reject';
    this.#results.set(name, result);
    const { kind } = key.rule;
    return kind === 'declared' || kind === 'text' ? undefined : result;
  }

  #isUnsolicitedOff(): boolean {
    return this.#results.get('InitialR2T') === 'Yes' && this.#results.get('ImmediateData') === 'No';
  }

  /** Undefined: the value is none that the key can have. */
  #resultOf(name: string, rule: Rule, value: string): string | undefined {
    switch (rule.kind) {
      case 'list':
        return value.split(',').find((offered) => rule.ours.includes(offered));
      case 'and':
      case 'or': {
        if (value !== 'Yes' && value !== 'No') return undefined;
        const theirs = value === 'Yes';
        return (rule.kind === 'and' ? theirs && rule.ours : theirs || rule.ours) ? 'Yes' : 'No';
      }
      case 'min':
      case 'max':
      case 'declared': {
        const number = parseNumber(value);
        if (number === undefined || number < rule.low || number > rule.high) return undefined;
        if (rule.kind === 'declared') return String(number);
        if (rule.kind === 'max') return String(Math.max(number, rule.ours));
        const capped = Math.min(number, rule.ours);
        // §13.14: FirstBurstLength must not exceed MaxBurstLength.
        return String(
          name === 'FirstBurstLength' ? Math.min(capped, Number(this.#results.get('MaxBurstLength'))) : capped,
        );
      }
      case 'text':
        return value;
      case 'fixed':
        return rule.answer;
    }
  }
}

/** What we tell of ourselves: once, in the operational stage. */
export const ourDeclaration: TextPair = ['MaxRecvDataSegmentLength', String(dataSegmentBytesMax)];
