import { hexText, utf8Bytes } from '../../base/bytes.ts';
import type { Hashes, HashName } from '../../ports/hashes.ts';
import type { Random } from '../../ports/random.ts';
import type { ChapCredentials, ChapRules } from '../../volume/access.ts';
import { parseBinary, parseNumber, type TextPair } from '../../wire/iscsi/text.ts';

const algorithms: ReadonlyMap<string, HashName> = new Map([
  ['5', 'md5'],
  ['6', 'sha1'],
  ['7', 'sha256'],
  ['8', 'sha3-256'],
]);
const challengeBytes = 32;
/** RFC 7143 §12.1.3 */
const challengeBytesMax = 1024;
const responseBytesMax = 64;

export type ChapStep =
  | { readonly kind: 'answer'; readonly pairs: readonly TextPair[]; readonly isDone: boolean }
  /** The initiator said nothing of CHAP. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'failed' };

const failed: ChapStep = { kind: 'failed' };

/** The target's part of CHAP (RFC 1994, RFC 7143 §12.1.3): one challenge, one try, and its own proof where it is asked for one. */
export class Chap {
  readonly #rules: ChapRules;
  readonly #hashes: Hashes;
  readonly #identifier: number;
  readonly #challenge: Uint8Array;
  #algorithm: HashName | undefined;
  #isOver = false;

  constructor(rules: ChapRules, hashes: Hashes, random: Random) {
    this.#rules = rules;
    this.#hashes = hashes;
    this.#identifier = random.u32() & 0xff;
    this.#challenge = random.bytes(challengeBytes);
  }

  receive(text: ReadonlyMap<string, string>): ChapStep {
    if (this.#isOver) return failed;
    const offered = text.get('CHAP_A');
    if (this.#algorithm === undefined) return offered === undefined ? { kind: 'waiting' } : this.#offer(offered);
    if (offered !== undefined) return failed;
    this.#isOver = true;
    return this.#judge(this.#algorithm, text);
  }

  #offer(list: string): ChapStep {
    const chosen = list.split(',').find((number) => algorithms.has(number));
    this.#algorithm = chosen === undefined ? undefined : algorithms.get(chosen);
    if (chosen === undefined) return failed;
    const pairs: TextPair[] = [
      ['CHAP_A', chosen],
      ['CHAP_I', String(this.#identifier)],
      ['CHAP_C', `0x${hexText(this.#challenge)}`],
    ];
    return { kind: 'answer', pairs, isDone: false };
  }

  #judge(algorithm: HashName, text: ReadonlyMap<string, string>): ChapStep {
    const { initiator, target } = this.#rules;
    const name = text.get('CHAP_N');
    const response = parseBinary(text.get('CHAP_R') ?? '', responseBytesMax);
    if (name === undefined || response === undefined) return failed;
    const expected = this.#proof(algorithm, this.#identifier, initiator, this.#challenge);
    // Both are always compared: how long it takes tells nothing.
    const isName = equalBytes(utf8Bytes(name), utf8Bytes(initiator.name));
    const isResponse = equalBytes(response, expected);
    if (!isName || !isResponse) return failed;
    const challengeText = text.get('CHAP_C');
    const identifierText = text.get('CHAP_I');
    if (challengeText === undefined && identifierText === undefined) return { kind: 'answer', pairs: [], isDone: true };
    const challenge = parseBinary(challengeText ?? '', challengeBytesMax);
    const identifier = parseNumber(identifierText ?? '');
    if (target === undefined || challenge === undefined || identifier === undefined || identifier > 255) return failed;
    // Our own challenge, reflected, would have us prove what we asked to be proved (RFC 7143 §9.2.1).
    if (equalBytes(challenge, this.#challenge)) return failed;
    const proof = this.#proof(algorithm, identifier, target, challenge);
    const pairs: TextPair[] = [
      ['CHAP_N', target.name],
      ['CHAP_R', `0x${hexText(proof)}`],
    ];
    return { kind: 'answer', pairs, isDone: true };
  }

  #proof(algorithm: HashName, identifier: number, { secret }: ChapCredentials, challenge: Uint8Array): Uint8Array {
    return this.#hashes.digest(algorithm, [Uint8Array.of(identifier), secret, challenge]);
  }
}

/** In a time that tells only the lengths. */
function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number);
  return difference === 0;
}
