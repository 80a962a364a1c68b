import { assert } from '../base/assert.ts';
import { joined } from '../base/bytes.ts';
import { crc32c } from '../base/crc32c.ts';
import { blockBytes, blocksPerChunk, type CoreletId, type LogIndex, type Version } from '../base/ids.ts';
import { placeOf } from '../ports/events.ts';
import type { ChunkKey } from '../store/types.ts';
import type { Fetch, FetchReply } from '../wire/peer/fetch.ts';
import type { ReplicaContext } from './context.ts';
import { answerFetch, fetchBlocksMax } from './fetching.ts';
import { type MemberId, replicaOf } from './members.ts';
import type { Replica } from './replica.ts';
import { Told } from './told.ts';

/** `mended`: read again · `later`: a voter that may hold it didn't answer · `lost`: no voter can give it. */
export type MendResult = 'mended' | 'later' | 'lost';

/** Chunks of one arc that are mended at once; of more, the reader is told to come again. */
const mendsMax = 16;
/** How long one voter may take to give blocks. */
const fetchMs = 400;
/** So long a block that no live voter can give is hoped for from those that are away. */
const patienceMs = 10_000;
/** Reads of the same blocks, before and after they were mended. */
export const readTriesMax = 3;
/** Chunks whose map page is gone and that wait to be mended; of more, the next look tells again. */
const damagedMax = 1024;
const damagedAgainMs = 500;
/** Chunks remembered as hoped for; more than that are forgotten together. */
const hopesMax = 1024;

/** A block that can't be read here. Version 0: its map page is gone, too. */
export interface Bad {
  readonly version: Version;
  readonly crc: number;
}

/**
 * INV-7: a block that is corrupt or unreadable here is fetched from the other voters, at the version that the map has, and
 * stored anew. It is never taken for an empty or an older one. Bounded in tries, bytes and time.
 */
export class Mending {
  readonly #replica: Replica;
  readonly #context: ReplicaContext;
  readonly #running = new Map<string, Promise<MendResult>>();
  readonly #asked = new Map<number, (reply: FetchReply | undefined) => void>();
  /** Since when a chunk has blocks that no live voter could give. */
  readonly #hopedSinceMs = new Map<string, number>();
  readonly #toldBad = new Told();
  /** Chunks whose map page can't be read: what they hold is fetched, whether anybody reads it or not. */
  readonly #damaged = new Map<string, ChunkKey>();
  #mendsDamaged = false;
  /** Since the start. */
  mendedBlocks = 0;
  #request = 0;
  #stopped = false;

  constructor(replica: Replica, context: ReplicaContext) {
    this.#replica = replica;
    this.#context = context;
  }

