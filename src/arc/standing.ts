import type { LogIndex, Term } from '../base/ids.ts';
import type { MemberId } from '../consensus/types.ts';
import type { RaftWireMessage } from './raft-wire.ts';

/** What a member told this replica, as far as it must not be forgotten there. */
interface Told {
  /** The newest term in which it acknowledged, and the highest index that it then said to be durable. */
  term: Term;
  index: LogIndex;
  /** The newest term in which it gave its vote to this replica. */
  voteTerm: Term;
}

const nothing: Readonly<Told> = { term: 0, index: 0, voteTerm: 0 };
/** Members remembered: an arc has few at a time; more than that are forgotten, the longest known first. */
const membersMax = 64;

/** How the other members of an arc stand, beyond what consensus knows: what each was seen to tell, and whose life is over. */
export class Standing {
  readonly #told = new Map<MemberId, Told>();
  readonly #ended = new Set<MemberId>();

  /** Called for every message: remembers acknowledgements and votes (design §10.12). */
  heard(member: MemberId, message: RaftWireMessage): void {
    if (message.type === 'appendReply') {
      if (message.matched) this.#acknowledged(this.#of(member), message.term, message.index);
    } else if (message.type === 'voteReply' && message.granted && !message.pre) {
      const told = this.#of(member);
      told.voteTerm = Math.max(told.voteTerm, message.term);
    }
  }

  #acknowledged(told: Told, term: Term, index: LogIndex): void {
    if (term > told.term) {
      told.term = term;
      told.index = index;
    } else if (term === told.term && index > told.index) {
      told.index = index;
    }
  }

  #of(member: MemberId): Told {
    let told = this.#told.get(member);
    if (told === undefined) {
      if (this.#told.size >= membersMax) this.#told.delete(this.#told.keys().next().value as MemberId);
      told = { ...nothing };
      this.#told.set(member, told);
    }
    return told;
  }

  toldBy(member: MemberId): Readonly<Told> {
    return this.#told.get(member) ?? nothing;
  }

  /** Its Corelet said that this life is over: it never speaks again. False: known already. */
  end(member: MemberId): boolean {
    if (this.#ended.has(member)) return false;
    if (this.#ended.size >= membersMax) this.#ended.delete(this.#ended.values().next().value as MemberId);
    this.#ended.add(member);
    return true;
  }

  isEnded(member: MemberId): boolean {
    return this.#ended.size > 0 && this.#ended.has(member);
  }
}
