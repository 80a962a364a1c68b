import { assert } from '../../base/assert.ts';
import { joined } from '../../base/bytes.ts';
import { crcOf } from '../../base/crc32c.ts';
import type { Prng } from '../../base/prng.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Flash } from '../../ports/flash.ts';
import type { SparseMedium } from '../sparse-medium.ts';

/** What survives a power loss or doesn't as one, but for the last one: that may be torn in the middle. */
export const sectorBytes = 512;
export const fates = { lost: 0, kept: 1, torn: 2 } as const;

/** A write, or the zeroing of prepared space, that isn't durable yet. */
export interface UnderWay {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export function sectorsOf(writes: Iterable<UnderWay>): number {
  let sectors = 0;
  for (const { bytes } of writes) sectors += bytes.length / sectorBytes;
  return sectors;
}

/** Leaves on `medium` what a power loss leaves of `writes`: a fate per sector, over all of them in order. */
export function leave(medium: SparseMedium, writes: Iterable<UnderWay>, kept: Uint8Array): void {
  let first = 0;
  for (const { offset, bytes } of writes) {
    const sectors = bytes.length / sectorBytes;
    for (let sector = 0; sector < sectors; ) {
      const fate = kept[first + sector];
      let end = sector + 1;
      if (fate === fates.kept) while (end < sectors && kept[first + end] === fates.kept) end++;
      const from = sector * sectorBytes;
      const to = fate === fates.torn ? from + sectorBytes / 2 : end * sectorBytes;
      if (fate !== fates.lost) medium.write(offset + from, bytes.subarray(from, to));
      sector = end;
    }
    first += sectors;
  }
}

let zeros = new Uint8Array(0);

/** Not to be changed. */
function zerosOf(lengthBytes: number): Uint8Array {
  if (zeros.length < lengthBytes) zeros = new Uint8Array(lengthBytes);
  return zeros.subarray(0, lengthBytes);
}

/** How long operations take, in milliseconds of virtual time: enough spread that several are under way at once. */
const readMs = { least: 0.02, most: 0.4 };
const writeMs = { least: 0.05, most: 1 };

/**
 * A device that tells at every moment what a power loss could leave of it. The object is the medium: it outlives its
 * handles, of which one is alive at a time.
 */
export class CrashDevice {
  readonly sizeBytes: number;
  readonly medium: SparseMedium;
  /** In the order in which they were begun. */
  readonly underWay = new Set<UnderWay>();
  /** Counts whatever changes what a power loss would leave: beginnings and ends of writes. */
  boundaries = 0;
  /** The most writes that were under way at once. */
  underWayMost = 0;
  /** Called when a write begins: for counting what is used again. */
  onWrite: ((offset: number) => void) | undefined;
  #handle: Handle | undefined;

  constructor(medium: SparseMedium) {
    this.medium = medium;
    this.sizeBytes = medium.sizeBytes;
  }

  attach(clock: Clock, random: Prng): Flash {
    assert(this.underWay.size === 0, 'what was under way was settled');
    this.#handle?.die();
    this.#handle = new Handle(this, clock, random);
    return this.#handle;
  }

  /** Power loss. `kept`: a fate per sector of what is under way. */
  crash(kept: Uint8Array): void {
    this.#handle?.die();
    this.#handle = undefined;
    leave(this.medium, this.underWay, kept);
    this.underWay.clear();
    this.boundaries++;
  }

  begin(write: UnderWay): void {
    this.underWay.add(write);
    this.underWayMost = Math.max(this.underWayMost, this.underWay.size);
    this.boundaries++;
    this.onWrite?.(write.offset);
  }

  end(write: UnderWay): void {
    this.underWay.delete(write);
    this.medium.write(write.offset, write.bytes);
    this.boundaries++;
  }
}

class Handle implements Flash {
  readonly sizeBytes: number;
  readonly sectorBytes = sectorBytes;
  readonly #device: CrashDevice;
  readonly #clock: Clock;
  readonly #random: Prng;
  #state: 'open' | 'closed' | 'dead' = 'open';

  constructor(device: CrashDevice, clock: Clock, random: Prng) {
    this.#device = device;
    this.#clock = clock;
    this.#random = random;
    this.sizeBytes = device.sizeBytes;
  }

  die(): void {
    this.#state = 'dead';
  }

  /** Resolves after a while; never for a process that has ended, one way or the other. */
  #takes(range: { readonly least: number; readonly most: number }): Promise<void> {
    const asked = this.#state;
    return new Promise((resolve) => {
      if (asked !== 'open') return;
      this.#clock.after(this.#random.between(range.least, range.most), () => {
        if (this.#state !== 'dead') resolve();
      });
    });
  }

  async #write(offset: number, bytes: Uint8Array, check: () => boolean): Promise<void> {
    assert(offset % sectorBytes === 0 && bytes.length % sectorBytes === 0, 'whole sectors are written');
    assert(offset + bytes.length <= this.sizeBytes, 'writes end on the device');
    const write = { offset, bytes };
    if (this.#state === 'open') this.#device.begin(write);
    await this.#takes(writeMs);
    assert(check(), 'bytes handed to the device stay unchanged until they are durable');
    this.#device.end(write);
  }

  writeDurably(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    const crc = crcOf(parts);
    return this.#write(offset, joined(parts), () => crcOf(parts) === crc);
  }

  prepare(offset: number, lengthBytes: number): Promise<void> {
    return this.#write(offset, zerosOf(lengthBytes), () => true);
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    await this.#takes(readMs);
    this.#device.medium.read(offset, into);
  }

  async close(): Promise<void> {
    if (this.#state === 'open') this.#state = 'closed';
  }
}

/** A device without latency, for restarts by the thousand; keeps what was written, for crashes in the restart itself. */
export class QuickFlash implements Flash {
  readonly sizeBytes: number;
  readonly sectorBytes = sectorBytes;
  readonly writes: UnderWay[] = [];
  readonly #medium: SparseMedium;

  constructor(medium: SparseMedium) {
    this.#medium = medium;
    this.sizeBytes = medium.sizeBytes;
  }

  async writeDurably(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    const bytes = joined(parts);
    this.writes.push({ offset, bytes });
    this.#medium.write(offset, bytes);
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    this.#medium.read(offset, into);
  }

  async prepare(offset: number, lengthBytes: number): Promise<void> {
    this.writes.push({ offset, bytes: zerosOf(lengthBytes) });
    this.#medium.zero(offset, lengthBytes);
  }

  async close(): Promise<void> {}
}
