import { assert } from '../base/assert.ts';
import { blocksPerChunk, type CoreletId } from '../base/ids.ts';
import { memberIds } from '../consensus/quorum.ts';
import { placeOf } from '../ports/events.ts';
import { damagedPosition } from '../store/map-page.ts';
import type { ChunkKey, ChunkMap } from '../store/types.ts';
import type { QuarantineBlocks } from '../wire/peer/quarantine.ts';
import type { ChunkHoldings, Scrub, ScrubReply } from '../wire/peer/scrub.ts';
import { heldDigest } from './chunk-digest.ts';
import type { ReplicaContext } from './context.ts';
import { type MemberId, memberId, replicaOf } from './members.ts';
import type { Bad } from './mending.ts';
import type { Quarantine } from './quarantine.ts';
import type { Replica } from './replica.ts';

/** `same` · `mended`: it differed, and is the same now · `later`: it changed meanwhile, or nobody answered · `differs`: and stays so. */
export type Comparison = 'same' | 'mended' | 'later' | 'differs';

/** How long another voter may take: it may have blocks to fetch first. */
const answerMs = 2000;
/** Questions of others that are worked on at a time; more are answered `later`. */
const answersMax = 4;

/**
 * Scrubbing between replicas: a chunk's digests are compared at one applied index, and where they differ, of each block the
 * highest version wins whose content and address verify, not the majority: two may have lost the same write (design §10.8).
 * Two valid contents of one version prove nothing: nobody votes; the block goes into quarantine, on every member.
 */
export class Comparing {
  readonly #replica: Replica;
  readonly #context: ReplicaContext;
  readonly #asked = new Map<number, (reply: ScrubReply | undefined) => void>();
  #request = 0;
  #answering = 0;
  #stopped = false;

  constructor(replica: Replica, context: ReplicaContext) {
    this.#replica = replica;
    this.#context = context;
  }

