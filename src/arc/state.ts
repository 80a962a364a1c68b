import { assert, unreachable } from '../base/assert.ts';
import { type Reader, utf8Bytes, type Writer } from '../base/bytes.ts';
import { crc32c } from '../base/crc32c.ts';
import type { LogIndex, VolumeId } from '../base/ids.ts';
import type { BlockRange } from '../store/types.ts';
import { peerLimits } from '../wire/peer/limits.ts';
import { type EpochAction, type ReplyCode, replyCodes } from '../wire/peer/types.ts';
import { type Command, keyTextMax, keyValueBytesMax, type OpId } from './command.ts';

/** What applying an entry came to. `version`: of a key, or the entry's index. */
export interface Outcome {
  readonly code: ReplyCode;
  readonly version: number;
}

/** Answers remembered per session until the gateway says that it needs them no more (design §10.9). */
interface Session {
  lowestOpen: number;
  lastUsed: LogIndex;
  readonly answers: Map<number, Outcome>;
}

export interface KeyValue {
  readonly version: number;
  readonly value: Uint8Array;
}

export const stateLimits = {
  /** Sessions an arc remembers; the one used longest ago (by log index, so on every replica the same) makes room. */
  sessionsMax: 1024,
  /** Operations of a session are numbered within this of its lowest open one; one beyond is refused, deterministically. */
  windowMax: peerLimits.sessionWindowMax,
  /** Answers remembered for all sessions together; for more, the session used longest ago makes room. */
  answersMax: 65_536,
  volumesMax: 65_536,
  /** Dropped volumes that an arc remembers; of more it forgets whose drop is longest ago. */
  droppedMax: 1024,
  keysMax: 65_536,
  /** Keys and values together, as encoded: with the rest, a whole state stays below what a copy may carry. */
  keysBytesMax: 4 * 1024 * 1024,
} as const;

const keyOverheadBytes = 14;

/** As encoded, a dropped volume has an epoch above all others: this and the index of its drop. Who knows only epochs refuses it as well. */
const droppedEpoch = 2 ** 52;

const applied = { code: 'ok', version: 0 } as const satisfies Outcome;

/**
 * Sessions, volume epochs and keys of one arc: everything a replica decides by when it applies an entry.
 * Deterministic: the same entries give the same decisions on every replica (INV-6). Blocks are in the store's map.
 */
export class ArcState {
  readonly sessions = new Map<number, Session>();
  /** Highest epoch seen per volume; a volume not listed is unknown here and refused. */
  readonly epochs = new Map<VolumeId, number>();
  /** Volumes whose end this arc has heard of, by the index of it, ascending: who still tells of their making comes too late. */
  readonly dropped = new Map<VolumeId, LogIndex>();
  readonly keys = new Map<string, KeyValue>();
  #answerCount = 0;
  #keysBytes = 0;

  /** The answer that this operation got when it was applied, if it was. */
  answerOf(session: number, number: number): Outcome | undefined {
    return this.sessions.get(session)?.answers.get(number);
  }

  /** Decides and takes effect on everything but blocks: `blocks` tells whether the caller shall now change the map. */
  apply(command: Command, range: BlockRange | undefined, index: LogIndex): { outcome: Outcome; blocks: boolean } {
    if (command.kind === 'noop' || command.kind === 'configuration') return { outcome: applied, blocks: false };
    if (command.kind === 'openSession') return { outcome: this.#open(command, index), blocks: false };
    const session = this.sessions.get(command.session);
    if (session === undefined) return { outcome: { code: 'noSession', version: 0 }, blocks: false };
    const before = this.#answeredBefore(session, command, index);
    if (before !== undefined) return { outcome: before, blocks: false };
    const outcome = this.#decide(command, range, index);
    // A fenced operation had no effect and can have none later: epochs only rise. It needs no memory.
    if (outcome.code !== 'fenced') this.#remember(session, command.number, outcome);
    return { outcome, blocks: outcome.code === 'ok' && (command.kind === 'write' || command.kind === 'zero') };
  }

  #open(op: OpId, index: LogIndex): Outcome {
    const known = this.sessions.get(op.session);
    if (known !== undefined) {
      known.lastUsed = index;
      return applied;
    }
    if (this.sessions.size >= stateLimits.sessionsMax) this.#forgetOldest(undefined);
    this.sessions.set(op.session, { lowestOpen: 1, lastUsed: index, answers: new Map() });
    return applied;
  }

