import { assert } from '../../base/assert.ts';
import { blockBytes, blocksPerChunk, type VolumeId } from '../../base/ids.ts';
import type { Prng } from '../../base/prng.ts';
import type { BlockRange, StoredEntry } from '../../store/types.ts';
import { isFilled } from './content.ts';
import { sectorsOf } from './device.ts';
import { mendBlocks, rotBlocks } from './mending.ts';
import type { Prospect, StoreModel } from './model.ts';
import { lastIndex } from './replica.ts';
import type { StoreRig } from './rig.ts';
import { churningWeights, type Operation, pick, rottingWeights, weights } from './operations.ts';
import { randomFates } from './subsets.ts';
import { blockName, chunkName } from './witness.ts';

const takingAway: readonly Operation[] = ['trim', 'drop', 'rebirth', 'restart', 'doom'];
const fillingEvery = 400;
const fillingOperations = 120;
const chunksPerVolume = 8;
const registerNames = ['incarnation', 'view', 'ballot'];
const pinnedMax = 2;
/** Waiting for room, 1 ms each time: beyond it somebody waits for ever. */
const waitsMax = 20_000;

export interface WorkloadOptions {
  readonly arcs: number;
  /** Restarts and crashes are part of it. */
  readonly ends: boolean;
  /** The device rots. */
  readonly rots?: boolean;
  /** So many chunks are written once, at first; then what is written goes into few others, over and over. */
  readonly coldChunks?: number;
}

/** Does to a store all that a Corelet does, at random: the same seed does the same. */
export class StoreWorkload {
  readonly done: Partial<Record<Operation, number>> = {};
  /** How often new data was refused because the device was full. */
  full = 0;
  /** Blocks that were written over on a full device, and how often even that was refused. */
  replacedWhenFull = 0;
  refusedReplacements = 0;
  readonly #rig: StoreRig;
  readonly #random: Prng;
  readonly #arcs: number;
  /** Restarts and crashes are part of it. */
  readonly #ends: boolean;
  readonly #coldChunks: number;
  readonly #weights: Readonly<Record<Operation, number>>;
  /** Blocks that rotted and were mended. */
  mended = 0;
  #failure: Error | undefined;

  constructor(rig: StoreRig, random: Prng, options: WorkloadOptions) {
    this.#rig = rig;
    this.#random = random;
    this.#arcs = options.arcs;
    this.#ends = options.ends;
    this.#coldChunks = options.coldChunks ?? 0;
    this.#weights = options.rots === true ? rottingWeights : this.#coldChunks > 0 ? churningWeights : weights;
  }

