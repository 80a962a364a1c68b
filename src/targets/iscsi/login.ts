import { RemoteProtocolError } from '../../base/errors.ts';
import type { Hashes } from '../../ports/hashes.ts';
import type { Random } from '../../ports/random.ts';
import { type LoginStatus, loginStatuses, type Stage, stages } from '../../wire/iscsi/codes.ts';
import type { LoginRequest } from '../../wire/iscsi/login-pdu.ts';
import { decodeText, encodeText, type TextPair } from '../../wire/iscsi/text.ts';
import { Chap } from './chap.ts';
import type { TargetAccess } from './directory.ts';
import { loginRequestsMax, textBytesMax } from './limits.ts';
import { normalName, volumeOf } from './names.ts';
import { Negotiation, ourDeclaration, type SessionParameters } from './negotiation.ts';

/** Who logs in, and to what. */
export interface LoginIdentity {
  /** In lower case. */
  readonly initiator: string;
  /** 12 lower-case hex digits. */
  readonly isid: string;
  /** Undefined: a discovery session. */
  readonly volume: string | undefined;
}

/** What the connection has to do next. `answer`: send it and wait. The others end with a call of `granted`, `entered` or nothing more. */
export type LoginEffect =
  | { readonly kind: 'answer'; readonly answer: LoginAnswer }
  /** Ask what the volume says, then `granted`. */
  | { readonly kind: 'lookUp'; readonly volume: string; readonly initiator: string }
  /** All is agreed: let the session begin, then `entered`. */
  | { readonly kind: 'enter'; readonly identity: LoginIdentity; readonly parameters: SessionParameters }
  /** Send it, then close. */
  | { readonly kind: 'refuse'; readonly status: LoginStatus };

/** The part of a Login Response that the login decides. */
export interface LoginAnswer {
  readonly transit: boolean;
  readonly continued: boolean;
  readonly currentStage: number;
  readonly nextStage: number;
  readonly tsih: number;
  readonly text: Uint8Array;
}

export interface LoginOptions {
  readonly groupTag: number;
  readonly hashes: Hashes;
  readonly random: Random;
  /** Whether a session has this handle: one connection each is all there is. */
  readonly hasSession: (tsih: number) => boolean;
}

/** From a stage to the next that a request may ask for (RFC 7143 §6.3): every other combination is an initiator's error. */
const transitions: ReadonlyMap<number, readonly number[]> = new Map<Stage, readonly Stage[]>([
  [stages.security, [stages.operational, stages.fullFeature]],
  [stages.operational, [stages.fullFeature]],
]);

const noText = new Uint8Array(0);
const refuse = (status: LoginStatus): LoginEffect => ({ kind: 'refuse', status });
const initiatorError = refuse(loginStatuses.initiatorError);
const securityKeys = new Set(['AuthMethod', 'CHAP_A', 'CHAP_I', 'CHAP_C', 'CHAP_N', 'CHAP_R']);
const identityKeys = new Set(['InitiatorName', 'TargetName', 'SessionType']);

/** One login as steps (RFC 7143 §6.3): requests in, effects out. Knows no socket and no volume. */
export class Login {
  readonly #options: LoginOptions;
  readonly #seen = new Set<string>();
  #first: LoginRequest | undefined;
  #last: LoginRequest | undefined;
  #requests = 0;
  #stage: number = stages.security;
  #text = noText;
  #pairs: readonly TextPair[] = [];
  #identity: LoginIdentity | undefined;
  #negotiation = new Negotiation(false);
  #chap: Chap | undefined;
  #chapState: 'none' | 'wanted' | 'agreed' | 'done' = 'none';
  #isGroupTold = false;
  #isLengthTold = false;
  #answers: readonly TextPair[] = [];

  constructor(options: LoginOptions) {
    this.#options = options;
  }