  stop(): void {
    this.#stopped = true;
    for (const resolve of this.#asked.values()) resolve(undefined);
    this.#asked.clear();
  }

  /** Call on the leader, of a chunk whose blocks can all be read here. Never throws. */
  async compare(key: ChunkKey, member: MemberId): Promise<Comparison> {
    this.#tellQuarantined(key, [member]);
    const first = await this.#ask(key, member, false);
    if (first === undefined || first.code === 'later') return 'later';
    if (first.code === 'same') return 'same';
    this.#recordDiffering(key, member);
    if (first.holdings === undefined) return 'later';
    const whole = await this.#takeNewer(key, member, first.holdings);
    if (!whole) return 'later';
    const second = await this.#ask(key, member, true);
    this.#tellQuarantined(key, this.#others());
    if (second === undefined || second.code === 'later') return 'later';
    if (second.code === 'differs') return 'differs';
    this.#recordSameAgain(key, member);
    return 'mended';
  }

  /** A copy of the arc is whole: what may be given to nobody here may be given to nobody there. */
  tellAllQuarantined(member: MemberId): void {
    const chunks = new Map(this.#quarantined().map(({ key }) => [`${key.volume}/${key.layer}/${key.chunk}`, key]));
    for (const key of chunks.values()) this.#tellQuarantined(key, [member]);
  }

  /** Blocks in quarantine that were written anew or trimmed since, or whose volume is gone, leave it. */
  async settleQuarantine(): Promise<void> {
    const { arc } = this.#replica;
    for (const one of this.#quarantined()) {
      const page = await this.#page(one.key);
      const version = page?.versions[one.block] ?? 0;
      // Not applied here yet: it is told of a version that comes.
      if (this.#stopped || version === one.version || (page !== undefined && version < one.version)) continue;
      this.#context.quarantine.release(arc, one);
      this.#recordReleased(one.key, one.block);
    }
  }

  receive(from: CoreletId, message: Scrub | ScrubReply | QuarantineBlocks): void {
    if (message.type === 'scrub') void this.#answer(from, message);
    else if (message.type === 'quarantine') this.#take(from, message);
    else this.#asked.get(message.request)?.(message);
  }

  // ---- asking ----------------------------------------------------------------------------------------------------

  /** Undefined: no answer. */
  async #ask(key: ChunkKey, member: MemberId, tells: boolean): Promise<ScrubReply | undefined> {
    const { core } = this.#replica;
    const page = await this.#page(key);
    const index = core.appliedIndex;
    if (page === undefined || this.#stopped || page.positions.includes(damagedPosition)) return undefined;
    const to = replicaOf(member);
    const request = (this.#request = (this.#request + 1) >>> 0);
    return new Promise((resolve) => {
      const ended = (reply: ScrubReply | undefined) => {
        timer.cancel();
        this.#asked.delete(request);
        resolve(reply);
      };
      const timer = this.#context.clock.after(answerMs, () => ended(undefined));
      this.#asked.set(request, ended);
      const { volume, layer, chunk } = key;
      this.#replica.transmit(to.id, {
        type: 'scrub',
        arc: this.#replica.arc,
        fromGeneration: this.#replica.generation,
        toGeneration: to.generation,
        term: core.term,
        request,
        volume,
        layer,
        chunk,
        index,
        digest: heldDigest(page),
        holdings: tells ? holdingsOf(page) : undefined,
      });
    });
  }

  // ---- answering ---------------------------------------------------------------------------------------------------

  async #answer(from: CoreletId, ask: Scrub): Promise<void> {
    if (this.#answering >= answersMax) return this.#reply(from, ask, 'later', undefined);
    this.#answering += 1;
    try {
      const key = { volume: ask.volume, layer: ask.layer, chunk: ask.chunk };
      if (!this.#comparable(await this.#page(key), ask)) return this.#reply(from, ask, 'later', undefined);
      if (ask.holdings !== undefined) await this.#takeNewer(key, memberId(from, ask.fromGeneration), ask.holdings);
      const page = await this.#page(key);
      if (this.#stopped || !this.#comparable(page, ask)) return this.#reply(from, ask, 'later', undefined);
      const same = (page === undefined ? emptyDigest() : heldDigest(page)) === ask.digest;
      this.#reply(from, ask, same ? 'same' : 'differs', same ? undefined : holdingsOf(page ?? emptyPage(key)));
    } finally {
      this.#answering -= 1;
    }
  }

  /** Everything of the chunk up to that index is applied here, nothing newer, and what is in it is known. */
  #comparable(page: ChunkMap | undefined, { index }: Scrub): boolean {
    const { installed, complete, core } = this.#replica;
    if (!installed || !complete || core.appliedIndex < index) return false;
    return page === undefined || (page.newest <= index && !page.positions.includes(damagedPosition));
  }

  #reply(to: CoreletId, ask: Scrub, code: ScrubReply['code'], holdings: ChunkHoldings | undefined): void {
    const { arc, request, term } = ask;
    const between = { arc, fromGeneration: ask.toGeneration, toGeneration: ask.fromGeneration, term };
    this.#replica.transmit(to, { type: 'scrubReply', ...between, request, code, holdings });
  }

  // ---- making equal --------------------------------------------------------------------------------------------------

  /** Takes from another replica what is newer there, and applied here. False: not all of it could be had. */
  async #takeNewer(key: ChunkKey, member: MemberId, theirs: ChunkHoldings): Promise<boolean> {
    const { core, arc, mending } = this.#replica;
    const page = (await this.#page(key)) ?? emptyPage(key);
    const newer = (block: number, version: number): boolean =>
      version > (page.versions[block] as number) && version <= core.appliedIndex;
    const wanted = new Map<number, Bad>();
    for (const [i, block] of theirs.blocks.entries()) {
      const version = theirs.versions[i] as number;
      const crc = theirs.crcs[i] as number;
      if (newer(block, version)) wanted.set(block, { version, crc });
      const both = page.positions[block] !== 0 && page.versions[block] === version;
      if (both && page.crcs[block] !== crc && this.#context.quarantine.add(arc, key, block, version)) {
        this.#recordTwoContents(key, member, block);
      }
    }
    const empties = [...theirs.emptyBlocks.keys()].filter((i) =>
      newer(theirs.emptyBlocks[i] as number, theirs.emptyVersions[i] as number),
    );
    if (wanted.size + empties.length === 0) return true;
    const count = wanted.size + empties.length;
    if (empties.length > 0) {
      const none = { blocks: new Uint16Array(0), versions: new Float64Array(0), crcs: new Uint32Array(0) };
      const emptyBlocks = Uint16Array.from(empties, (i) => theirs.emptyBlocks[i] as number);
      const emptyVersions = Float64Array.from(empties, (i) => theirs.emptyVersions[i] as number);
      const record = { arc, key, ...none, emptyBlocks, emptyVersions };
      this.#context.store.appendApplied(arc, core.appliedIndex);
      this.#context.store.appendChunkCopy({ ...record, data: [] });
      this.#replica.takeBlocks({ ...record, position: undefined });
    }
    if (wanted.size > 0) await mending.bring(member, key, wanted);
    if (wanted.size < count) this.#recordTaken(key, member, count - wanted.size);
    return wanted.size === 0;
  }

  // ---- quarantine ----------------------------------------------------------------------------------------------------

  #quarantined(): ReturnType<Quarantine['of']> {
    return this.#context.quarantine.of(this.#replica.arc);
  }

  #others(): MemberId[] {
    const { core, member } = this.#replica;
    return memberIds(core.configuration).filter((other) => other !== member);
  }

