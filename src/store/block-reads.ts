import { assert } from '../base/assert.ts';
import { crc32c } from '../base/crc32c.ts';
import { blockBytes } from '../base/ids.ts';
import type { Flash } from '../ports/flash.ts';
import { damagedPosition } from './map-page.ts';
import { readPiece } from './medium.ts';
import type { Log } from './log.ts';
import type { BadBlock, BlockReadResult } from './types.ts';

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

  async readEach(
    positions: Float64Array | readonly number[],
    crcs: Uint32Array | readonly number[],
    into: Uint8Array,
  ): Promise<BadBlock[]> {
    const underWay = this.#underWay;
    underWay.begin();
    try {
      const bad = await this.#readAll(positions, crcs, into);
      this.badReads += bad.length;
      return bad;
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
    const damaged = positions.indexOf(damagedPosition);
    if (damaged >= 0) return this.#bad('CORRUPT', damaged);
    const bad = (await this.#readAll(positions, crcs, into))[0];
    return bad === undefined ? ok : this.#bad(bad.code, bad.block);
  }

  /** Every bad block, in order; all others are in `into`. */
  async #readAll(
    positions: Float64Array | readonly number[],
    crcs: Uint32Array | readonly number[],
    into: Uint8Array,
  ): Promise<BadBlock[]> {
    const count = positions.length;
    assert(crcs.length === count && into.length === count * blockBytes, 'a position, a CRC and room for every block');
    // The caller's arrays may be live map pages: what they say now is what this read is checked against.
    const wanted = Uint32Array.from(crcs);
    const found = new Uint8Array(count).fill(states.mapped);
    const runs: Promise<void>[] = [];
    for (let i = 0; i < count; ) {
      const position = positions[i] as number;
      const at = i * blockBytes;
      const isThere = position !== 0 && position !== damagedPosition;
      const pending = isThere ? this.#log.pendingAt(position) : undefined;
      let next = i + 1;
      if (position === 0) {
        into.fill(0, at, at + blockBytes);
        found[i] = states.empty;
      } else if (!isThere) {
        found[i] = states.damaged;
      } else if (pending !== undefined) {
        pending.copyBlock(position, into, at);
      } else {
        const end = Math.min(count, i + readBytesMax / blockBytes);
        while (next < end && positions[next] === position + (next - i) * blockBytes) {
          if (this.#log.pendingAt(positions[next] as number) !== undefined) break;
          next++;
        }
        runs.push(this.#readRun(position, into.subarray(at, next * blockBytes), found.subarray(i, next)));
      }
      i = next;
    }
    if (runs.length > 0) await Promise.all(runs);
    return badIn(into, wanted, found);
  }

  #bad(code: BadBlock['code'], block: number): BlockReadResult {
    this.badReads++;
    return { ok: false, code, block };
  }

  /** Marks in `found` the blocks that can't be read. */
  async #readRun(position: number, into: Uint8Array, found: Uint8Array): Promise<void> {
    if (await readPiece(this.#flash, position, into)) return;
    for (let at = 0; at < into.length; at += blockBytes) {
      const whole = await readPiece(this.#flash, position + at, into.subarray(at, at + blockBytes));
      if (!whole) found[at / blockBytes] = states.unreadable;
    }
  }
}

/** Of a block that was read. */
const states = { mapped: 0, empty: 1, damaged: 2, unreadable: 3 } as const;

function badIn(into: Uint8Array, crcs: Uint32Array, found: Uint8Array): BadBlock[] {
  const bad: BadBlock[] = [];
  for (let block = 0; block < found.length; block++) {
    const state = found[block];
    if (state === states.empty) continue;
    const bytes = into.subarray(block * blockBytes, (block + 1) * blockBytes);
    if (state === states.unreadable) bad.push({ code: 'UNREADABLE', block });
    else if (state === states.damaged || crc32c(bytes) !== crcs[block]) bad.push({ code: 'CORRUPT', block });
  }
  return bad;
}
