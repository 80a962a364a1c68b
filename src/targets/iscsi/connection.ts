import { joined } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import type { Timer } from '../../ports/clock.ts';
import type { NexusListener, ScsiNexus } from '../scsi/types.ts';
import { asyncEvents, initiatorOpcodes, type LoginStatus, loginStatuses } from '../../wire/iscsi/codes.ts';
import { opcodeOf } from '../../wire/iscsi/header.ts';
import { type LoginRequest, loginRequest } from '../../wire/iscsi/login-pdu.ts';
import { encodeText } from '../../wire/iscsi/text.ts';
import { askAgain } from '../asking-again.ts';
import { FullFeature, type PhaseListener } from './full-feature.ts';
import { dataSegmentBytesMax, loginSegmentBytesMax } from './limits.ts';
import { Login, type LoginEffect, type LoginIdentity } from './login.ts';
import type { SessionParameters } from './negotiation.ts';
import type { IscsiOutput } from './output.ts';
import { type Pdu, PduReader } from './pdu-reader.ts';
import { PduQueue } from './pdu-queue.ts';
import { Responder } from './responder.ts';
import { targetsText } from './send-targets.ts';
import type { OpenSession } from './sessions.ts';
import { Share } from './share.ts';
import type { TargetContext } from './target.ts';
import type { Hearing } from './task.ts';

/** `asking`: the login waits for something. */
type Phase = 'login' | 'asking' | 'full' | 'closed';

/** A session that logged in on this connection. */
interface Entered {
  readonly identity: LoginIdentity;
  readonly tsih: number;
  readonly full: FullFeature;
}

type Entry = Entered | LoginStatus;

/**
 * One iSCSI connection, and the session on it, without its socket: bytes in, commands to the device server, PDUs out (RFC 7143).
 * PDUs of one turn leave in one `send`. What may be under way is bounded by the command window, by R2Ts and by its limits.
 */
export class IscsiConnection implements Hearing, NexusListener, PhaseListener {
  /** What the initiator sent last had not arrived by then: whoever still sends has given nothing up (docs/decisions/0020). */
  arrivedAfterMs: number;
  readonly #context: TargetContext;
  readonly #output: IscsiOutput;
  readonly #reader = new PduReader(loginSegmentBytesMax);
  readonly #queue = new PduQueue();
  readonly #responder = new Responder(this.#queue, () => this.#replied());
  readonly #login: Login;
  readonly #share: Share;
  readonly #flushRun = (): void => this.#flush();
  readonly #wokenRun = (): void => this.#woken();
  #phase: Phase = 'login';
  #request: LoginRequest | undefined;
  #session: Entered | undefined;
  #loginTimer: Timer | undefined;
  #graceTimer: Timer | undefined;
  #isFlushDue = false;
  #isWakeDue = false;
  #isSaturated = false;
  #isPaused = false;
  #isStopping = false;
  #ended: Promise<void> | undefined;

  constructor(context: TargetContext, output: IscsiOutput) {
    this.#context = context;
    this.#output = output;
    this.arrivedAfterMs = context.clock.nowMs();
    // Not at once: whoever gave the memory back is in the midst of something.
    this.#share = new Share(context.budget, () => {
      if (this.#isWakeDue) return;
      this.#isWakeDue = true;
      context.clock.soon(this.#wokenRun);
    });
    const { hashes, random, sessions, directory } = context;
    const hasSession = (tsih: number): boolean => sessions.has(tsih);
    this.#login = new Login({ groupTag: directory.groupTag, hashes, random, hasSession });
  }