  /**
   * Fills `into` with these blocks of a chunk, 4 KiB each, as the map has them now: zeros where nothing was written. What
   * can't be read here is mended first.
   */
  async read(key: ChunkKey, blocks: readonly number[], into: Uint8Array): Promise<'ok' | 'later' | 'lost'> {
    for (let tries = 1; ; tries++) {
      const loaded = this.#replica.map.load(key);
      const page = loaded instanceof Promise ? await loaded : loaded;
      if (this.#context.quarantine.holds(this.#replica.arc, page, blocks)) return 'lost';
      const positions = blocks.map((block) => page?.positions[block] ?? 0);
      const crcs = blocks.map((block) => page?.crcs[block] ?? 0);
      const read = await this.#context.store.readBlocks(positions, crcs, into);
      if (read.ok) return 'ok';
      const mended = await this.mend(key, blocks);
      if (mended === 'lost') return 'lost';
      if (mended === 'later' || tries === readTriesMax) return 'later';
    }
  }

  /** Of these blocks of a chunk one or more couldn't be read: brings back those that are bad. Never throws. */
  async mend(key: ChunkKey, blocks: readonly number[]): Promise<MendResult> {
    const name = nameOf(key);
    const running = this.#running.get(name);
    if (running !== undefined) {
      await running; // of other blocks, perhaps: what it came to tells nothing of these
      return 'later';
    }
    if (this.#running.size >= mendsMax) return 'later';
    const run = this.#mend(key, blocks, name);
    this.#running.set(name, run);
    try {
      return await run;
    } finally {
      this.#running.delete(name);
    }
  }

  /**
   * Reads every block of a chunk that holds something, into `room` (a chunk's bytes), and mends what is bad. `blocks`: how many
   * were read, `bad`: how many of them were bad. Never throws.
   */
  async verify(key: ChunkKey, room: Uint8Array): Promise<{ blocks: number; bad: number; result: MendResult }> {
    const loaded = this.#replica.map.load(key);
    const page = loaded instanceof Promise ? await loaded : loaded;
    if (page === undefined || this.#stopped) return { blocks: 0, bad: 0, result: 'mended' };
    const held: number[] = [];
    for (let block = 0; block < blocksPerChunk; block++) if (page.positions[block] !== 0) held.push(block);
    const positions = held.map((block) => page.positions[block] as number);
    const crcs = held.map((block) => page.crcs[block] as number);
    const bad = await this.#context.store.readEach(positions, crcs, room.subarray(0, held.length * blockBytes));
    if (bad.length === 0 || this.#stopped) return { blocks: held.length, bad: 0, result: 'mended' };
    const result = await this.mend(
      key,
      bad.map(({ block }) => held[block] as number),
    );
    return { blocks: held.length, bad: bad.length, result };
  }

  /**
   * Brings blocks that the map here doesn't have at these versions, though they are applied: from a replica that does. What
   * isn't brought stays in `wanted`.
   */
  async bring(member: MemberId, key: ChunkKey, wanted: Map<number, Bad>): Promise<void> {
    let floor = 0;
    for (const { version } of wanted.values()) floor = Math.max(floor, version);
    assert(floor <= this.#replica.core.appliedIndex, 'INV-6: only what is applied here can be missing here');
    await this.#fetchFrom(member, key, wanted, floor);
  }

  /** The replica is no more: nobody waits any longer. */
  stop(): void {
    this.#stopped = true;
    for (const resolve of this.#asked.values()) resolve(undefined);
    this.#asked.clear();
  }

  /** Of some chunks here nobody knows what they hold. */
  get isDamaged(): boolean {
    return this.#damaged.size > 0;
  }

  /** A chunk's map page can't be read. */
  damaged(key: ChunkKey): void {
    if (this.#stopped || this.#damaged.size >= damagedMax) return;
    this.#damaged.set(nameOf(key), key);
    if (this.#mendsDamaged) return;
    this.#mendsDamaged = true;
    this.#context.clock.soon(() => void this.#mendDamaged());
  }

  async #mendDamaged(): Promise<void> {
    for (const [name, key] of this.#damaged) {
      if (this.#stopped || !this.#replica.installed) break;
      if ((await this.mend(key, allBlocks)) === 'mended') this.#damaged.delete(name);
    }
    this.#mendsDamaged = this.#damaged.size > 0 && !this.#stopped;
    if (this.#mendsDamaged) this.#context.clock.after(damagedAgainMs, () => void this.#mendDamaged());
  }

  receive(from: CoreletId, message: Fetch | FetchReply): void {
    if (message.type === 'fetch') void answerFetch(this.#replica, this.#context, from, message);
    else this.#asked.get(message.request)?.(message);
  }

  async #mend(key: ChunkKey, blocks: readonly number[], name: string): Promise<MendResult> {
    const { bad, floor } = await this.#findBad(key, blocks);
    if (bad.size === 0) return 'mended';
    const wanted = bad.size;
    const numbers = [...bad.keys()].sort((a, b) => a - b);
    this.#recordBad(key, numbers);
    let allSaid = true;
    for (const member of this.#others()) {
      const said = this.#context.isAlive(replicaOf(member).id) && (await this.#fetchFrom(member, key, bad, floor));
      allSaid &&= said;
      if (bad.size === 0) {
        this.#hopedSinceMs.delete(name);
        this.#toldBad.forget(name);
        this.#recordMended(key, numbers, member);
        this.mendedBlocks += wanted;
        return 'mended';
      }
    }
    return allSaid || this.#hopedTooLong(name) ? 'lost' : 'later';
  }

  #others(): MemberId[] {
    const { voters, votersOutgoing } = this.#replica.core.configuration;
    return [...new Set([...voters, ...votersOutgoing])].filter((member) => member !== this.#replica.member);
  }

  #hopedTooLong(name: string): boolean {
    const now = this.#replica.now;
    const since = this.#hopedSinceMs.get(name) ?? now;
    if (this.#hopedSinceMs.size >= hopesMax) this.#hopedSinceMs.clear();
    this.#hopedSinceMs.set(name, since);
    return now - since > patienceMs;
  }

  /** Reads each block by itself: which are bad, as the map has them now. */
  async #findBad(key: ChunkKey, blocks: readonly number[]): Promise<{ bad: Map<number, Bad>; floor: LogIndex }> {
    const bad = new Map<number, Bad>();
    const loaded = this.#replica.map.load(key);
    const page = loaded instanceof Promise ? await loaded : loaded;
    if (page === undefined) return { bad, floor: 0 };
    let floor = 0;
    // All reads begin in the turn in which the page was looked up: what it says holds no longer.
    const reads = blocks.map(async (block) => {
      const crc = page.crcs[block] as number;
      const version = page.versions[block] as number;
      const read = await this.#context.store.readBlocks(
        [page.positions[block] as number],
        [crc],
        new Uint8Array(blockBytes),
      );
      if (read.ok) return;
      bad.set(block, { version, crc });
      floor = Math.max(floor, version === 0 ? page.newest : version);
    });
    await Promise.all(reads);
    return { bad, floor };
  }

  /** True when that voter said of all blocks whether it has them; those that it gave are taken off `bad`. */
  async #fetchFrom(member: MemberId, key: ChunkKey, bad: Map<number, Bad>, floor: LogIndex): Promise<boolean> {
    let said = true;
    const left = [...bad.keys()].sort((a, b) => a - b);
    while (left.length > 0) {
      const blocks = left.splice(0, fetchBlocksMax);
      const reply = await this.#ask(member, key, blocks, bad, floor);
      if (reply === undefined || reply.code === 'behind') said = false;
      else if (reply.code === 'ok' && !this.#take(member, key, bad, floor, reply)) said = false;
    }
    return said;
  }

  #ask(
    member: MemberId,
    key: ChunkKey,
    blocks: readonly number[],
    bad: ReadonlyMap<number, Bad>,
    floor: LogIndex,
  ): Promise<FetchReply | undefined> {
    const to = replicaOf(member);
    const request = (this.#request = (this.#request + 1) >>> 0);
    return new Promise((resolve) => {
      const ended = (reply: FetchReply | undefined) => {
        timer.cancel();
        this.#asked.delete(request);
        resolve(reply);
      };
      const timer = this.#context.clock.after(fetchMs, () => ended(undefined));
      this.#asked.set(request, ended);
      this.#replica.transmit(to.id, {
        type: 'fetch',
        arc: this.#replica.arc,
        fromGeneration: this.#replica.generation,
        toGeneration: to.generation,
        term: this.#replica.core.term,
        request,
        volume: key.volume,
        layer: key.layer,
        chunk: key.chunk,
        floor,
        blocks: Uint16Array.from(blocks),
        versions: Float64Array.from(blocks, (block) => bad.get(block)?.version ?? 0),
      });
    });
  }

  /** Stores what is verified and is what was wanted. False: there is no room for it now. */
  #take(member: MemberId, key: ChunkKey, bad: Map<number, Bad>, floor: LogIndex, reply: FetchReply): boolean {
    const data = joined(reply.data);
    const taken: number[] = [];
    for (const [i, block] of reply.blocks.entries()) {
      const bytes = data.subarray(i * blockBytes, (i + 1) * blockBytes);
      const crc = reply.crcs[i] as number;
      const wanted = bad.get(block);
      if (wanted === undefined || !isWanted(wanted, reply.versions[i] as number, floor)) continue;
      // INV-4: what a peer says is believed as little as what the flash says.
      if (crc32c(bytes) !== crc) continue;
      if (wanted.version !== 0 && crc !== wanted.crc) this.#recordDiffers(member, key, block);
      else taken.push(i);
    }
    const empty = [...reply.emptyBlocks.keys()].filter((i) => {
      const wanted = bad.get(reply.emptyBlocks[i] as number);
      return wanted?.version === 0 && (reply.emptyVersions[i] as number) <= floor;
    });
    if (taken.length + empty.length === 0) return true;
    const { store } = this.#context;
    const bytes = taken.length * blockBytes;
    if (store.roomFor(bytes, 'replacing') !== 'ok' && store.roomFor(bytes, 'accepted') !== 'ok') return false;
    const record = {
      arc: this.#replica.arc,
      key: { volume: key.volume, layer: key.layer, chunk: key.chunk },
      blocks: Uint16Array.from(taken, (i) => reply.blocks[i] as number),
      versions: Float64Array.from(taken, (i) => reply.versions[i] as number),
      crcs: Uint32Array.from(taken, (i) => reply.crcs[i] as number),
      emptyBlocks: Uint16Array.from(empty, (i) => reply.emptyBlocks[i] as number),
      emptyVersions: Float64Array.from(empty, (i) => reply.emptyVersions[i] as number),
    };
    // What these blocks belong to is applied here: a restart must not take them for ahead of its log.
    store.appendApplied(this.#replica.arc, this.#replica.core.appliedIndex);
    const pieces = taken.map((i) => data.subarray(i * blockBytes, (i + 1) * blockBytes));
    const position = store.appendChunkCopy({ ...record, data: pieces });
    if (position === undefined && taken.length > 0) return false;
    for (const [i, block] of record.blocks.entries()) {
      const wanted = bad.get(block);
      assert(
        wanted && isWanted(wanted, record.versions[i] as number, floor),
        'INV-7: mended with what was there, not older',
      );
    }
    this.#replica.takeBlocks({ ...record, position });
    for (const block of [...record.blocks, ...record.emptyBlocks]) bad.delete(block);
    return true;
  }

  // ---- what is told ------------------------------------------------------------------------------------------------

  #record(
    kind: string,
    corelet: CoreletId,
    text: string,
    data: Readonly<Record<string, number[] | number | string>>,
  ): void {
    this.#context.events.record({ kind, arc: this.#replica.arc, corelet, text, data });
  }

  #recordBad(key: ChunkKey, blocks: number[]): void {
    if (!this.#toldBad.isNews(nameOf(key), blocks.join(), this.#replica.now)) return;
    const text = `${namesOf(blocks)} of chunk ${key.chunk} of arc ${this.#replica.arc} can't be read on the flash in ${placeOf(this.#context.self)}.`;
    this.#record('flash.bad-block', this.#context.self, text, { volume: key.volume, chunk: key.chunk, blocks });
  }

  #recordMended(key: ChunkKey, blocks: number[], member: MemberId): void {
    const from = replicaOf(member).id;
    const text = `${namesOf(blocks)} of chunk ${key.chunk} of arc ${this.#replica.arc}: fetched from ${placeOf(from)}, checksums verified, stored anew in ${placeOf(this.#context.self)}.`;
    this.#record('flash.repaired', this.#context.self, text, { volume: key.volume, chunk: key.chunk, blocks, from });
  }

  /** Design §10.8: two valid blocks of one version. Neither is proven wrong: reported, and not used. */
  #recordDiffers(member: MemberId, key: ChunkKey, block: number): void {
    const text = `Block ${block} of chunk ${key.chunk} of arc ${this.#replica.arc} has another checksum in ${placeOf(replicaOf(member).id)}, at the same version: it was not used.`;
    this.#record('flash.copies-differ', replicaOf(member).id, text, { volume: key.volume, chunk: key.chunk, block });
  }
}

const allBlocks: readonly number[] = Array.from({ length: blocksPerChunk }, (_, block) => block);

/** Blocks named in one sentence. */
const namedMax = 8;

function namesOf(blocks: readonly number[]): string {
  if (blocks.length === 1) return `Block ${blocks[0]}`;
  const named = blocks.slice(0, namedMax).join(', ');
  return `${blocks.length} blocks (${named}${blocks.length > namedMax ? ', …' : ''})`;
}

function nameOf(key: ChunkKey): string {
  return `${key.volume}/${key.layer}/${key.chunk}`;
}

/** Of a block whose version isn't known here any more, any up to the newest of its chunk is the one that was there. */
function isWanted(wanted: Bad, version: Version, floor: LogIndex): boolean {
  return wanted.version === 0 ? version <= floor : version === wanted.version;
}
