import { assert } from '../base/assert.ts';
import { crc32c } from '../base/crc32c.ts';
import { blockBytes } from '../base/ids.ts';
import type { Flash } from '../ports/flash.ts';
import { damagedPosition } from './map-page.ts';
import { readPiece } from './medium.ts';
import type { Log } from './log.ts';
import type { BlockReadResult } from './types.ts';

const readBytesMax = 1024 * 1024;
const ok: BlockReadResult = { ok: true };

/** Reads that began in one stretch of time: whoever waits for their end needs no list of them. */
class ReadsUnderWay {
  #count = 0;
  #ended: (() => void) | undefined;

  begin(): void {
    this.#count++;
  }
  end(): void {
    if (--this.#count === 0) this.#ended?.();
  }
  /** None may begin any more. */
  ended(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#ended = resolve;
    });
  }
}

/** Reads of blocks: from memory while their batch isn't durable, else from the device, neighbours in one read; each is verified. */
export class BlockReads {
  readonly #flash: Flash;
  readonly #log: Log;
  /** Blocks that were corrupt or unreadable, since the start. */
  badReads = 0;
  #underWay = new ReadsUnderWay();
  readonly #older = new Set<Promise<void>>();

  constructor(flash: Flash, log: Log) {
    this.#flash = flash;
    this.#log = log;
  }

  async read(
    positions: Float64Array | readonly number[],
    crcs: Uint32Array | readonly number[],
    into: Uint8Array,
  ): Promise<BlockReadResult> {
    const underWay = this.#underWay;
    underWay.begin();
    try {
      if (positions.length !== 1) return await this.#read(positions, crcs, into);
      return await this.#readOne(positions[0] as number, crcs[0] as number, into);
    } finally {
      underWay.end();
    }
  }

  /** One page that checks itself. False where the medium can't be read. */
  async readPage(position: number, into: Uint8Array): Promise<boolean> {
    const pending = this.#log.pendingAt(position);
    if (pending !== undefined) {
      pending.copyBlock(position, into, 0);
      return true;
    }
    const underWay = this.#underWay;
    underWay.begin();
    try {
      return await readPiece(this.#flash, position, into);
    } finally {
      underWay.end();
    }
  }

  /** Resolves when every read that began before has ended: the places that they were told may then be used anew. */
  async ended(): Promise<void> {
    const ended = this.#underWay.ended();
    this.#underWay = new ReadsUnderWay();
    this.#older.add(ended);
    void ended.then(() => this.#older.delete(ended));
    await Promise.all(this.#older);
  }

  /** Most reads are of one block. */
  async #readOne(position: number, crc: number, into: Uint8Array): Promise<BlockReadResult> {
    assert(into.length === blockBytes, 'room for the block');
    if (position === 0) {
      into.fill(0);
      return ok;
    }
    if (position === damagedPosition) return this.#bad('CORRUPT', 0);
    const pending = this.#log.pendingAt(position);
    if (pending !== undefined) pending.copyBlock(position, into, 0);
    else if (!(await readPiece(this.#flash, position, into))) return this.#bad('UNREADABLE', 0);
    return crc32c(into) === crc ? ok : this.#bad('CORRUPT', 0);
  }

  async #read(
    positions: Float64Array | readonly number[],
    crcs: Uint32Array | readonly number[],
    into: Uint8Array,
  ): Promise<BlockReadResult> {
    const count = positions.length;
    assert(crcs.length === count && into.length === count * blockBytes, 'a position, a CRC and room for every block');
    // The caller's arrays may be live map pages: what they say now is what this read is checked against.
    const wanted = Uint32Array.from(crcs);
    const damaged = positions.indexOf(damagedPosition);
    if (damaged >= 0) return this.#bad('CORRUPT', damaged);
    const mapped = new Uint8Array(count);
    const runs: Promise<number | undefined>[] = [];
    for (let i = 0; i < count; ) {
      const position = positions[i] as number;
      const at = i * blockBytes;
      const pending = position === 0 ? undefined : this.#log.pendingAt(position);
      let next = i + 1;
      if (position === 0) {
        into.fill(0, at, at + blockBytes);
      } else if (pending !== undefined) {
        pending.copyBlock(position, into, at);
        mapped[i] = 1;
      } else {
        const end = Math.min(count, i + readBytesMax / blockBytes);
        while (next < end && positions[next] === position + (next - i) * blockBytes) {
          if (this.#log.pendingAt(positions[next] as number) !== undefined) break;
          next++;
        }
        mapped.fill(1, i, next);
        runs.push(this.#readRun(position, into.subarray(at, next * blockBytes), i));
      }
      i = next;
    }
    const unreadable = runs.length === 0 ? undefined : firstOf(await Promise.all(runs));
    const corrupt = firstCorrupt(into, wanted, mapped, unreadable ?? count);
    if (corrupt !== undefined) return this.#bad('CORRUPT', corrupt);
    return unreadable === undefined ? ok : this.#bad('UNREADABLE', unreadable);
  }

  #bad(code: 'CORRUPT' | 'UNREADABLE', block: number): BlockReadResult {
    this.badReads++;
    return { ok: false, code, block };
  }

  /** The first block that can't be read, if any. `first`: number of the run's first block. */
  async #readRun(position: number, into: Uint8Array, first: number): Promise<number | undefined> {
    if (await readPiece(this.#flash, position, into)) return undefined;
    for (let at = 0; at < into.length; at += blockBytes) {
      const whole = await readPiece(this.#flash, position + at, into.subarray(at, at + blockBytes));
      if (!whole) return first + at / blockBytes;
    }
    return undefined;
  }
}

function firstOf(blocks: readonly (number | undefined)[]): number | undefined {
  return blocks.find((block) => block !== undefined);
}

function firstCorrupt(into: Uint8Array, crcs: Uint32Array, mapped: Uint8Array, end: number): number | undefined {
  for (let i = 0; i < end; i++) {
    if (mapped[i] === 1 && crc32c(into.subarray(i * blockBytes, (i + 1) * blockBytes)) !== crcs[i]) return i;
  }
  return undefined;
}