  /** The connection is open. Once, first. */
  start(): void {
    const { clock, limits } = this.#context;
    this.#loginTimer = clock.after(limits.loginMsMax, () => {
      if (this.#session === undefined) this.broken();
    });
  }

  /**
   * Bytes from the initiator. Views of `chunk` are kept: nobody may write to it again. `arrivedAfterMs`: by the clock, a moment at
   * which it had surely not arrived.
   */
  receive(chunk: Uint8Array, arrivedAfterMs: number = this.#context.clock.nowMs()): void {
    if (this.#phase === 'closed') return;
    this.arrivedAfterMs = arrivedAfterMs;
    this.#session?.full.heard();
    this.#reader.push(chunk);
    this.#advance();
  }

  /** The initiator sends nothing more: iSCSI knows no half-open connection. */
  inputEnded(): void {
    this.broken();
  }

  /** What `send` had refused to be calm about has left. */
  drained(): void {
    this.#isSaturated = false;
    this.#share.unsentBytes = 0;
    this.#session?.full.heard();
    if (this.#session !== undefined) this.#session.full.saturated = false;
    this.#advance();
  }

  /** The Corelet stops: initiators are asked to log out, and cut off when they don't in time. */
  stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    const { clock, limits } = this.#context;
    if (this.#session === undefined) {
      if (this.#phase === 'login' && this.#request === undefined) this.broken(); // hasn't said a word
      return;
    }
    this.#responder.asyncEvent(asyncEvents.logoutRequest, 0, 0, Math.max(1, Math.floor(limits.logoutGraceMs / 1000)));
    this.#graceTimer = clock.after(limits.logoutGraceMs, () => {
      if (this.#phase !== 'full') return;
      this.#responder.asyncEvent(asyncEvents.sessionDropped, this.#request?.connectionId ?? 0, 0, 0);
      this.#leave();
    });
  }

  /** The connection is gone. Nothing is called on `output` any more. */
  closed(): void {
    this.#phase = 'closed';
    this.#loginTimer?.cancel();
    this.#graceTimer?.cancel();
    this.#reader.clear();
    this.#queue.pieces.length = 0;
    this.#share.close();
    void this.#endSession();
  }

  // ---- what the session's parts tell -----------------------------------------------------------------------------------

  abortTasks(): Promise<void> {
    return this.#session?.full.abortTasks() ?? Promise.resolve();
  }

  loggedOut(): void {
    this.#leave();
  }

  broken(): void {
    if (this.#phase === 'closed') return;
    this.closed();
    this.#output.destroy();
  }

  coldReset(): void {
    const volume = this.#session?.identity.volume;
    if (volume === undefined) return;
    this.#send(); // the answer goes first
    for (const session of this.#context.sessions.of(volume)) void session.end();
  }

  // ---- reading ---------------------------------------------------------------------------------------------------------

  #advance(): void {
    try {
      while (this.#isReading()) {
        const pdu = this.#reader.next();
        if (pdu === undefined) break;
        if (this.#phase === 'full') this.#session?.full.receive(pdu);
        else this.#loginPdu(pdu);
      }
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      this.broken(); // out of step: there is nothing that the initiator would understand
      return;
    }
    this.#pace();
  }

  // A method, because the compiler doesn't know that a PDU may have changed the phase.
  #isReading(): boolean {
    if (this.#isSaturated) return false;
    return this.#phase === 'login' || (this.#phase === 'full' && this.#session?.full.isHoldingBack === false);
  }

  #pace(): void {
    if (this.#phase === 'closed') return;
    const { availableBytes } = this.#reader;
    this.#share.unreadBytes = availableBytes;
    const { inputBytesMax, floorBytes } = this.#context.limits;
    const pauses = availableBytes >= (this.#share.isOver ? floorBytes : inputBytesMax) && !this.#isReading();
    if (pauses === this.#isPaused) return;
    this.#isPaused = pauses;
    if (pauses) this.#output.pause();
    else this.#output.resume();
  }

  // ---- logging in ------------------------------------------------------------------------------------------------------

  #loginPdu(pdu: Pdu): void {
    if (opcodeOf(pdu.header, 0) !== initiatorOpcodes.loginRequest || pdu.fault !== 'none')
      return this.#refuse(loginStatuses.initiatorError);
    const request = loginRequest.decode(pdu.header, 0);
    const isFirst = this.#request === undefined;
    this.#request = request;
    if (isFirst) this.#responder.window = { expCmdSn: request.cmdSn, maxCmdSn: request.cmdSn };
    this.#effect(this.#login.receive(request, joined(pdu.data)));
  }

  #effect(effect: LoginEffect): void {
    switch (effect.kind) {
      case 'answer': {
        const { isid, taskTag } = this.#request as LoginRequest;
        this.#responder.login({ ...effect.answer, isid, taskTag, status: loginStatuses.success });
        return;
      }
      case 'lookUp':
        this.#phase = 'asking';
        void this.#known(
          () => this.#context.directory.access(effect.volume, effect.initiator),
          ({ kind }) => kind === 'retry',
        ).then((access) => {
          if (this.#phase !== 'asking') return;
          this.#phase = 'login';
          if (this.#isStopping) return this.#redirect();
          this.#effect(this.#login.granted(access));
          this.#advance();
        });
        return;
      case 'enter': {
        this.#phase = 'asking';
        const { identity, parameters } = effect;
        const entering = this.#context.sessions.replacing(identity, () => this.#enter(identity, parameters));
        void entering.then((entry) => this.#entered(entry, parameters));
        return;
      }
      case 'refuse':
        return this.#refuse(effect.status);
    }
  }

  /** Nobody else of this nexus is here: the session begins. */
  async #enter(identity: LoginIdentity, parameters: SessionParameters): Promise<Entry> {
    if (this.#phase !== 'asking') return loginStatuses.targetError;
    const { scsi, sessions, limits, clock, directory } = this.#context;
    const { initiator, isid, volume } = identity;
    let nexus: ScsiNexus | undefined;
    if (volume !== undefined) {
      const connected = await this.#known(
        () => scsi.connect(volume, { name: initiator, isid }, this),
        (answer) => answer === 'RETRYABLE',
      );
      if (connected === 'NOT_FOUND') return loginStatuses.notFound;
      if (connected === 'RETRYABLE') return loginStatuses.serviceUnavailable;
      nexus = connected;
    }
    const { cmdSn, connectionId } = this.#request as LoginRequest;
    const { localAddress } = this.#output;
    const tsih = this.#phase === 'asking' ? sessions.add(identity, this.#openSession(identity, parameters)) : undefined;
    if (tsih === undefined) {
      await nexus?.close();
      return loginStatuses.outOfResources;
    }
    const full = new FullFeature({
      nexus,
      parameters,
      firstCmdSn: cmdSn,
      connectionId,
      responder: this.#responder,
      limits,
      clock,
      hearing: this,
      share: this.#share,
      targets: (value) =>
        this.#known(
          () => targetsText(directory, { initiator, volume, localAddress }, value),
          (answer) => answer === 'retry',
        ),
      listener: this,
    });
    // From here on the session is there, whatever becomes of the connection meanwhile.
    this.#session = { identity, tsih, full };
    return this.#session;
  }

  #openSession(identity: LoginIdentity, parameters: SessionParameters): OpenSession {
    const { remoteAddress, localAddress } = this.#output;
    const sinceWallMs = this.#context.clock.wallMs();
    const commandCount = (): number => this.#session?.full.commandCount ?? 0;
    return {
      get info() {
        return { ...identity, remoteAddress, localAddress, parameters, sinceWallMs, commands: commandCount() };
      },
      end: () => {
        this.broken();
        return this.#endSession();
      },
    };
  }

  #entered(entry: Entry, parameters: SessionParameters): void {
    if (this.#phase !== 'asking') return;
    if (typeof entry === 'number') return this.#refuse(entry);
    this.#loginTimer?.cancel();
    const { isid, taskTag } = this.#request as LoginRequest;
    this.#responder.login({ ...this.#login.entered(entry.tsih), isid, taskTag, status: loginStatuses.success });
    this.#queue.headerDigest = parameters.headerDigest;
    this.#queue.dataDigest = parameters.dataDigest;
    this.#reader.headerDigest = parameters.headerDigest;
    this.#reader.dataDigest = parameters.dataDigest;
    this.#reader.dataBytesMax = dataSegmentBytesMax;
    this.#phase = 'full';
    if (this.#isStopping) {
      this.#isStopping = false;
      this.stop();
    }
    this.#advance();
  }

  /** Just after a start leaders may not be known here yet. */
  #known<Answer>(ask: () => Promise<Answer>, isNotNow: (answer: Answer) => boolean): Promise<Answer> {
    const { clock, limits } = this.#context;
    const isOver = (): boolean => this.#phase === 'closed' || this.#isStopping;
    return askAgain({ clock, limitMs: limits.openRetryMsMax, ask, isNotNow, isOver });
  }

  /** This Corelet stops: another one serves the volume as well. */
  #redirect(): void {
    const [other] = this.#context.directory.otherPortals();
    if (other === undefined) return this.#refuse(loginStatuses.serviceUnavailable);
    this.#refuse(loginStatuses.movedTemporarily, encodeText([['TargetAddress', other.address]]));
  }

  #refuse(status: LoginStatus, text: Uint8Array = new Uint8Array(0)): void {
    const request = this.#request;
    const { isid, taskTag, currentStage } = request ?? { isid: '000000000000', taskTag: 0, currentStage: 0 };
    const answer = { transit: false, continued: false, currentStage, nextStage: 0, tsih: 0, text };
    this.#responder.login({ ...answer, isid, taskTag, status });
    this.#leave();
  }

  // ---- writing, and the end --------------------------------------------------------------------------------------------

  #replied(): void {
    if (this.#isFlushDue || this.#phase === 'closed') return;
    this.#isFlushDue = true;
    this.#context.clock.soon(this.#flushRun);
  }

  #flush(): void {
    this.#isFlushDue = false;
    if (this.#phase === 'closed') return;
    this.#send();
    this.#advance();
  }

  #woken(): void {
    this.#isWakeDue = false;
    if (this.#phase === 'closed') return;
    this.#session?.full.resume();
    this.#advance();
  }

  #send(): void {
    const { pieces } = this.#queue;
    this.#queue.close();
    if (pieces.length === 0) return;
    const isCalm = this.#output.send(pieces);
    pieces.length = 0;
    this.#share.unsentBytes = this.#output.queuedBytes;
    if (isCalm || this.#isSaturated) return;
    this.#isSaturated = true;
    if (this.#session !== undefined) this.#session.full.saturated = true;
  }

  /** Closes in good order, after everything queued. */
  #leave(): void {
    if (this.#phase === 'closed') return;
    this.#send();
    this.closed();
    this.#output.end();
  }

  #endSession(): Promise<void> {
    this.#ended ??= this.#ending();
    return this.#ended;
  }

  async #ending(): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    await session.full.end();
    this.#context.sessions.remove(session.identity, session.tsih);
  }
}
