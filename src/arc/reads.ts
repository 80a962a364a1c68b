import type { CoreletId } from '../base/ids.ts';
import { blockBytes } from '../base/ids.ts';
import type { BlockRangeFields, KeyReply, KeyRequest, ReadReply, ReadRequest, ReplyCode } from '../wire/peer/types.ts';
import type { ReplicaContext } from './context.ts';
import { readTriesMax } from './mending.ts';
import type { Replica } from './replica.ts';

type Waiting = { readonly from: CoreletId; readonly request: ReadRequest | KeyRequest };

interface Held extends Pick<ReadReply, 'present' | 'crcs' | 'data'> {
  readonly bad: readonly number[] | undefined;
}

/** A block of the range may be given to nobody (design §10.8). */
const quarantined = 'quarantined';

/** Keys and values of one answer; a longer list is refused rather than cut. */
const keyReplyBytesMax = 4 * 1024 * 1024;

const none = new Uint8Array(0);
const noCrcs = new Uint32Array(0);

/** Linearizable reads: answered from applied state once the core has confirmed the leadership (read index). */
export class Reads {
  readonly #replica: Replica;
  readonly #context: ReplicaContext;
  readonly #waiting = new Map<number, Waiting>();
  #token = 0;

  constructor(replica: Replica, context: ReplicaContext) {
    this.#replica = replica;
    this.#context = context;
  }

  receive(from: CoreletId, request: ReadRequest | KeyRequest): void {
    const token = ++this.#token;
    const result = this.#replica.core.readIndex(token, this.#replica.now);
    if (!result.ok) {
      this.#refuse(from, request, result.code === 'BUSY' ? 'busy' : 'notLeader');
      return;
    }
    this.#replica.traffic.count(from);
    this.#waiting.set(token, { from, request });
    this.#replica.flush();
    if (this.#replica.core.leaseNeed(this.#replica.now) === 'ending') this.#context.leaseEnding();
  }

  /** Everything that was committed when the read arrived is applied: the state may speak. */
  ready(token: number): void {
    const waiting = this.#waiting.get(token);
    if (waiting === undefined) return;
    this.#waiting.delete(token);
    if (waiting.request.type === 'keyRead') this.#answerKeys(waiting.from, waiting.request);
    else void this.#answerBlocks(waiting.from, waiting.request);
  }

  refused(token: number): void {
    const waiting = this.#waiting.get(token);
    if (waiting === undefined) return;
    this.#waiting.delete(token);
    this.#refuse(waiting.from, waiting.request, 'notLeader');
  }

  #refuse(from: CoreletId, request: ReadRequest | KeyRequest, code: ReplyCode): void {
    const leader = code === 'notLeader' ? this.#replica.leaderCorelet : undefined;
    if (request.type === 'read') this.#context.send(from, readRefusal(request, code, leader));
    else this.#context.send(from, keyRefusal(request, code, leader));
  }

  async #answerBlocks(from: CoreletId, request: ReadRequest): Promise<void> {
    const { range } = request;
    const known = this.#replica.state.epochs.get(range.volume);
    if (known === undefined || request.epoch < known) {
      this.#refuse(from, request, 'fenced');
      return;
    }
    for (let tries = 1; ; tries++) {
      const held = await this.#held(range, request.mapOnly);
      if (held === quarantined) return this.#refuse(from, request, 'corrupt');
      if (held.bad === undefined) {
        const { present, crcs, data } = held;
        const { request: number } = request;
        this.#context.send(from, {
          type: 'readReply',
          request: number,
          code: 'ok',
          leader: undefined,
          present,
          crcs,
          data,
        });
        return;
      }
      // INV-7: never answered as if nothing were there. What has come in its place is looked up anew.
      const mended = await this.#replica.mending.mend(range, held.bad);
      if (mended !== 'mended' || tries === readTriesMax) {
        this.#refuse(from, request, mended === 'lost' ? 'corrupt' : 'busy');
        return;
      }
    }
  }

  /** The range as the map has it now; `bad`: the blocks that were to be read, where one of them can't be. */
  async #held(range: BlockRangeFields, mapOnly: boolean): Promise<Held | typeof quarantined> {
    const loaded = this.#replica.map.load(range);
    const page = loaded instanceof Promise ? await loaded : loaded;
    const present = new Uint8Array((range.blockCount + 7) >>> 3);
    const positions: number[] = [];
    const expected: number[] = [];
    if (page !== undefined) {
      for (let i = 0; i < range.blockCount; i++) {
        const position = page.positions[range.firstBlock + i] as number;
        if (position === 0) continue;
        present[i >>> 3] = (present[i >>> 3] as number) | (1 << (i & 7));
        positions.push(position);
        expected.push(page.crcs[range.firstBlock + i] as number);
      }
    }
    if (mapOnly || positions.length === 0) return { present, crcs: noCrcs, data: [], bad: undefined };
    if (this.#context.quarantine.holds(this.#replica.arc, page, blocksOf(range))) return quarantined;
    const into = new Uint8Array(positions.length * blockBytes);
    const crcs = Uint32Array.from(expected);
    const read = await this.#context.store.readBlocks(positions, crcs, into);
    if (read.ok) return { present, crcs, data: [into], bad: undefined };
    const bad: number[] = [];
    for (let i = 0; i < range.blockCount; i++) {
      if (((present[i >>> 3] as number) >>> (i & 7)) & 1) bad.push(range.firstBlock + i);
    }
    return { present, crcs, data: [], bad };
  }

  #answerKeys(from: CoreletId, request: KeyRequest): void {
    const entries: { key: string; version: number; value: Uint8Array }[] = [];
    let bytes = 0;
    for (const [key, entry] of this.#replica.state.keys) {
      const wanted = request.prefix ? key.startsWith(request.key) : key === request.key;
      if (!wanted) continue;
      entries.push({ key, version: entry.version, value: entry.value });
      bytes += key.length + entry.value.length;
    }
    if (bytes > keyReplyBytesMax) {
      this.#refuse(from, request, 'full');
      return;
    }
    this.#context.send(from, { type: 'keyReply', request: request.request, code: 'ok', leader: undefined, entries });
  }
}

export function readRefusal(request: ReadRequest, code: ReplyCode, leader: CoreletId | undefined): ReadReply {
  return { type: 'readReply', request: request.request, code, leader, present: none, crcs: noCrcs, data: [] };
}

export function keyRefusal(request: KeyRequest, code: ReplyCode, leader: CoreletId | undefined): KeyReply {
  return { type: 'keyReply', request: request.request, code, leader, entries: [] };
}

/** Nothing is made of them unless somebody looks. */
function* blocksOf({ firstBlock, blockCount }: BlockRangeFields): Iterable<number> {
  for (let block = firstBlock; block < firstBlock + blockCount; block++) yield block;
}
