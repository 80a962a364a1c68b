import { assert } from '../base/assert.ts';
import { crcOf } from '../base/crc32c.ts';
import type { Clock } from '../ports/clock.ts';
import { type Flash, FlashError } from '../ports/flash.ts';
import type { Random } from '../ports/random.ts';
import { SparseMedium } from './sparse-medium.ts';

export interface SimFlashOptions {
  readonly sizeBytes: number;
  /** What survives or doesn't as one: 512 lets 4 KiB pages tear. */
  readonly sectorBytes?: number;
  readonly readMs?: number;
  readonly writeMs?: number;
  readonly bytesPerMs?: number;
}

export interface CrashOptions {
  /** How likely each sector of a write under way survives; 0.5 by default. */
  readonly keepFraction?: number;
  /** Whether one of the surviving sectors may hold only its first half anew. */
  readonly tear?: boolean;
}

interface WriteUnderWay {
  readonly offset: number;
  readonly parts: readonly Uint8Array[];
  readonly lengthBytes: number;
  readonly crc: number;
}

/** What happens to the next write: it is told durable and nothing lands, or it lands elsewhere; or it fails. */
type WriteFault =
  | { readonly kind: 'lost' }
  | { readonly kind: 'misdirected'; readonly toOffset: number }
  | { readonly kind: 'failed' };

export interface FlashExtent {
  readonly offset: number;
  readonly lengthBytes: number;
}

/** Newest writes that the medium remembers: faults aim at them. */
const recentMax = 256;
const pageBytes = 4096;

/**
 * A simulated device. The object is the medium: it outlives crashes of its Corelet. `attach` opens it; an earlier
 * handle then is dead, and so is every handle after `crash`: what was asked of it is never answered.
 */
export class SimFlash {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  /** Multiplies every latency: a device that gets slow without failing. */
  slowFactor = 1;
  /** Bytes above which the file system under it has no room; unlimited by default. */
  fullAtBytes = Number.POSITIVE_INFINITY;
  /** Every read and write fails until set back. */
  broken = false;
  writes = 0;
  reads = 0;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #options: SimFlashOptions;
  #medium: SparseMedium;
  #handle: SimFlashHandle | undefined;
  readonly #underWay = new Set<WriteUnderWay>();
  readonly #badRanges: FlashExtent[] = [];
  /** Can't be read until they are written again: the device then takes a spare sector. */
  #unreadable: FlashExtent[] = [];
  #nextFault: WriteFault | undefined;
  /** Called with each page that is durable as a whole, for checkers. `lost`: only told so. */
  onLanded: ((page: Uint8Array) => void) | undefined;
  /** Newest last. */
  readonly recent: FlashExtent[] = [];

  constructor(clock: Clock, random: Random, options: SimFlashOptions, medium?: SparseMedium) {
    this.sizeBytes = options.sizeBytes;
    this.sectorBytes = options.sectorBytes ?? 512;
    this.#clock = clock;
    this.#random = random;
    this.#options = options;
    this.#medium = medium ?? new SparseMedium(options.sizeBytes);
  }

  /** Opens the device for a process that (re)starts. `clock`: that process's, if it has its own. */
  attach(clock: Clock = this.#clock): Flash {
    this.detach();
    this.#handle = new SimFlashHandle(this, clock);
    return this.#handle;
  }

  /** Ends the handle without loss: what was under way is done, but nobody hears of it. */
  detach(): void {
    this.#kill();
    for (const write of this.#underWay) this.#apply(write);
    this.#underWay.clear();
  }

  /** Power loss: of writes under way, any subset of the sectors survives, and one may be torn. */
  crash(options: CrashOptions = {}): void {
    const keepFraction = options.keepFraction ?? 0.5;
    this.#kill();
    for (const write of this.#underWay) {
      const sectors = write.lengthBytes / this.sectorBytes;
      const torn = options.tear === true ? Math.floor(this.#random.fraction() * sectors) : -1;
      this.#applySectors(write, (sector) => {
        if (sector === torn) return 'torn';
        return this.#random.fraction() < keepFraction ? 'kept' : 'lost';
      });
    }
    this.#underWay.clear();
  }