  get #model(): StoreModel {
    return this.#rig.model;
  }

  async run(count: number): Promise<void> {
    for (let i = 0; i < this.#coldChunks; i++) await this.#writeCold(i);
    for (let i = 0; i < count; i++) {
      const operation = this.#next(i);
      this.done[operation] = (this.done[operation] ?? 0) + 1;
      await this.#do(operation);
      this.#rig.check();
      if (this.#failure !== undefined) throw this.#failure;
      const then = this.#random.fraction();
      if (then < 0.3) await this.#model.synced();
      else if (then < 0.65) await this.#rig.pause(this.#random.between(0, 1.5));
    }
    await this.#model.synced();
    this.#rig.check();
  }

  async #writeCold(number: number): Promise<void> {
    const arc = number % this.#arcs;
    if (!(await this.#room(blocksPerChunk * blockBytes))) throw new Error('the cold chunks fill the device');
    const chunk = chunksPerVolume + number;
    const volume = this.#model.replica(arc).volumes[0] as VolumeId;
    this.#model.write(arc, { volume, layer: 0, chunk, firstBlock: 0, blockCount: blocksPerChunk }, 'commits');
    await this.#model.synced();
  }

  /** From time to time nothing is taken away, until the device is full. */
  #next(number: number): Operation {
    const operation = pick(this.#random, this.#weights);
    if (number % fillingEvery < fillingEvery - fillingOperations || !takingAway.includes(operation)) return operation;
    return 'largeWrite';
  }

  #do(operation: Operation): Promise<void> {
    const arc = this.#random.below(this.#arcs);
    switch (operation) {
      case 'write':
        return this.#write(arc, 1 + this.#random.below(8), 'commits');
      case 'largeWrite':
        return this.#write(arc, this.#random.chance(0.7) ? blocksPerChunk : 64, 'commits');
      case 'lag':
        return this.#write(arc, 1 + this.#random.below(4), 'lags');
      case 'trim':
        return this.#trim(arc);
      case 'doom':
        return this.#doom(arc);
      case 'drop':
        return this.#drop(arc);
      case 'rebirth':
        return this.#rebirth(arc);
      case 'catchUp':
        return this.#catchUp(arc);
      case 'restart':
        return this.#restart();
      case 'crash':
        return this.#crash();
      case 'rot':
        return this.#rot();
      case 'mend':
        return this.#mend(arc);
      case 'noop':
      case 'vote':
      case 'register':
      case 'checkpoint':
      case 'read':
      case 'pin':
        return this.#small(operation, arc);
    }
  }

  async #small(operation: 'noop' | 'vote' | 'register' | 'checkpoint' | 'read' | 'pin', arc: number): Promise<void> {
    switch (operation) {
      case 'noop':
        await this.#ready(arc);
        return this.#model.noop(arc, 'commits');
      case 'vote':
        await this.#ready(arc);
        return this.#model.vote(arc);
      case 'register':
        return this.#model.register(registerNames[this.#random.below(registerNames.length)] as string);
      case 'checkpoint': {
        const pass = this.#model.store.checkpoint();
        if (this.#random.chance(0.3)) await pass;
        else this.#aside(pass);
        return;
      }
      case 'read':
        this.#aside(this.#read(this.#model, arc));
        return;
      case 'pin':
        return this.#pin(arc);
    }
  }

  /** Goes on while other things are done; what goes wrong is told then. */
  #aside(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
    });
  }

  // ---- entries --------------------------------------------------------------------------------------------------------

  #volume(arc: number): VolumeId {
    const { volumes } = this.#model.replica(arc);
    return volumes[this.#random.below(volumes.length)] as VolumeId;
  }

  /** A few chunks get most of what comes. */
  #range(arc: number, blockCount: number): BlockRange {
    const random = this.#random;
    const chunk = random.chance(0.5) || this.#coldChunks > 0 ? 0 : random.below(chunksPerVolume);
    const firstBlock = random.below(blocksPerChunk - blockCount + 1);
    return { volume: this.#volume(arc), layer: 0, chunk, firstBlock, blockCount };
  }

  /** The arc has a replica that takes entries. */
  async #ready(arc: number): Promise<void> {
    const model = this.#model;
    if (!model.replicas.has(arc as never)) throw new Error(`arc ${arc} was left without a replica`);
    if (model.isIncomplete(arc)) await this.#copies(arc);
    const { doomedFrom } = this.#model.replica(arc);
    if (doomedFrom === Number.POSITIVE_INFINITY) return;
    if (this.#random.chance(0.7)) this.#model.truncateDoomed(arc);
    else this.#model.adoptDoomed(arc);
  }

  /** Waits for room as a host would that is told to try again. */
  async #room(bytes: number, purpose: 'new' | 'replacing' | 'copy' = 'new'): Promise<boolean> {
    for (let waits = 0; waits < waitsMax; waits++) {
      const answer = this.#model.store.roomFor(bytes, purpose);
      if (answer === 'ok') return true;
      if (answer === 'full') {
        if (purpose === 'replacing') this.refusedReplacements++;
        else this.full++;
        return false;
      }
      this.#rig.check();
      await this.#rig.pause(1);
    }
    throw new Error(`INV-9: no room after ${waitsMax} ms, and not full: ${JSON.stringify(this.#model.store.health())}`);
  }

  async #write(arc: number, blockCount: number, prospect: Prospect): Promise<void> {
    if (!(await this.#room(blockCount * blockBytes))) return this.#makeRoom(arc);
    await this.#ready(arc);
    this.#model.write(arc, this.#range(arc, blockCount), prospect);
  }

  /** A full device still takes what takes data away, or its place. */
  async #makeRoom(arc: number): Promise<void> {
    await this.#ready(arc);
    const replaceable = this.#replaceable(arc);
    if (replaceable !== undefined && this.#random.chance(0.6)) {
      if (!(await this.#room(replaceable.blockCount * blockBytes, 'replacing'))) return;
      this.#model.write(arc, replaceable, 'commits');
      this.replacedWhenFull += replaceable.blockCount;
      return;
    }
    if (this.#random.chance(0.2)) this.#model.drop(arc, this.#volume(arc), 'commits');
    else this.#model.trim(arc, { ...this.#range(arc, 1), firstBlock: 0, blockCount: blocksPerChunk }, 'commits');
    await this.#model.synced();
  }

  /** Blocks that hold data, side by side. */
  #replaceable(arc: number): BlockRange | undefined {
    const chunks = [...this.#model.witness.life(arc).chunks.values()];
    const chunk = chunks[this.#random.below(Math.max(1, chunks.length))];
    if (chunk === undefined) return undefined;
    const firstBlock = chunk.holds.indexOf(1, this.#random.below(blocksPerChunk));
    if (firstBlock < 0) return undefined;
    let end = firstBlock + 1;
    while (end < blocksPerChunk && chunk.holds[end] === 1 && end < firstBlock + 64) end++;
    return { ...chunk.key, firstBlock, blockCount: end - firstBlock };
  }

  async #trim(arc: number): Promise<void> {
    await this.#ready(arc);
    this.#model.trim(arc, this.#range(arc, 1 + this.#random.below(64)), this.#random.chance(0.1) ? 'lags' : 'commits');
  }

  async #drop(arc: number): Promise<void> {
    await this.#ready(arc);
    this.#model.drop(arc, this.#volume(arc), 'commits');
  }

  /** A leader that loses its majority: what it still appends is never committed by it. */
  async #doom(arc: number): Promise<void> {
    await this.#ready(arc);
    const entries = 1 + this.#random.below(3);
    if (!(await this.#room(entries * 4 * blockBytes))) return;
    for (let i = 0; i < entries; i++) {
      const range = this.#range(arc, 1 + this.#random.below(4));
      if (this.#random.chance(0.8)) this.#model.write(arc, range, 'doomed');
      else this.#model.trim(arc, range, 'doomed');
    }
  }

  // ---- lives ----------------------------------------------------------------------------------------------------------

  /** The arc leaves, and comes back as a learner of a new generation. */
  async #rebirth(arc: number): Promise<void> {
    const { generation, volumes } = this.#model.replica(arc);
    this.#model.retire(arc);
    if (this.#random.chance(0.5)) await this.#model.synced();
    this.#model.found(arc, generation + 1, volumes);
    if (this.#random.chance(0.7)) await this.#copies(arc);
  }

  /** A replica that was away too long gets copies of what it missed. */
  async #catchUp(arc: number): Promise<void> {
    await this.#ready(arc);
    if (lastIndex(this.#model.replica(arc)) > this.#model.replica(arc).applied) this.#model.noop(arc, 'commits');
    await this.#model.synced();
    if (this.#model.replica(arc).tail.length === 0) await this.#copies(arc);
  }

  async #copies(arc: number): Promise<void> {
    const random = this.#random;
    await this.#model.synced();
    const { applied, newestCopied } = this.#model.replica(arc);
    let index = Math.max(applied, newestCopied) + 1;
    const chunks = random.below(5);
    for (let i = 0; i < chunks; i++) {
      const volume = this.#volume(arc);
      const key = { volume, layer: 0, chunk: random.below(chunksPerVolume) };
      const blocks: number[] = [];
      const emptyBlocks: number[] = [];
      const density = random.fraction() * 0.3;
      for (let block = 0; block < blocksPerChunk; block++) {
        if (random.chance(density)) (random.chance(0.8) ? blocks : emptyBlocks).push(block);
      }
      if (blocks.length + emptyBlocks.length === 0) emptyBlocks.push(0);
      if (!(await this.#room(blocks.length * blockBytes, 'copy'))) break;
      this.#model.copy(arc, key, blocks, emptyBlocks, index);
      index += 1 + random.below(3);
      if (random.chance(0.3)) await this.#rig.pause(random.between(0, 1));
    }
    this.#model.install(arc, index);
    await this.#model.synced();
  }

  async #restart(): Promise<void> {
    if (!this.#ends) return;
    await this.#rig.close();
    await this.#rig.open();
  }

  async #crash(): Promise<void> {
    if (!this.#ends) return;
    this.#rig.crash(randomFates(sectorsOf(this.#rig.device.underWay), this.#random));
    await this.#rig.open();
  }

  // ---- rot ------------------------------------------------------------------------------------------------------------

  /** What was written long ago isn't what it was when the store comes back. */
  async #rot(): Promise<void> {
    if (!this.#ends) return;
    if (this.#random.chance(0.5)) await this.#rig.close();
    else this.#rig.crash(randomFates(sectorsOf(this.#rig.device.underWay), this.#random));
    await this.#rig.rot(this.#random);
    await this.#rig.open();
  }

  /** Blocks rot; a read finds each of them, and a peer's are stored in their place. */
  async #mend(arc: number): Promise<void> {
    await this.#ready(arc);
    const rotten = await rotBlocks(this.#rig, arc, this.#random);
    if (rotten === undefined) return;
    if (!(await this.#room(rotten.blocks.length * blockBytes, 'replacing')) || this.#random.chance(0.1)) return;
    await mendBlocks(this.#rig, arc, rotten, this.#random.chance(0.5));
    this.mended += rotten.blocks.length;
  }

  // ---- reads ----------------------------------------------------------------------------------------------------------

  /** What a read was told stays readable until it ends, wherever the blocks go meanwhile. */
  async #read(model: StoreModel, arc: number): Promise<void> {
    const range = this.#range(arc, 1 + this.#random.below(32));
    const { generation } = model.replica(arc);
    const page = await model.space.of(arc as never).load(range);
    const life = model.witness.arc(arc).life;
    if (page === undefined || life?.generation !== generation) return;
    const expected = life.chunks.get(chunkName(range));
    assert(expected !== undefined, `INV-1: arc ${arc}: chunk ${chunkName(range)} is there again`);
    const end = range.firstBlock + range.blockCount;
    const versions = expected.versions.slice(range.firstBlock, end);
    const terms = expected.terms.slice(range.firstBlock, end);
    const holds = expected.holds.slice(range.firstBlock, end);
    const into = new Uint8Array(range.blockCount * blockBytes);
    const positions = page.positions.slice(range.firstBlock, end);
    const read = await model.store.readBlocks(positions, page.crcs.slice(range.firstBlock, end), into);
    const name = (at: number): string => blockName(arc, generation, range, range.firstBlock + at);
    if (!read.ok && model.witness.bad.get(name(read.block))?.version === versions[read.block]) return;
    assert(read.ok, read.ok ? '' : `INV-4: arc ${arc}: a block being read is ${read.code}`);
    for (let i = 0; i < range.blockCount; i++) {
      if (holds[i] !== 1) continue;
      const author = { arc, generation, term: terms[i] as number, index: versions[i] as number };
      const right = isFilled(into, i * blockBytes, author, range.chunk, range.firstBlock + i);
      assert(right, `INV-4: arc ${arc}: a read saw another block than ${author.index}`);
    }
  }

  /** Keeps an entry for a follower that lags, and reads it when it is sent. */
  async #pin(arc: number): Promise<void> {
    const model = this.#model;
    for (const entry of [...model.pinned].slice(0, model.pinned.size + 1 - pinnedMax)) await this.#send(model, entry);
    if (!(await this.#room(4 * blockBytes))) return;
    await this.#ready(arc);
    this.#model.write(arc, this.#range(arc, 4), 'commits');
    this.#model.pinned.add(this.#model.replica(arc).tail.at(-1) as StoredEntry);
  }

  async #send(model: StoreModel, entry: StoredEntry): Promise<void> {
    const data = await model.store.readEntryData(entry);
    assert(data instanceof Uint8Array, `INV-4: pinned entry ${entry.index} is ${String(data)}`);
    model.pinned.delete(entry);
  }
}
