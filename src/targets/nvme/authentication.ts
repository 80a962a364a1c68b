import { utf8Bytes } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import type { KeyedHash, KeyExchange, KeyPair } from '../../ports/key-exchange.ts';
import type { Random } from '../../ports/random.ts';
import {
  authFailures,
  authHead,
  authMessages,
  authTypes,
  decodeNegotiate,
  decodeReply,
  encodeChallenge,
  encodeFailure1,
  encodeSuccess1,
  groupBits,
  hashBytes,
  hashIds,
  type Reply,
} from '../../wire/nvme/authentication.ts';

/** Secrets behind a volume: what a host proves, and what we prove to a host that asks. */
export interface HostSecrets {
  readonly host: Uint8Array;
  readonly controller: Uint8Array | undefined;
}

export interface AuthenticationOptions {
  readonly exchange: KeyExchange;
  readonly random: Random;
  readonly secrets: HostSecrets;
  readonly hostNqn: string;
  readonly subsystemNqn: string;
}

/** The group that costs least and is thought strong enough comes first: a stranger must not make a Corelet compute for long. */
const groupsWanted = [1, 2, 3, 0];
const hashesWanted: readonly KeyedHash[] = ['sha256', 'sha384', 'sha512'];

type Phase = 'negotiate' | 'challenge' | 'reply' | 'success1' | 'success2' | 'done' | 'failure' | 'failed';

/**
 * Our side of one DH-HMAC-CHAP conversation (base §8.13.5): messages in, messages to be fetched, one after the other. Anything out of turn
 * fails it; a failed one doesn't begin again.
 */
export class Authentication {
  readonly #options: AuthenticationOptions;
  #phase: Phase = 'negotiate';
  #transaction = 0;
  #hash: KeyedHash = 'sha256';
  #group = 0;
  #pair: KeyPair | undefined;
  #challenge = new Uint8Array(0);
  #sequence = 0;
  /** What the host is told next about itself: our proof, if it wanted one. */
  #proof: Uint8Array | undefined;
  #reason: number = authFailures.failed;

  constructor(options: AuthenticationOptions) {
    this.#options = options;
  }

  get isDone(): boolean {
    return this.#phase === 'done';
  }
  /** The host was told, or told us. */
  get isFailed(): boolean {
    return this.#phase === 'failed';
  }

  receive(bytes: Uint8Array): void {
    try {
      this.#receive(bytes);
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      this.#fail(authFailures.payload);
    }
  }

  #receive(bytes: Uint8Array): void {
    const { type, message, transaction } = authHead.decode(bytes);
    const isNegotiation = type === authTypes.common && message === authMessages.negotiate;
    if (this.#phase === 'negotiate' && isNegotiation) return this.#negotiate(bytes);
    if (transaction !== this.#transaction) return this.#fail(authFailures.message);
    if (message === authMessages.failure2) {
      this.#phase = 'failed';
      return;
    }
    if (type !== authTypes.dhChap) return this.#fail(authFailures.message);
    if (this.#phase === 'reply' && message === authMessages.reply) return this.#reply(bytes);
    if (this.#phase === 'success2' && message === authMessages.success2) {
      this.#phase = 'done';
      return;
    }
    this.#fail(authFailures.message);
  }

  #fail(reason: number): void {
    this.#reason = reason;
    this.#phase = 'failure';
  }

  #negotiate(bytes: Uint8Array): void {
    const { transaction, concatenates, hashes, groups } = decodeNegotiate(bytes);
    this.#transaction = transaction;
    if (concatenates) return this.#fail(authFailures.concatenation);
    if (hashes.length === 0) return this.#fail(authFailures.protocolNotUsable);
    const hash = hashesWanted.find((name) => hashes.includes(hashIds[name]));
    if (hash === undefined) return this.#fail(authFailures.hashNotUsable);
    const group = groupsWanted.find((id) => groups.includes(id));
    if (group === undefined) return this.#fail(authFailures.groupNotUsable);
    this.#hash = hash;
    this.#group = group;
    this.#phase = 'challenge';
  }

