import { Reader, Writer } from '../base/bytes.ts';
import type { ArcId } from '../base/ids.ts';

/** The register that keeps what was lost over restarts and checkpoints; the store's own, told to no owner. */
export const lossRegister = '.loss';

/** Gaps of the log that are remembered one by one; one more is found again at each restart, until a checkpoint has passed it. */
const gapsMax = 64;
const registersMax = 4096;
const nameBytesMax = 1024;
const arcsMax = 65_536;

/** Batches that are lost, and the arcs of which nothing can be among them. */
export interface Gap {
  readonly fromSequence: number;
  readonly toSequence: number;
  readonly spared: ReadonlySet<ArcId>;
}

/** Records that were durable and can't be had any more: whose they may have been. */
export class Loss {
  readonly spared: ReadonlySet<ArcId>;
  /** Registers that were set behind all that was lost. */
  readonly registersSince: ReadonlySet<string>;

  constructor(spared: ReadonlySet<ArcId>, registersSince: ReadonlySet<string>) {
    this.spared = spared;
    this.registersSince = registersSince;
  }

  /** Whether records of the arc may be among them: a vote, an entry, its founding, its end. Also of arcs unknown here. */
  concerns(arc: ArcId): boolean {
    return !this.spared.has(arc);
  }

  /** Whether the register may have been set later than what a restart tells of it. */
  mayBeOlder(register: string): boolean {
    return !this.registersSince.has(register);
  }

  and(other: Loss): Loss {
    return new Loss(inBoth(this.spared, other.spared), inBoth(this.registersSince, other.registersSince));
  }
}

/**
 * What a device has lost and what its owner has not dealt with yet. In the log from the restart that found it on: neither
 * a checkpoint nor another restart makes it forgotten.
 */
export class LossBook {
  #gaps: Gap[] = [];
  #open: Loss | undefined;

  /** Undefined: the owner has dealt with all that was lost. */
  get loss(): Loss | undefined {
    return this.#open;
  }

  /** Found by an earlier restart, which began from a checkpoint as new as this one's: it is in `loss`, or was dealt with. */
  knows({ fromSequence, toSequence, spared }: Gap): boolean {
    const holds = (gap: Gap): boolean => gap.fromSequence <= fromSequence && toSequence <= gap.toSequence;
    return this.#gaps.some((gap) => holds(gap) && inBoth(gap.spared, spared).size === gap.spared.size);
  }

  add({ fromSequence, toSequence, spared }: Gap, registersSince: ReadonlySet<string>): void {
    const loss = new Loss(spared, registersSince);
    this.#open = this.#open === undefined ? loss : this.#open.and(loss);
    if (this.#gaps.length < gapsMax) this.#gaps.push({ fromSequence, toSequence, spared });
  }

  settle(): void {
    this.#open = undefined;
  }

  /** A restart doesn't read the log before `sequence` any more. */
  passed(sequence: number): void {
    this.#gaps = this.#gaps.filter(({ toSequence }) => toSequence >= sequence);
  }

  // u8 whether something is still to be dealt with, then whom it spares, and u32 registers, each its name ·
  // u32 gaps, each u64 first, u64 last sequence, whom it spares: u32 arcs, u32 each
  encode(): Uint8Array {
    const writer = new Writer();
    writer.boolean(this.#open !== undefined);
    if (this.#open !== undefined) {
      encodeArcs(writer, this.#open.spared);
      const names = [...this.#open.registersSince].slice(0, registersMax);
      writer.u32(names.length);
      for (const name of names) writer.text(name);
    }
    writer.u32(this.#gaps.length);
    for (const { fromSequence, toSequence, spared } of this.#gaps) {
      writer.u64(fromSequence);
      writer.u64(toSequence);
      encodeArcs(writer, spared);
    }
    return writer.copy();
  }

  /** `bytes`: as a restart told them; undefined: nothing was ever lost. @throws RemoteProtocolError */
  static decode(bytes: Uint8Array | undefined): LossBook {
    const book = new LossBook();
    if (bytes === undefined) return book;
    const reader = new Reader(bytes);
    if (reader.boolean()) {
      const spared = decodeArcs(reader);
      const names = new Set<string>();
      for (let left = reader.count(registersMax, 2); left > 0; left--) names.add(reader.text(nameBytesMax));
      book.#open = new Loss(spared, names);
    }
    for (let left = reader.count(gapsMax, 20); left > 0; left--) {
      book.#gaps.push({ fromSequence: reader.u64(), toSequence: reader.u64(), spared: decodeArcs(reader) });
    }
    reader.done();
    return book;
  }
}

function encodeArcs(writer: Writer, arcs: ReadonlySet<ArcId>): void {
  const some = [...arcs].slice(0, arcsMax);
  writer.u32(some.length);
  for (const arc of some) writer.u32(arc);
}

function decodeArcs(reader: Reader): ReadonlySet<ArcId> {
  const arcs = new Set<ArcId>();
  for (let left = reader.count(arcsMax, 4); left > 0; left--) arcs.add(reader.u32() as ArcId);
  return arcs;
}

function inBoth<Item>(some: ReadonlySet<Item>, others: ReadonlySet<Item>): ReadonlySet<Item> {
  return new Set([...some].filter((item) => others.has(item)));
}