  #kill(): void {
    this.#handle?.die();
    this.#handle = undefined;
  }

  /** The same bytes on another device: a cloned disk, or a copy to roll back to. Writes under way aren't in it. */
  clone(): SimFlash {
    return new SimFlash(this.#clock, this.#random, this.#options, this.#medium.clone());
  }

  /** Puts the bytes of `from` in place of what is here: a rollback. Only without a handle. */
  restore(from: SimFlash): void {
    assert(this.#handle === undefined && from.sizeBytes === this.sizeBytes, 'restore a closed device of the same size');
    this.#medium = from.#medium.clone();
    this.#unreadable = [...from.#unreadable];
  }

  /** A blank device in its place. */
  erase(): void {
    this.crash({ keepFraction: 0 });
    this.#medium = new SparseMedium(this.sizeBytes);
  }

  /** Flips one bit in each sector of the range. */
  rot(offset: number, lengthBytes: number): void {
    const byte = new Uint8Array(1);
    for (let at = offset; at < offset + lengthBytes; at += this.sectorBytes) {
      const span = Math.min(this.sectorBytes, offset + lengthBytes - at);
      const target = at + Math.floor(this.#random.fraction() * span);
      this.#medium.read(target, byte);
      byte[0] = (byte[0] as number) ^ (1 << Math.floor(this.#random.fraction() * 8));
      this.#medium.write(target, byte);
    }
  }

  /** Reads and writes that touch the range fail with `EIO`. */
  failRange(offset: number, lengthBytes: number): void {
    this.#badRanges.push({ offset, lengthBytes });
  }

  healRanges(): void {
    this.#badRanges.length = 0;
  }

  loseNextWrite(): void {
    this.#nextFault = { kind: 'lost' };
  }

  failNextWrite(): void {
    this.#nextFault = { kind: 'failed' };
  }

  spareNextWrite(): void {
    this.#nextFault = undefined;
  }

  /** Reads that touch the range fail with `EIO` until something is written there. */
  loseSectors(offset: number, lengthBytes: number): void {
    this.#unreadable.push({ offset, lengthBytes });
  }

  misdirectNextWrite(toOffset: number): void {
    this.#nextFault = { kind: 'misdirected', toOffset };
  }

  /** The bytes on the medium, for checkers: no latency, no faults. */
  peek(offset: number, lengthBytes: number): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    this.#medium.read(offset, bytes);
    return bytes;
  }

  /** Changes bytes on the medium behind everybody's back. */
  poke(offset: number, bytes: Uint8Array): void {
    this.#medium.write(offset, bytes);
  }

  // ---- for the handle -------------------------------------------------------------------------------------------------

  refusal(kind: 'read' | 'write', offset: number, lengthBytes: number): FlashError | undefined {
    if (this.broken) return new FlashError('EIO', 'the device is broken');
    if (this.#badRanges.some((bad) => overlaps(bad, offset, lengthBytes))) {
      return new FlashError('EIO', `${kind} failed at ${offset}`);
    }
    if (kind === 'read' && this.#unreadable.some((bad) => overlaps(bad, offset, lengthBytes))) {
      return new FlashError('EIO', `unreadable sector at ${offset}`);
    }
    if (kind === 'write' && this.#nextFault?.kind === 'failed') {
      this.#nextFault = undefined;
      return new FlashError('EIO', `write failed at ${offset}`);
    }
    if (kind === 'write' && offset + lengthBytes > this.fullAtBytes) return new FlashError('ENOSPC', 'no space left');
    return undefined;
  }

  delayMs(kind: 'read' | 'write', lengthBytes: number): number {
    const fixedMs = kind === 'read' ? (this.#options.readMs ?? 0.1) : (this.#options.writeMs ?? 0.2);
    const jitter = 0.5 + this.#random.fraction();
    return this.slowFactor * (fixedMs * jitter + lengthBytes / (this.#options.bytesPerMs ?? 1_000_000));
  }

  begin(offset: number, parts: readonly Uint8Array[], lengthBytes: number): WriteUnderWay {
    const write = { offset, parts: [...parts], lengthBytes, crc: crcOf(parts) };
    this.#underWay.add(write);
    this.writes++;
    return write;
  }

  finish(write: WriteUnderWay): void {
    if (!this.#underWay.delete(write)) return;
    const fault = this.#nextFault;
    this.#nextFault = undefined;
    if (fault?.kind === 'misdirected') {
      this.#apply({ ...write, offset: Math.min(fault.toOffset, this.sizeBytes - write.lengthBytes) });
    } else if (fault === undefined) this.#apply(write);
    this.#remember(write);
    this.#toldDurable(write);
  }

  /** What its Corelet may count on from now on, whatever the medium really did. */
  #toldDurable(write: WriteUnderWay): void {
    if (this.onLanded === undefined) return;
    const page = new Uint8Array(pageBytes);
    let filled = 0;
    for (const part of write.parts) {
      for (let at = 0; at < part.length; ) {
        const count = Math.min(pageBytes - filled, part.length - at);
        // Most parts are whole blocks: looked at where they are.
        if (filled === 0 && count === pageBytes) this.onLanded(part.subarray(at, at + pageBytes));
        else {
          page.set(part.subarray(at, at + count), filled);
          filled = (filled + count) % pageBytes;
          if (filled === 0) this.onLanded(page);
        }
        at += count;
      }
    }
  }

  #remember({ offset, lengthBytes }: WriteUnderWay): void {
    if (this.#unreadable.length > 0) {
      this.#unreadable = this.#unreadable.filter((bad) => !overlaps(bad, offset, lengthBytes));
    }
    this.recent.push({ offset, lengthBytes });
    if (this.recent.length > 2 * recentMax) this.recent.splice(0, recentMax);
  }

  /** The write failed: any of its sectors may be there nevertheless. */
  abandon(write: WriteUnderWay): void {
    if (!this.#underWay.delete(write)) return;
    this.#applySectors(write, () => (this.#random.fraction() < 0.5 ? 'kept' : 'lost'));
  }

  load(offset: number, into: Uint8Array): void {
    this.reads++;
    this.#medium.read(offset, into);
  }

  zero(offset: number, lengthBytes: number): void {
    this.#medium.zero(offset, lengthBytes);
  }

  #apply(write: WriteUnderWay): void {
    assert(crcOf(write.parts) === write.crc, 'bytes handed to the device stay unchanged until they are durable');
    let at = write.offset;
    for (const part of write.parts) {
      this.#medium.write(at, part);
      at += part.length;
    }
  }

  #applySectors(write: WriteUnderWay, fate: (sector: number) => 'kept' | 'lost' | 'torn'): void {
    assert(crcOf(write.parts) === write.crc, 'bytes handed to the device stay unchanged until they are durable');
    const all = new Uint8Array(write.lengthBytes);
    let at = 0;
    for (const part of write.parts) {
      all.set(part, at);
      at += part.length;
    }
    let keptTo = 0; // whole so far, from the beginning of the page
    for (let sector = 0; sector < write.lengthBytes / this.sectorBytes; sector++) {
      const what = fate(sector);
      const from = sector * this.sectorBytes;
      const count = what === 'torn' ? this.sectorBytes / 2 : this.sectorBytes;
      if (what !== 'lost') this.#medium.write(write.offset + from, all.subarray(from, from + count));
      keptTo = from % pageBytes === 0 ? from : keptTo;
      if (what !== 'kept') keptTo = Number.POSITIVE_INFINITY;
      else if (from + count - keptTo === pageBytes) this.onLanded?.(all.subarray(keptTo, keptTo + pageBytes));
    }
  }
}

function overlaps(extent: FlashExtent, offset: number, lengthBytes: number): boolean {
  return offset < extent.offset + extent.lengthBytes && offset + lengthBytes > extent.offset;
}

/** One process's way to the device. */
class SimFlashHandle implements Flash {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly #medium: SimFlash;
  readonly #clock: Clock;
  #state: 'open' | 'closed' | 'dead' = 'open';

  constructor(medium: SimFlash, clock: Clock) {
    this.#medium = medium;
    this.#clock = clock;
    this.sizeBytes = medium.sizeBytes;
    this.sectorBytes = medium.sectorBytes;
  }

  die(): void {
    this.#state = 'dead';
  }

  #checkRange(offset: number, lengthBytes: number): void {
    const aligned = offset % this.sectorBytes === 0 && lengthBytes % this.sectorBytes === 0;
    assert(aligned && offset >= 0 && offset + lengthBytes <= this.sizeBytes, `range ${offset}+${lengthBytes}`);
  }

  /** Calls `run` after the latency of the operation; never once the handle is dead. */
  #later(kind: 'read' | 'write', lengthBytes: number, run: () => void): void {
    this.#clock.after(this.#medium.delayMs(kind, lengthBytes), () => {
      if (this.#state !== 'dead') run();
    });
  }

  async writeDurably(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    let lengthBytes = 0;
    for (const part of parts) lengthBytes += part.length;
    this.#checkRange(offset, lengthBytes);
    await new Promise<void>((resolve, reject) => {
      if (this.#state === 'dead') return;
      if (this.#state === 'closed') return reject(new FlashError('CLOSED', 'the device is closed'));
      const write = this.#medium.begin(offset, parts, lengthBytes);
      this.#later('write', lengthBytes, () => {
        const refusal = this.#medium.refusal('write', offset, lengthBytes);
        if (refusal !== undefined) {
          this.#medium.abandon(write);
          return reject(refusal);
        }
        this.#medium.finish(write);
        resolve();
      });
    });
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    this.#checkRange(offset, into.length);
    await new Promise<void>((resolve, reject) => {
      if (this.#state === 'dead') return;
      if (this.#state === 'closed') return reject(new FlashError('CLOSED', 'the device is closed'));
      this.#later('read', into.length, () => {
        const refusal = this.#medium.refusal('read', offset, into.length);
        if (refusal !== undefined) return reject(refusal);
        this.#medium.load(offset, into);
        resolve();
      });
    });
  }

  async prepare(offset: number, lengthBytes: number): Promise<void> {
    this.#checkRange(offset, lengthBytes);
    await new Promise<void>((resolve, reject) => {
      if (this.#state === 'dead') return;
      if (this.#state === 'closed') return reject(new FlashError('CLOSED', 'the device is closed'));
      this.#later('write', lengthBytes, () => {
        const refusal = this.#medium.refusal('write', offset, lengthBytes);
        if (refusal !== undefined) return reject(refusal);
        this.#medium.zero(offset, lengthBytes);
        resolve();
      });
    });
  }

  async close(): Promise<void> {
    if (this.#state === 'open') this.#state = 'closed';
  }
}
