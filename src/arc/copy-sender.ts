import { blockBytes, type LogIndex } from '../base/ids.ts';
import { isVoter } from '../consensus/quorum.ts';
import type { MemberId } from '../consensus/types.ts';
import type { ChunkKey, ChunkMap } from '../store/types.ts';
import type { CopyReply, Replica as ReplicaName } from '../wire/peer/types.ts';
import type { ReplicaContext } from './context.ts';
import { holdsMember, replicaOf } from './members.ts';
import { readTriesMax } from './mending.ts';
import type { Replica } from './replica.ts';

export interface CopyResult {
  readonly member: MemberId;
  readonly ok: boolean;
  readonly reason: string;
  readonly blocks: number;
  readonly durationMs: number;
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
  /** Bytes of each chunk sent and not yet stored, oldest first. */
  #inflight: number[] = [];
  #inflightBytes = 0;
  #blocks = 0;
  #bytesLeft: number;
  #streaming = false;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(replica: Replica, context: ReplicaContext, member: MemberId, onEnd: (result: CopyResult) => void) {
    this.member = member;
    this.#to = replicaOf(member);
    this.#replica = replica;
    this.#context = context;
    this.#onEnd = onEnd;
    this.#copy = context.random.u32();
    this.index = replica.core.appliedIndex;
    this.#state = replica.snapshot('active');
    this.#term = replica.core.term;
    this.#startedMs = context.clock.nowMs();
    this.#heardMs = this.#startedMs;
    this.#bytesLeft = replica.dataBytes;
    this.#send({ type: 'copyOffer', index: this.index, voter: isVoter(replica.core.configuration, member) });
  }

  get bytesLeft(): number {
    return Math.max(0, this.#bytesLeft);
  }

  receive(reply: CopyReply): void {
    if (this.#ended || reply.copy !== this.#copy) return;
    this.#heardMs = this.#context.clock.nowMs();
    if (reply.code === 'refused') this.#end(false, 'the receiver refused');
    else if (reply.code === 'done') this.#end(true, 'done');
    else if (reply.code === 'ready' && !this.#streaming) {
      this.#streaming = true;
      void this.#stream(reply.number);
    } else if (reply.code === 'stored') {
      for (; this.#storedSequence < reply.number; this.#storedSequence++) {
        this.#inflightBytes -= this.#inflight.shift() ?? 0;
      }
      this.#wakeUp();
    }
  }

  /** Gives up when there is nothing to copy for any more, or the receiver is silent: the host begins anew. */
  tick(nowMs: number): void {
    const core = this.#replica.core;
    if (!this.#replica.isLeader || core.term !== this.#term) this.#end(false, 'leadership moved');
    else if (!holdsMember(core.configuration, this.member)) this.#end(false, 'no longer wanted');
    else if (nowMs - this.#heardMs > this.#context.limits.copySilenceMs) this.#end(false, 'the receiver is silent');
  }

  #end(ok: boolean, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#wakeUp();
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
      | { type: 'copyOffer'; index: LogIndex; voter: boolean }
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
    const keys: ChunkKey[] = [...map.keys()];
    for (const key of keys) {
      if (map.newestOf(key) <= base) continue;
      while (!this.#ended && this.#inflightBytes >= this.#context.limits.copyInflightBytesMax) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      if (this.#ended) return;
      if (!(await this.#sendChunk(key, base))) {
        this.#end(false, 'a block could not be read here');
        return;
      }
    }
    while (!this.#ended && this.#storedSequence < this.#sequence) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#ended) return;
    const indexTerm = this.#replica.core.termAt(this.index);
    if (indexTerm === undefined) this.#end(false, 'the log grew too far meanwhile');
    else this.#send({ type: 'copyFinish', index: this.index, indexTerm, state: this.#state });
  }

  /** False: a block of it can be had nowhere now. Never sends what isn't verified. */
  async #sendChunk(key: ChunkKey, base: LogIndex): Promise<boolean> {
    for (let tries = 1; !this.#ended; tries++) {
      const loaded = this.#replica.map.load(key);
      // What a page says holds for this turn only: it is read from right away.
      const page = loaded instanceof Promise ? await loaded : loaded;
      if (this.#ended || page === undefined) return true;
      const bad = await this.#trySendChunk(page, base);
      if (bad === undefined) return true;
      if ((await this.#replica.mending.mend(key, bad)) !== 'mended' || tries === readTriesMax) return false;
    }
    return true;
  }

  /** The blocks that were to be sent, where one of them can't be read; undefined when they were. */
  async #trySendChunk(page: ChunkMap, base: LogIndex): Promise<readonly number[] | undefined> {
    const blocks: number[] = [];
    const positions: number[] = [];
    const empty: number[] = [];
    for (let i = 0; i < page.versions.length; i++) {
      if ((page.versions[i] as number) <= base) continue;
      const position = page.positions[i] as number;
      if (position === 0) empty.push(i);
      else {
        blocks.push(i);
        positions.push(position);
      }
    }
    const versions = Float64Array.from(blocks, (block) => page.versions[block] as number);
    const crcs = Uint32Array.from(blocks, (block) => page.crcs[block] as number);
    const emptyVersions = Float64Array.from(empty, (block) => page.versions[block] as number);
    const data = new Uint8Array(blocks.length * blockBytes);
    const read = await this.#context.store.readBlocks(positions, crcs, data);
    if (!read.ok) return blocks;
    if (this.#ended) return undefined;
    const bytes = data.length + 16 * (blocks.length + empty.length);
    this.#inflight.push(bytes);
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
}
