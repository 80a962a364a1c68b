import { assert } from '../../base/assert.ts';
import type { ArcId, Generation, LogIndex, Term } from '../../base/ids.ts';
import type { Codec } from './codec.ts';
import { readArc } from './fields.ts';
import { peerLimits } from './limits.ts';

/** Of one replica of the Corelet that asks. */
export interface QuestionArc {
  readonly arc: ArcId;
  /** Of the replica that asks; of the life that it lost, where it begins a new one. */
  readonly generation: Generation;
  /** It may have forgotten what it told: it comes back under a new generation, and waits to be added. */
  readonly lost: boolean;
}

/** A Corelet that restarted asks, once for all arcs that it shares with the receiver: what did you see me tell? (design §10.12) */
export interface Question {
  readonly type: 'question';
  readonly arcs: readonly QuestionArc[];
}

/** What the answering Corelet saw of that replica since its own start. */
export interface AnswerArc {
  readonly arc: ArcId;
  readonly generation: Generation;
  /** The highest index that it acknowledged as durable, and the term in which it said so; zeros: none. */
  readonly term: Term;
  readonly index: LogIndex;
  /** The newest term in which it gave the answering replica its vote; 0: none. */
  readonly voteTerm: Term;
  /** The answering Corelet's own replica of this arc has begun a new life, too. */
  readonly lost: boolean;
}

export interface Answer {
  readonly type: 'answer';
  /** How far the asking Corelet's device was known to be durable before its present start; 0: not known. */
  readonly syncedSequence: number;
  readonly arcs: readonly AnswerArc[];
}

const questionArcBytes = 9;
const answerArcBytes = 33;

// arcs u32 · (arc u32 · generation u32 · lost boolean) × arcs
export const questionCodec: Codec<Question> = {
  encode(out, message) {
    assert(message.arcs.length <= peerLimits.arcsMax, 'more arcs than there can be');
    out.u32(message.arcs.length);
    for (const { arc, generation, lost } of message.arcs) {
      out.u32(arc);
      out.u32(generation);
      out.boolean(lost);
    }
  },
  decode(from) {
    const arcs: QuestionArc[] = [];
    for (let left = from.count(peerLimits.arcsMax, questionArcBytes); left > 0; left--) {
      arcs.push({ arc: readArc(from), generation: from.u32(), lost: from.boolean() });
    }
    return { type: 'question', arcs };
  },
};

// syncedSequence u64 · arcs u32 · (arc u32 · generation u32 · term u64 · index u64 · voteTerm u64 · lost boolean) × arcs
export const answerCodec: Codec<Answer> = {
  encode(out, message) {
    assert(message.arcs.length <= peerLimits.arcsMax, 'more arcs than there can be');
    out.u64(message.syncedSequence);
    out.u32(message.arcs.length);
    for (const { arc, generation, term, index, voteTerm, lost } of message.arcs) {
      out.u32(arc);
      out.u32(generation);
      out.u64(term);
      out.u64(index);
      out.u64(voteTerm);
      out.boolean(lost);
    }
  },
  decode(from) {
    const syncedSequence = from.u64();
    const arcs: AnswerArc[] = [];
    for (let left = from.count(peerLimits.arcsMax, answerArcBytes); left > 0; left--) {
      const arc = readArc(from);
      const generation = from.u32();
      const term = from.u64();
      const index = from.u64();
      arcs.push({ arc, generation, term, index, voteTerm: from.u64(), lost: from.boolean() });
    }
    return { type: 'answer', syncedSequence, arcs };
  },
};