  /** What the host fetches. */
  next(): Uint8Array {
    const transaction = this.#transaction;
    switch (this.#phase) {
      case 'challenge':
        return this.#makeChallenge();
      case 'success1':
        this.#phase = this.#proof === undefined ? 'done' : 'success2';
        return encodeSuccess1(transaction, hashBytes[this.#hash], this.#proof);
      case 'failure':
        this.#phase = 'failed';
        return encodeFailure1(transaction, this.#reason);
      case 'negotiate':
      case 'reply':
      case 'success2':
      case 'done':
      case 'failed':
        this.#phase = 'failed';
        return encodeFailure1(transaction, authFailures.message);
    }
  }

  #makeChallenge(): Uint8Array {
    const { exchange, random } = this.#options;
    const bits = groupBits[this.#group] as number;
    this.#pair = bits === 0 ? undefined : exchange.pair(bits);
    this.#challenge = random.bytes(hashBytes[this.#hash]).slice();
    this.#sequence = random.u32() || 1;
    this.#phase = 'reply';
    return encodeChallenge({
      transaction: this.#transaction,
      hash: hashIds[this.#hash],
      group: this.#group,
      sequence: this.#sequence,
      value: this.#challenge,
      publicValue: this.#pair?.publicValue ?? new Uint8Array(0),
    });
  }

  #reply(bytes: Uint8Array): void {
    const { exchange, secrets, hostNqn, subsystemNqn } = this.#options;
    const reply = decodeReply(bytes, hashBytes[this.#hash]);
    const shared = this.#pair?.secretWith(reply.publicValue);
    if (this.#pair !== undefined && shared === undefined) return this.#fail(authFailures.payload);
    const keyHash = shared === undefined ? undefined : exchange.digest(this.#hash, [shared]);
    const wanted = this.#response(secrets.host, this.#challenge, this.#sequence, keyHash, [
      'HostHost',
      hostNqn,
      subsystemNqn,
    ]);
    if (!exchange.isEqual(wanted, reply.response)) return this.#fail(authFailures.failed);
    if (!this.#prove(reply, keyHash)) return this.#fail(authFailures.failed);
    this.#phase = 'success1';
  }

  /** False: a proof is wanted that we can't give, or that our own question would be answered with. */
  #prove({ challenge, sequence }: Reply, keyHash: Uint8Array | undefined): boolean {
    const { exchange, secrets, hostNqn, subsystemNqn } = this.#options;
    if (challenge === undefined) return true;
    if (secrets.controller === undefined || exchange.isEqual(challenge, this.#challenge)) return false;
    this.#proof = this.#response(secrets.controller, challenge, sequence, keyHash, [
      'Controller',
      subsystemNqn,
      hostNqn,
    ]);
    return true;
  }

  /** Base §8.13.5.3, §8.13.5.4: of the challenge, mixed with the shared key where there is one, and of who speaks to whom. */
  #response(
    secret: Uint8Array,
    challenge: Uint8Array,
    sequence: number,
    keyHash: Uint8Array | undefined,
    [role, speaker, listener]: readonly [string, string, string],
  ): Uint8Array {
    const { exchange } = this.#options;
    const hash = this.#hash;
    const key = transformed(exchange, secret, speaker);
    const mixed = keyHash === undefined ? challenge : exchange.hmac(hash, keyHash, [challenge]);
    const numbers = new Uint8Array(7);
    const view = new DataView(numbers.buffer);
    view.setUint32(0, sequence, true);
    view.setUint16(4, this.#transaction, true);
    return exchange.hmac(hash, key, [
      mixed,
      numbers,
      utf8Bytes(role + speaker),
      new Uint8Array(1),
      utf8Bytes(listener),
    ]);
  }
}

const textForm = /^DHHC-1:(0[0-3]):([A-Za-z0-9+/]+={0,2}):$/;
const transforms = [undefined, 'sha256', 'sha384', 'sha512'] as const;
const checkBytes = 4;

/** A secret as it is, or in the form that nvme-cli prints: then bound to the name of whoever proves it where it says so (base §8.13.5.8). */
function transformed(exchange: KeyExchange, secret: Uint8Array, speaker: string): Uint8Array {
  let text = '';
  for (const byte of secret) text += String.fromCharCode(byte);
  const match = textForm.exec(text);
  if (match === null) return secret;
  const key = fromBase64(match[2] as string);
  const bare = key.subarray(0, Math.max(0, key.length - checkBytes)); // without its CRC-32
  const hash = transforms[Number(match[1])];
  return hash === undefined ? bare : exchange.hmac(hash, bare, [utf8Bytes(`${speaker}NVMe-over-Fabrics`)]);
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function fromBase64(text: string): Uint8Array {
  const digits = text.replace(/=+$/, '');
  const bytes = new Uint8Array(Math.floor((digits.length * 6) / 8));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const digit of digits) {
    held = ((held << 6) | alphabet.indexOf(digit)) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = (held >>> bits) & 0xff;
  }
  return bytes;
}
