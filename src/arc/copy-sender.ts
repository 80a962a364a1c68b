import { blockBytes, chunkBytes, type LogIndex } from '../base/ids.ts';
import { isVoter } from '../consensus/quorum.ts';
import type { MemberId } from '../consensus/types.ts';
import { placeOf } from '../ports/events.ts';
import { damagedPosition } from '../store/map-page.ts';
import type { ChunkKey, ChunkMap } from '../store/types.ts';
import type { CopyCheck, CopyReply } from '../wire/peer/copy.ts';
import type { Replica as ReplicaName } from '../wire/peer/types.ts';
import type { ChunkBuffers } from './chunk-buffers.ts';
import { chunkDigest } from './chunk-digest.ts';
import type { ReplicaContext } from './context.ts';
import type { CopyPace } from './copy-pace.ts';
import { holdsMember, replicaOf } from './members.ts';
import { readTriesMax } from './mending.ts';
import type { Replica } from './replica.ts';
import { encodeSnapshot } from './snapshot.ts';
import { snapshotOf } from './store-owner.ts';

/** Chunks that a receiver with a base is asked about in one go. */
const checksAtOnce = 16;

/** A wait for the pace, at least, and at most: the pace may have changed meanwhile. */
const turnMsMin = 1;
const turnMsMax = 100;

const noBlocks: ReadonlySet<number> = new Set();

export interface CopyResult {
  readonly member: MemberId;
  readonly ok: boolean;
  readonly reason: string;
  readonly blocks: number;
  readonly durationMs: number;
}

/** What all copies that one Corelet sends have in common. */
export interface CopyMeans {
  readonly pace: CopyPace;
  readonly buffers: ChunkBuffers;
}

/**
 * Brings one follower to this leader's state: what differs by version, chunk by chunk, then everything else as of the
 * index where it began; the log's tail from there follows as ordinary appends. A block travels at the version that it has
 * when its chunk's turn comes, which may be newer than that index: replay over it changes nothing, since a block takes
 * only newer versions and entries are physical. Any party may die at any time: nothing counts until `done`.
 */
export class CopySender {
  readonly member: MemberId;
  readonly index: LogIndex;
  readonly #to: ReplicaName;
  readonly #replica: Replica;
  readonly #context: ReplicaContext;
  readonly #copy: number;
  readonly #state: Uint8Array;
  readonly #term: number;
  readonly #startedMs: number;
  readonly #onEnd: (result: CopyResult) => void;
  #heardMs: number;
  #sequence = 0;
  #storedSequence = 0;
  /** Chunks sent and not yet stored, oldest first. */
  #inflight: { readonly bytes: number; readonly buffer: Uint8Array }[] = [];
  #inflightBytes = 0;
  /** Of the newest chunk, as a guess at the next; of the first, at most what a chunk can have. */
  #lastBytes: number;
  #blocks = 0;
  #bytesLeft: number;
  #streaming = false;
  #finished = false;
  /** Chunks that the receiver was asked about and hasn't answered yet. */
  readonly #checks = new Map<number, (same: boolean) => void>();
  #check = 0;
  #ended = false;
  #wake: (() => void) | undefined;
  readonly #means: CopyMeans;
  /** Set by healing: one more loss, and the arc has no quorum. */
  endangered = true;