  /** Whoever leads next gives them to nobody, either, though its own content be one of the two. */
  #tellQuarantined({ volume, layer, chunk }: ChunkKey, members: readonly MemberId[]): void {
    const held = this.#quarantined()
      .filter(({ key }) => key.volume === volume && key.layer === layer && key.chunk === chunk)
      .sort((a, b) => a.block - b.block);
    if (held.length === 0) return;
    for (const member of members) {
      const to = replicaOf(member);
      this.#replica.transmit(to.id, {
        type: 'quarantine',
        arc: this.#replica.arc,
        fromGeneration: this.#replica.generation,
        toGeneration: to.generation,
        term: this.#replica.core.term,
        volume,
        layer,
        chunk,
        blocks: Uint16Array.from(held, ({ block }) => block),
        versions: Float64Array.from(held, ({ version }) => version),
      });
    }
  }

  #take(from: CoreletId, { volume, layer, chunk, blocks, versions, fromGeneration }: QuarantineBlocks): void {
    const key = { volume, layer, chunk };
    for (const [i, block] of blocks.entries()) {
      if (!this.#context.quarantine.add(this.#replica.arc, key, block, versions[i] as number)) continue;
      this.#recordTold(key, memberId(from, fromGeneration), block);
    }
  }

  async #page(key: ChunkKey): Promise<ChunkMap | undefined> {
    const loaded = this.#replica.map.load(key);
    return loaded instanceof Promise ? await loaded : loaded;
  }

  // ---- what is told ------------------------------------------------------------------------------------------------

  #record(kind: string, key: ChunkKey, corelet: CoreletId, text: string, more: Record<string, number> = {}): void {
    const { arc } = this.#replica;
    const data = { volume: key.volume, chunk: key.chunk, ...more };
    this.#context.events.record({ kind, arc, corelet, text, data });
  }

  #recordDiffering(key: ChunkKey, member: MemberId): void {
    const { id } = replicaOf(member);
    const text = `Chunk ${key.chunk} of arc ${this.#replica.arc} differs in ${placeOf(id)} from its leader's, at the same applied index.`;
    this.#record('scrub.differs', key, id, text);
  }

  #recordSameAgain(key: ChunkKey, member: MemberId): void {
    const text = `Chunk ${key.chunk} of arc ${this.#replica.arc} is the same in ${placeOf(replicaOf(member).id)} and on its leader again: of each block the highest version counts.`;
    this.#record('scrub.same-again', key, replicaOf(member).id, text);
  }

  #recordTaken(key: ChunkKey, member: MemberId, blocks: number): void {
    const text = `${blocks} blocks of chunk ${key.chunk} of arc ${this.#replica.arc} were missing in ${placeOf(this.#context.self)}: taken from ${placeOf(replicaOf(member).id)}, checksums verified.`;
    this.#record('scrub.repaired', key, this.#context.self, text, { blocks });
  }

  /** Neither is proven wrong. */
  #recordTwoContents(key: ChunkKey, member: MemberId, block: number): void {
    const text = `${this.#blockOf(key, block)} has two valid contents of one version, in ${placeOf(this.#context.self)} and in ${placeOf(replicaOf(member).id)}: neither is proven wrong, neither is changed. Hosts that read it hear of an error until it is written anew.`;
    this.#record('scrub.two-contents', key, this.#context.self, text, { block });
  }

  #recordTold(key: ChunkKey, member: MemberId, block: number): void {
    const text = `${this.#blockOf(key, block)} has two valid contents of one version, says ${placeOf(replicaOf(member).id)}: ${placeOf(this.#context.self)} gives it to nobody, either.`;
    this.#record('scrub.quarantined', key, this.#context.self, text, { block });
  }

  #recordReleased(key: ChunkKey, block: number): void {
    const text = `${this.#blockOf(key, block)} was written anew or trimmed: its two contents are past, hosts read it again.`;
    this.#record('scrub.quarantine-ended', key, this.#context.self, text, { block });
  }

  #blockOf(key: ChunkKey, block: number): string {
    return `Block ${block} of chunk ${key.chunk} of arc ${this.#replica.arc}`;
  }
}

function holdingsOf(page: ChunkMap): ChunkHoldings {
  const held: number[] = [];
  const empty: number[] = [];
  for (let block = 0; block < blocksPerChunk; block++) {
    if (page.positions[block] !== 0) held.push(block);
    else if (page.versions[block] !== 0) empty.push(block);
  }
  assert(held.length + empty.length <= blocksPerChunk, 'each block once');
  return {
    blocks: Uint16Array.from(held),
    versions: Float64Array.from(held, (block) => page.versions[block] as number),
    crcs: Uint32Array.from(held, (block) => page.crcs[block] as number),
    emptyBlocks: Uint16Array.from(empty),
    emptyVersions: Float64Array.from(empty, (block) => page.versions[block] as number),
  };
}

function emptyPage(key: ChunkKey): ChunkMap {
  return {
    key,
    positions: new Float64Array(blocksPerChunk),
    versions: new Float64Array(blocksPerChunk),
    crcs: new Uint32Array(blocksPerChunk),
    newest: 0,
  };
}

function emptyDigest(): number {
  return heldDigest(emptyPage({ volume: 0 as ChunkKey['volume'], layer: 0, chunk: 0 }));
}
