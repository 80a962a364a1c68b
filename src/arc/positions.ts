import { Reader, Writer } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { CoreletId } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Store } from '../store/store.ts';

export const positionsRegister = 'positions';
/** Of this device: a u64. */
const putBackRegister = 'put-back';
const positionsFormat = 1;
/** Corelets whose positions are remembered; of more, the one known longest is forgotten. */
const positionsMax = 4096;
/** Kept on the device at most so often: what was seen later is lost with the power of all. */
const keepEveryMs = 1000;

/** Of another device's log: durable up to there in the newest start known, and in those before. */
interface Position {
  incarnation: number;
  synced: number;
  before: number;
}

/**
 * How far the devices of others were seen to be durable (design §10.12): one that comes back with less was put back to an
 * earlier state. Kept on the device as well, whenever that writes anyway: else peers would keep one another writing.
 */
export class Positions {
  readonly #store: Pick<Store, 'setRegister' | 'syncedSequence'>;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #of = new Map<CoreletId, Position>();
  /** This device was put back from a position so far, and all that it had told by then is known to be over. */
  putBackFrom = 0;
  #changed = false;
  #keptMs = Number.NEGATIVE_INFINITY;
  /** The store's position when they were kept last: that itself takes a batch. */
  #keptAt = 0;

  /** `registers`: what the device kept. @throws RemoteProtocolError */
  constructor(
    store: Pick<Store, 'setRegister' | 'syncedSequence'>,
    clock: Pick<Clock, 'nowMs'>,
    registers: ReadonlyMap<string, Uint8Array>,
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#keptAt = store.syncedSequence;
    const putBack = registers.get(putBackRegister);
    if (putBack !== undefined) this.putBackFrom = new Reader(putBack).u64();
    const kept = registers.get(positionsRegister);
    if (kept !== undefined) for (const [id, position] of decodePositions(kept)) this.#of.set(id, position);
  }

  /** That start of a Corelet is there, and its device durable so far. */
  saw(id: CoreletId, incarnation: number, synced: number): void {
    const known = this.#of.get(id) ?? this.#first(id, incarnation);
    if (incarnation > known.incarnation) {
      known.before = Math.max(known.before, known.synced);
      known.incarnation = incarnation;
      known.synced = 0;
      this.#changed = true;
    }
    if (incarnation === known.incarnation && synced > known.synced) {
      known.synced = synced;
      this.#changed = true;
    }
    if (this.#changed) this.#keep();
  }

  /** How far its device was durable before its present start. */
  before(id: CoreletId): number {
    return this.#of.get(id)?.before ?? 0;
  }

  /** The lives that told something up to there have ended: goes into the log behind that. */
  endedUpTo(synced: number): void {
    this.putBackFrom = synced;
    const writer = new Writer(8);
    writer.u64(synced);
    this.#store.setRegister(putBackRegister, writer.copy());
  }

  #first(id: CoreletId, incarnation: number): Position {
    const oldest = this.#of.keys().next().value;
    if (this.#of.size >= positionsMax && oldest !== undefined) this.#of.delete(oldest);
    const position = { incarnation, synced: 0, before: 0 };
    this.#of.set(id, position);
    this.#changed = true;
    return position;
  }

  #keep(): void {
    const now = this.#clock.nowMs();
    if (now - this.#keptMs < keepEveryMs || this.#store.syncedSequence <= this.#keptAt + 1) return;
    this.#keptMs = now;
    this.#keptAt = this.#store.syncedSequence;
    this.#changed = false;
    this.#store.setRegister(positionsRegister, encodePositions(this.#of));
  }
}

// format u8 · count u32 × (id 16 · incarnation u64 · synced u64 · before u64)
function encodePositions(positions: ReadonlyMap<CoreletId, Position>): Uint8Array {
  const writer = new Writer(5 + 40 * positions.size);
  writer.u8(positionsFormat);
  writer.u32(positions.size);
  for (const [id, { incarnation, synced, before }] of positions) {
    writer.id(id);
    writer.u64(incarnation);
    writer.u64(synced);
    writer.u64(before);
  }
  return writer.copy();
}

/** @throws RemoteProtocolError */
function decodePositions(bytes: Uint8Array): Map<CoreletId, Position> {
  const reader = new Reader(bytes);
  const format = reader.u8();
  if (format !== positionsFormat) throw new RemoteProtocolError(`positions of format ${format}`);
  const positions = new Map<CoreletId, Position>();
  for (let left = reader.count(positionsMax, 40); left > 0; left--) {
    const id = reader.id() as CoreletId;
    positions.set(id, { incarnation: reader.u64(), synced: reader.u64(), before: reader.u64() });
  }
  return positions;
}

/** The newest start of each Corelet that the device knows of. @throws RemoteProtocolError */
export function startsKept(registers: ReadonlyMap<string, Uint8Array>): ReadonlyMap<CoreletId, number> {
  const kept = registers.get(positionsRegister);
  const starts = new Map<CoreletId, number>();
  for (const [id, { incarnation }] of kept === undefined ? [] : decodePositions(kept)) starts.set(id, incarnation);
  return starts;
}