  constructor(
    replica: Replica,
    context: ReplicaContext,
    means: CopyMeans,
    member: MemberId,
    onEnd: (result: CopyResult) => void,
  ) {
    this.member = member;
    this.#means = means;
    this.#to = replicaOf(member);
    this.#replica = replica;
    this.#context = context;
    this.#onEnd = onEnd;
    this.#copy = context.random.u32();
    this.index = replica.core.appliedIndex;
    this.#state = encodeSnapshot({ ...snapshotOf(replica), completeIndex: this.index });
    this.#term = replica.core.term;
    this.#startedMs = context.clock.nowMs();
    this.#heardMs = this.#startedMs;
    this.#bytesLeft = replica.dataBytes;
    this.#lastBytes = Math.min(chunkBytes, replica.dataBytes);
    this.#send({
      type: 'copyOffer',
      index: this.index,
      bytes: replica.dataBytes,
      voter: isVoter(replica.core.configuration, member),
    });
  }

  get bytesLeft(): number {
    return Math.max(0, this.#bytesLeft);
  }

  receive(reply: CopyReply): void {
    if (this.#ended || reply.copy !== this.#copy) return;
    this.#heardMs = this.#context.clock.nowMs();
    if (reply.code === 'refused') this.#end(false, 'the receiver refused');
    else if (reply.code === 'full') this.#end(false, 'there is no room for it');
    else if (reply.code === 'done') this.#end(true, 'done');
    else if (reply.code === 'ready' && !this.#streaming) {
      this.#streaming = true;
      void this.#stream(reply.number);
    } else if (reply.code === 'base' && !this.#streaming) {
      this.#streaming = true;
      void this.#compareAndStream();
    } else if (reply.code === 'same' || reply.code === 'differs') {
      this.#checks.get(reply.number)?.(reply.code === 'same');
    } else if (reply.code === 'stored') {
      for (; this.#storedSequence < reply.number; this.#storedSequence++) {
        const stored = this.#inflight.shift();
        if (stored === undefined) break;
        this.#inflightBytes -= stored.bytes;
        this.#means.buffers.give(stored.buffer); // it lies on the other flash: nothing refers to it on the way any more
      }
      this.#wakeUp();
    }
  }

  /** Gives up when there is nothing to copy for any more, or the receiver is silent: the host begins anew. */
  tick(nowMs: number): void {
    const core = this.#replica.core;
    if (!this.#replica.isLeader || core.term !== this.#term) this.#end(false, 'leadership moved');
    else if (!holdsMember(core.configuration, this.member)) this.#end(false, 'no longer wanted');
    else if (this.#owesNothing) this.#heardMs = nowMs;
    else if (nowMs - this.#heardMs > this.#context.limits.copySilenceMs) this.#end(false, 'the receiver is silent');
  }

  /** All that was sent is answered: the next move is this side's. */
  get #owesNothing(): boolean {
    return this.#streaming && !this.#finished && this.#inflight.length === 0 && this.#checks.size === 0;
  }

  #end(ok: boolean, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#wakeUp();
    for (const settle of this.#checks.values()) settle(true);
    const durationMs = this.#context.clock.nowMs() - this.#startedMs;
    this.#onEnd({ member: this.member, ok, reason, blocks: this.#blocks, durationMs });
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #send(
    message:
      | Pick<CopyCheck, 'type' | 'check' | 'volume' | 'layer' | 'chunk' | 'digest'>
      | { type: 'copyOffer'; index: LogIndex; bytes: number; voter: boolean }
      | { type: 'copyFinish'; index: LogIndex; indexTerm: number; state: Uint8Array },
  ): void {
    const envelope = {
      arc: this.#replica.arc,
      fromGeneration: this.#replica.generation,
      toGeneration: this.#to.generation,
      term: this.#term,
      copy: this.#copy,
    };
    this.#context.send(this.#to.id, { ...envelope, ...message });
  }

  /** `base`: everything up to that index the receiver has applied already. */
  async #stream(base: LogIndex): Promise<void> {
    const { map } = this.#replica;
    for (const key of Array.from(map.keys())) {
      if (map.newestOf(key) > base && !(await this.#sendInTurn(key, base))) return;
    }
    await this.#finish();
  }

  /**
   * The receiver holds blocks of which nobody knows how far they go: it is asked about every chunk, and gets whole what
   * differs (design §10.6).
   */
  async #compareAndStream(): Promise<void> {
    const keys = Array.from(this.#replica.map.keys());
    for (let from = 0; from < keys.length && !this.#ended; from += checksAtOnce) {
      const some = keys.slice(from, from + checksAtOnce);
      const same = await Promise.all(some.map((key) => this.#isSame(key)));
      for (const [i, key] of some.entries()) {
        if (same[i] !== true && !(await this.#sendInTurn(key, 0))) return;
      }
    }
    await this.#finish();
  }

  async #isSame(key: ChunkKey): Promise<boolean> {
    const loaded = this.#replica.map.load(key);
    const page = loaded instanceof Promise ? await loaded : loaded;
    if (page === undefined || this.#ended) return true;
    if (page.positions.includes(damagedPosition)) return false;
    const check = ++this.#check;
    const digest = chunkDigest(page);
    const mapped = page.positions.reduce((count, position) => (position === 0 ? count : count + 1), 0);
    return new Promise((resolve) => {
      this.#checks.set(check, (same) => {
        this.#checks.delete(check);
        if (same) this.#bytesLeft -= mapped * blockBytes;
        resolve(same);
      });
      const { volume, layer, chunk } = page.key;
      this.#send({ type: 'copyCheck', check, volume, layer, chunk, digest });
    });
  }

  /** Waits until there is room on the way. False: the copy has ended. */
  async #sendInTurn(key: ChunkKey, base: LogIndex): Promise<boolean> {
    while (!this.#ended && this.#inflightBytes >= this.#context.limits.copyInflightBytesMax) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    await this.#turn();
    if (this.#ended) return false;
    if (await this.#sendChunk(key, base)) return true;
    this.#end(false, 'a block could not be read here');
    return false;
  }

  /** Waits until the pace of healing lets the next chunk go. */
  async #turn(): Promise<void> {
    const { clock } = this.#context;
    while (!this.#ended) {
      const delayMs = this.#means.pace.take(this.#lastBytes, this.endangered, clock.nowMs());
      if (delayMs === 0) return;
      await new Promise<void>((resolve) => {
        clock.after(Math.min(turnMsMax, Math.max(turnMsMin, delayMs)), resolve);
      });
    }
  }

  /** When everything is stored there: windows, epochs, keys and configuration, last and whole (design §10.4). */
  async #finish(): Promise<void> {
    while (!this.#ended && this.#storedSequence < this.#sequence) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#ended) return;
    const indexTerm = this.#replica.core.termAt(this.index);
    if (indexTerm === undefined) this.#end(false, 'the log grew too far meanwhile');
    else {
      this.#finished = true;
      this.#send({ type: 'copyFinish', index: this.index, indexTerm, state: this.#state });
    }
  }

  /** False: a block of it can't be had now. */
  async #sendChunk(key: ChunkKey, base: LogIndex): Promise<boolean> {
    let lost = noBlocks;
    for (let tries = 1; !this.#ended; tries++) {
      const loaded = this.#replica.map.load(key);
      // What a page says holds for this turn only: it is read from right away.
      const page = loaded instanceof Promise ? await loaded : loaded;
      if (this.#ended || page === undefined) return true;
      const bad = await this.#trySendChunk(page, base, lost);
      if (bad === undefined) return true;
      if (tries === readTriesMax) return false;
      const mended = await this.#replica.mending.mend(key, bad);
      if (mended === 'later') return false;
      lost = mended === 'lost' ? new Set(bad) : noBlocks;
    }
    return true;
  }

  /**
   * The blocks that can't be read here; undefined when all was sent. `lost`: no voter has those any more. They travel with their version and CRC and without what they held, so that they are as unreadable there as
   * here (INV-7), and the arc is whole in all others.
   */
  async #trySendChunk(
    page: ChunkMap,
    base: LogIndex,
    lost: ReadonlySet<number>,
  ): Promise<readonly number[] | undefined> {
    const blocks: number[] = [];
    const positions: number[] = [];
    const empty: number[] = [];
    for (let i = 0; i < page.versions.length; i++) {
      const position = page.positions[i] as number;
      // A damaged block has no version here: it may be newer than `base`. It can't be read, so it is mended first.
      if ((page.versions[i] as number) <= base && position !== damagedPosition) continue;
      if (position === 0) empty.push(i);
      else {
        blocks.push(i);
        positions.push(position);
      }
    }
    const versions = Float64Array.from(blocks, (block) => page.versions[block] as number);
    const crcs = Uint32Array.from(blocks, (block) => page.crcs[block] as number);
    const emptyVersions = Float64Array.from(empty, (block) => page.versions[block] as number);
    const buffer = this.#means.buffers.take();
    const data = buffer.subarray(0, blocks.length * blockBytes);
    const bad = await this.#context.store.readEach(positions, crcs, data);
    // Of a block whose version is lost as well, nobody can say what is missing.
    const hopeful = bad.some(({ block: i }) => !lost.has(blocks[i] as number) || positions[i] === damagedPosition);
    if (hopeful || this.#ended) {
      this.#means.buffers.give(buffer);
      return this.#ended ? undefined : bad.map(({ block: i }) => blocks[i] as number);
    }
    for (const { block: i } of bad) data.fill(0, i * blockBytes, (i + 1) * blockBytes);
    if (bad.length > 0) this.#recordLost(page.key, bad.length);
    const bytes = data.length + 16 * (blocks.length + empty.length);
    this.#lastBytes = bytes;
    this.#inflight.push({ bytes, buffer });
    this.#inflightBytes += bytes;
    this.#blocks += blocks.length;
    this.#bytesLeft -= data.length;
    this.#sequence += 1;
    this.#context.send(this.#to.id, {
      type: 'copyChunk',
      arc: this.#replica.arc,
      fromGeneration: this.#replica.generation,
      toGeneration: this.#to.generation,
      term: this.#term,
      copy: this.#copy,
      sequence: this.#sequence,
      ...page.key,
      blocks: Uint16Array.from(blocks),
      versions,
      crcs,
      emptyBlocks: Uint16Array.from(empty),
      emptyVersions,
      data: blocks.length > 0 ? [data] : [],
    });
    return undefined;
  }

  #recordLost(key: ChunkKey, count: number): void {
    const { arc } = this.#replica;
    const text = `${count} blocks of chunk ${key.chunk} of arc ${arc} can't be read on any copy: they are copied to ${placeOf(this.#to.id)} as unreadable.`;
    this.#context.events.record({ kind: 'arc.blocks-lost', arc, corelet: this.#to.id, text });
  }
}