  /** The session used longest ago, by log index: the same on every replica. */
  #forgetOldest(spared: Session | undefined): void {
    let oldest: number | undefined;
    let oldestUsed = Number.MAX_SAFE_INTEGER;
    for (const [id, session] of this.sessions) {
      if (session !== spared && session.lastUsed < oldestUsed) {
        oldest = id;
        oldestUsed = session.lastUsed;
      }
    }
    if (oldest === undefined) return;
    this.#answerCount -= this.sessions.get(oldest)?.answers.size ?? 0;
    this.sessions.delete(oldest);
  }

  #remember(session: Session, number: number, outcome: Outcome): void {
    assert(!session.answers.has(number), 'INV-5: an operation is applied at most once');
    session.answers.set(number, outcome);
    this.#answerCount += 1;
    if (this.#answerCount > stateLimits.answersMax) this.#forgetOldest(session);
  }

  #answeredBefore(session: Session, op: OpId, index: LogIndex): Outcome | undefined {
    session.lastUsed = index;
    if (op.lowestOpen > session.lowestOpen) {
      session.lowestOpen = op.lowestOpen;
      for (const number of session.answers.keys()) {
        if (number >= op.lowestOpen) break; // in order of application, so nearly sorted; stragglers go with the next call
        session.answers.delete(number);
        this.#answerCount -= 1;
      }
    }
    const answer = session.answers.get(op.number);
    if (answer !== undefined) return answer;
    // INV-5: a copy of an operation whose answer was taken and forgotten arrives late. It must do nothing.
    if (op.number < session.lowestOpen) return applied;
    // By number, not by count: the lowest open operation always has room, so that the window can move on.
    if (op.number >= session.lowestOpen + stateLimits.windowMax) return { code: 'windowFull', version: 0 };
    return undefined;
  }

  #decide(
    command: Exclude<Command, { kind: 'noop' | 'configuration' | 'openSession' }>,
    range: BlockRange | undefined,
    index: LogIndex,
  ): Outcome {
    switch (command.kind) {
      case 'write':
      case 'zero': {
        if (range === undefined || !this.#admit(range.volume, command.epoch)) return { code: 'fenced', version: 0 };
        return { code: 'ok', version: index };
      }
      case 'epoch':
        return this.#changeEpoch(command.volume, command.epoch, command.action, index);
      case 'key':
        return this.#setKey(command.key, command.expectedVersion, command.value, index);
      case 'cancel':
        return { code: 'cancelled', version: index };
      case 'miscompare':
        if (!this.#admit(command.volume, command.epoch)) return { code: 'fenced', version: 0 };
        return { code: 'miscompare', version: command.byteOffset };
      default:
        return unreachable(command);
    }
  }

  #changeEpoch(volume: VolumeId, epoch: number, action: EpochAction, index: LogIndex): Outcome {
    if (action === 'drop') {
      this.epochs.delete(volume);
      this.#rememberDropped(volume, index);
      return { code: 'ok', version: index };
    }
    const known = this.epochs.get(volume);
    // Dropped, or never made: a raise that comes late must not bring it back, nor the word of a maker that slept.
    if (known === undefined && (action === 'raise' || this.dropped.has(volume))) return { code: 'fenced', version: 0 };
    if (known === undefined && this.epochs.size >= stateLimits.volumesMax) return { code: 'full', version: 0 };
    if (known === undefined || epoch > known) this.epochs.set(volume, epoch);
    return { code: 'ok', version: index };
  }

  #rememberDropped(volume: VolumeId, index: LogIndex): void {
    this.dropped.delete(volume); // it goes to the end
    this.dropped.set(volume, index);
    if (this.dropped.size > stateLimits.droppedMax) this.dropped.delete(this.dropped.keys().next().value as VolumeId);
  }

  /** Whether data of that epoch may still come; where it does, no older may follow (design §10.14). */
  #admit(volume: VolumeId, epoch: number): boolean {
    const known = this.epochs.get(volume);
    if (known === undefined || epoch < known) return false;
    if (epoch > known) this.epochs.set(volume, epoch);
    return true;
  }

  #setKey(key: string, expectedVersion: number, value: Uint8Array, index: LogIndex): Outcome {
    const known = this.keys.get(key);
    const version = known?.version ?? 0;
    if (version !== expectedVersion) return { code: 'mismatch', version };
    const removed = known === undefined ? 0 : keyBytes(key, known.value);
    if (value.length === 0) {
      this.keys.delete(key);
      this.#keysBytes -= removed;
      return { code: 'ok', version: index };
    }
    const bytes = this.#keysBytes - removed + keyBytes(key, value);
    const tooMany = known === undefined && this.keys.size >= stateLimits.keysMax;
    if (tooMany || bytes > stateLimits.keysBytesMax) return { code: 'full', version: 0 };
    this.#keysBytes = bytes;
    this.keys.set(key, { version: index, value });
    return { code: 'ok', version: index };
  }

  // sessions: count u32, each id u64 · lowestOpen u64 · lastUsed u64 · answers u32 × (number u64 · code u8 · version u64)
  // epochs: count u32, each volume u64 · epoch u64, those of dropped volumes last, by index. keys: count u32, each key text · version u64 · value blob
  encode(writer: Writer): void {
    writer.u32(this.sessions.size);
    for (const [id, session] of this.sessions) {
      writer.u64(id);
      writer.u64(session.lowestOpen);
      writer.u64(session.lastUsed);
      writer.u32(session.answers.size);
      for (const [number, outcome] of session.answers) {
        writer.u64(number);
        writer.u8(replyCodes.indexOf(outcome.code));
        writer.u64(outcome.version);
      }
    }
    writer.u32(this.epochs.size + this.dropped.size);
    for (const [volume, epoch] of this.epochs) {
      writer.u64(volume);
      writer.u64(epoch);
    }
    for (const [volume, index] of this.dropped) {
      writer.u64(volume);
      writer.u64(droppedEpoch + index);
    }
    writer.u32(this.keys.size);
    for (const [key, entry] of this.keys) {
      writer.text(key);
      writer.u64(entry.version);
      writer.blob(entry.value);
    }
  }

  /** @throws RemoteProtocolError */
  static decode(reader: Reader): ArcState {
    const state = new ArcState();
    for (let left = reader.count(stateLimits.sessionsMax, 28); left > 0; left--) {
      const id = reader.u64();
      const session: Session = { lowestOpen: reader.u64(), lastUsed: reader.u64(), answers: new Map() };
      for (let answers = reader.count(2 * stateLimits.windowMax, 17); answers > 0; answers--) {
        const number = reader.u64();
        const code = replyCodes[reader.u8()] ?? 'ok';
        session.answers.set(number, { code, version: reader.u64() });
      }
      state.#answerCount += session.answers.size;
      state.sessions.set(id, session);
    }
    for (let left = reader.count(stateLimits.volumesMax + stateLimits.droppedMax, 16); left > 0; left--) {
      const volume = reader.u64() as VolumeId;
      const epoch = reader.u64();
      if (epoch < droppedEpoch) state.epochs.set(volume, epoch);
      else state.dropped.set(volume, epoch - droppedEpoch);
    }
    for (let left = reader.count(stateLimits.keysMax, 14); left > 0; left--) {
      const key = reader.text(keyTextMax);
      const version = reader.u64();
      const value = reader.blob(keyValueBytesMax).slice();
      state.keys.set(key, { version, value });
      state.#keysBytes += keyBytes(key, value);
    }
    return state;
  }

  /** Order of sessions and keys differs between a replica that replayed and one that was copied to: sorted first. */
  digest(seed: number): number {
    const lines: string[] = [];
    for (const [id, session] of this.sessions) {
      const answers = [...session.answers].map(([number, outcome]) => `${number}:${outcome.code}:${outcome.version}`);
      lines.push(`s${id} ${session.lowestOpen} ${session.lastUsed} ${answers.sort().join(',')}`);
    }
    for (const [volume, epoch] of this.epochs) lines.push(`e${volume} ${epoch}`);
    for (const [volume, index] of this.dropped) lines.push(`d${volume} ${index}`);
    for (const [key, entry] of this.keys) lines.push(`k${key} ${entry.version} ${crc32c(entry.value)}`);
    return crc32c(utf8Bytes(lines.sort().join('\n')), seed);
  }
}

function keyBytes(key: string, value: Uint8Array): number {
  return keyOverheadBytes + utf8Bytes(key).length + value.length;
}