  /** `data`: the text of this request. */
  receive(request: LoginRequest, data: Uint8Array): LoginEffect {
    this.#requests += 1;
    const wrong = this.#faultOf(request);
    if (wrong !== undefined) return refuse(wrong);
    this.#first ??= request;
    this.#last = request;
    this.#stage = request.currentStage;
    if (this.#requests > loginRequestsMax || this.#text.length + data.length > textBytesMax) return initiatorError;
    const text = new Uint8Array(this.#text.length + data.length);
    text.set(this.#text);
    text.set(data, this.#text.length);
    this.#text = text;
    if (request.continued) return this.#answer([], false);
    this.#text = noText;
    try {
      this.#pairs = decodeText(text);
    } catch (error) {
      if (error instanceof RemoteProtocolError) return initiatorError;
      throw error;
    }
    for (const [key] of this.#pairs) {
      if (this.#seen.has(key)) return initiatorError;
      this.#seen.add(key);
    }
    return this.#identity === undefined ? this.#identify(request) : this.#negotiate();
  }

  /** The answer to `lookUp`. */
  granted(access: TargetAccess): LoginEffect {
    switch (access.kind) {
      case 'notFound':
        return refuse(loginStatuses.notFound);
      case 'forbidden':
        return refuse(loginStatuses.forbidden);
      case 'retry':
        return refuse(loginStatuses.serviceUnavailable);
      case 'granted':
        if (access.chap !== undefined) {
          this.#chapState = 'wanted';
          this.#chap = new Chap(access.chap, this.#options.hashes, this.#options.random);
        }
        return this.#negotiate();
    }
  }

  /** The session has begun under this handle: the last answer. */
  entered(tsih: number): LoginAnswer {
    const { currentStage, nextStage } = this.#last as LoginRequest;
    const text = encodeText(this.#answers);
    return { transit: true, continued: false, currentStage, nextStage, tsih, text };
  }

  #faultOf(request: LoginRequest): LoginStatus | undefined {
    const first = this.#first;
    if (first === undefined && request.versionMin > 0) return loginStatuses.unsupportedVersion;
    const { transit, continued, currentStage, nextStage } = request;
    const wayOn = transitions.get(currentStage);
    const isOutOfStage = wayOn === undefined || (transit && (continued || !wayOn.includes(nextStage)));
    const isChanged =
      first !== undefined &&
      (first.isid !== request.isid ||
        first.tsih !== request.tsih ||
        first.taskTag !== request.taskTag ||
        first.connectionId !== request.connectionId ||
        first.versionMax !== request.versionMax ||
        first.versionMin !== request.versionMin ||
        currentStage !== this.#stage);
    return isOutOfStage || isChanged ? loginStatuses.initiatorError : undefined;
  }

  #identify(request: LoginRequest): LoginEffect {
    const text = new Map(this.#pairs);
    if (request.tsih !== 0) {
      const isKnown = this.#options.hasSession(request.tsih);
      return refuse(isKnown ? loginStatuses.tooManyConnections : loginStatuses.sessionDoesNotExist);
    }
    const nameText = text.get('InitiatorName');
    if (nameText === undefined) return refuse(loginStatuses.missingParameter);
    const initiator = normalName(nameText);
    if (initiator === undefined) return initiatorError;
    const { isid } = request;
    const sessionType = text.get('SessionType') ?? 'Normal';
    if (sessionType === 'Discovery') {
      this.#identity = { initiator, isid, volume: undefined };
      this.#negotiation = new Negotiation(true);
      this.#isGroupTold = true; // there is no target whose group it could be
      return this.#negotiate();
    }
    if (sessionType !== 'Normal') return refuse(loginStatuses.unsupportedSessionType);
    const target = text.get('TargetName');
    if (target === undefined) return refuse(loginStatuses.missingParameter);
    const volume = volumeOf(target);
    if (volume === undefined) return refuse(loginStatuses.notFound);
    this.#identity = { initiator, isid, volume };
    return { kind: 'lookUp', volume, initiator };
  }

  #negotiate(): LoginEffect {
    const request = this.#last as LoginRequest;
    if (this.#chapState === 'wanted' && request.currentStage !== stages.security)
      return refuse(loginStatuses.authenticationFailure);
    const answers: TextPair[] = [];
    if (!this.#isGroupTold) answers.push(['TargetPortalGroupTag', String(this.#options.groupTag)]);
    this.#isGroupTold = true;
    const text = new Map(this.#pairs);
    const security = this.#authenticate(text);
    if (security === undefined) return refuse(loginStatuses.authenticationFailure);
    answers.push(...security);
    const operational = this.#pairs.filter(([key]) => !securityKeys.has(key) && !identityKeys.has(key));
    answers.push(...this.#negotiation.answer(operational));
    if (request.currentStage === stages.operational && !this.#isLengthTold) {
      answers.push(ourDeclaration);
      this.#isLengthTold = true;
    }
    const isReady = this.#chapState === 'none' || this.#chapState === 'done';
    // An initiator that wants to move on without a word of authentication has none to offer.
    if (!isReady && request.transit && security.length === 0) return refuse(loginStatuses.authenticationFailure);
    return this.#answer(answers, request.transit && isReady);
  }

  /** The security keys' answers; undefined: it failed. */
  #authenticate(text: ReadonlyMap<string, string>): readonly TextPair[] | undefined {
    const answers: TextPair[] = [];
    const methods = text.get('AuthMethod');
    if (methods !== undefined) {
      const wanted = this.#chapState === 'none' ? 'None' : 'CHAP';
      if (this.#chapState === 'agreed' || !methods.split(',').includes(wanted)) return undefined;
      answers.push(['AuthMethod', wanted]);
      if (this.#chapState === 'wanted') this.#chapState = 'agreed';
    }
    const chap = this.#chap;
    if (chap === undefined || this.#chapState !== 'agreed') return hasChapKeys(text) ? undefined : answers;
    const step = chap.receive(text);
    if (step.kind === 'failed') return undefined;
    if (step.kind === 'waiting') return answers;
    if (step.isDone) this.#chapState = 'done';
    return [...answers, ...step.pairs];
  }

  #answer(pairs: readonly TextPair[], transit: boolean): LoginEffect {
    const { currentStage, nextStage } = this.#last as LoginRequest;
    if (transit && nextStage === stages.fullFeature) {
      this.#answers = pairs;
      const identity = this.#identity as LoginIdentity;
      return { kind: 'enter', identity, parameters: this.#negotiation.parameters };
    }
    if (transit) this.#stage = nextStage;
    const text = encodeText(pairs);
    const next = transit ? nextStage : 0;
    return { kind: 'answer', answer: { transit, continued: false, currentStage, nextStage: next, tsih: 0, text } };
  }
}

function hasChapKeys(text: ReadonlyMap<string, string>): boolean {
  for (const key of text.keys()) if (key.startsWith('CHAP_')) return true;
  return false;
}
