import type { ReplicaInspection } from '../../corelet/types.ts';
import type { PeerMessage } from '../../wire/peer/types.ts';
import type { Violation } from './violation.ts';

const termsMax = 16; // newest terms of one voter; nobody votes in older ones

/** What one voter (Corelet, arc, generation) has said so far, over all its starts. */
interface Said {
  /** By term: for whom it voted. */
  readonly votes: Map<number, string>;
  /** Term and index of the last entry that it has called durable: what its log must never fall behind again. */
  ackedTerm: number;
  ackedIndex: number;
}

/**
 * Listens to what replicas say: one vote per term and voter, whatever crashes in between (INV-3); and who
 * votes has at least what it once acknowledged (INV-10): a log only ever grows newer, in (term, index) of its last entry.
 */
export class VoteWatch {
  readonly violations: Violation[] = [];
  readonly #said = new Map<string, Said>();

  /** `replica`: the sender's, of the message's arc. */
  sent(
    slot: number,
    from: string,
    to: string,
    message: PeerMessage,
    replica: () => ReplicaInspection | undefined,
    atMs: number,
  ): void {
    switch (message.type) {
      case 'vote':
        // Whoever asks for votes has given itself its own.
        if (!message.pre) this.#voted(slot, from, message, `${from}.${message.fromGeneration}`, replica(), atMs);
        return;
      case 'voteReply':
        if (message.granted && !message.pre)
          this.#voted(slot, from, message, `${to}.${message.toGeneration}`, replica(), atMs);
        return;
      case 'appendReply':
        if (message.matched) this.#acknowledged(from, message, replica());
        return;
      default:
    }
  }

  #of(from: string, arc: number, generation: number): Said {
    const key = `${from}.${generation}/${arc}`;
    let said = this.#said.get(key);
    if (said === undefined) {
      said = { votes: new Map(), ackedTerm: 0, ackedIndex: 0 };
      this.#said.set(key, said);
    }
    return said;
  }

  #acknowledged(
    from: string,
    message: { readonly arc: number; readonly fromGeneration: number; readonly index: number; readonly term: number },
    replica: ReplicaInspection | undefined,
  ): void {
    if (replica?.log === undefined || replica.generation !== message.fromGeneration || message.term < replica.term)
      return;
    const term = replica.log.termAt(message.index);
    if (term === undefined) return;
    const said = this.#of(from, message.arc, message.fromGeneration);
    if (term < said.ackedTerm || (term === said.ackedTerm && message.index <= said.ackedIndex)) return;
    said.ackedTerm = term;
    said.ackedIndex = message.index;
  }

  #voted(
    slot: number,
    from: string,
    message: { readonly arc: number; readonly fromGeneration: number; readonly term: number },
    candidate: string,
    replica: ReplicaInspection | undefined,
    atMs: number,
  ): void {
    const { arc, term } = message;
    const said = this.#of(from, arc, message.fromGeneration);
    const before = said.votes.get(term);
    const at = `${atMs.toFixed(3)} ms`;
    if (before === undefined) {
      said.votes.set(term, candidate);
      if (said.votes.size > termsMax) said.votes.delete(said.votes.keys().next().value as number);
    } else if (before !== candidate) {
      this.#report('INV-3', `arc ${arc}: slot ${slot} voted twice in term ${term}`, [
        `first for ${before}`,
        `${at}: for ${candidate}`,
      ]);
    }
    const { log } = replica ?? {};
    if (log === undefined || replica?.generation !== message.fromGeneration) return;
    const { lastTerm, lastIndex } = log;
    if (lastTerm > said.ackedTerm || (lastTerm === said.ackedTerm && lastIndex >= said.ackedIndex)) return;
    this.#report('INV-10', `arc ${arc}: slot ${slot} votes in term ${term}, but forgot what it acknowledged`, [
      `it acknowledged entry ${said.ackedIndex} of term ${said.ackedTerm}`,
      `${at}: its log ends at ${lastIndex} of term ${lastTerm}`,
    ]);
  }

  #report(invariant: string, summary: string, story: readonly string[]): void {
    if (this.violations.some((violation) => violation.summary === summary)) return;
    this.violations.push({ invariant, summary, story });
  }
}
