import { close, constants, fdatasync, fstat, ftruncate, open, read, readSync, stat, type Stats, writev } from 'node:fs';
import { assert } from '../base/assert.ts';
import { type Flash, FlashError } from '../ports/flash.ts';
import { blockDeviceShape, whoHolds } from './flash-file-device.ts';
import { flashLocked, type FlashLock, lockFlash } from './flash-lock.ts';

/** The kernel's limit of parts per call (IOV_MAX). */
const partsPerCallMax = 1024;
const prepareBytesMax = 1024 * 1024;
const sectorBytes = 4096;
/**
 * Reads up to this size are made on the spot while most are answered from the system's cache: handing one to a thread
 * costs three quarters of what one process can read (measured: 100–130 thousand 4 KiB reads a second against 490–580
 * thousand).
 */
const inlineReadBytesMax = 64 * 1024;
/** Slower than this, on average, and reads go to a thread; one in so many then still tells how it would be. */
const inlineReadMsMax = 0.03;
const inlineReadSmoothing = 0.1;
const inlineReadProbe = 32;
/** One in so many goes to a thread all the same: whoever reads in a loop would let nobody else run. */
const inlineReadRun = 64;

export interface FlashFileOptions {
  /** Of a file that is made; otherwise the file's own size counts. */
  readonly sizeBytes?: number;
  /** Makes the file, sparse, if it isn't there. */
  readonly create?: boolean;
  /** Takes no lock and writes nothing: for looking at a device that may be in use. */
  readonly readOnly?: boolean;
}

export interface OpenedFlash {
  readonly ok: true;
  readonly flash: Flash;
  readonly kind: 'file' | 'block device';
}

/**
 * `IN_USE`: another process has the device, or a block device is mounted, swap or part of another one. `NOT_FOUND`: no
 * such file. `INVALID`: can't be opened as a device.
 */
export interface RefusedFlash {
  readonly ok: false;
  readonly code: 'IN_USE' | 'NOT_FOUND' | 'INVALID';
  readonly message: string;
}

export type OpenFlashResult = OpenedFlash | RefusedFlash;

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** What the system says, as the port says it: everything that isn't "no space" is the device's failure. */
function flashError(error: unknown): FlashError {
  const code = errorCode(error);
  const message = error instanceof Error ? error.message : String(error);
  return new FlashError(code === 'ENOSPC' || code === 'EDQUOT' ? 'ENOSPC' : 'EIO', message);
}

type Callback<Value> = (error: NodeJS.ErrnoException | null, value: Value) => void;

/** One call into the system. Its errors become `FlashError`s. */
function call<Value>(run: (done: Callback<Value>) => void): Promise<Value> {
  return new Promise((resolve, reject) => {
    run((error, value) => (error === null ? resolve(value) : reject(flashError(error))));
  });
}

/**
 * A file, or a raw block device, as the flash of one Corelet. Written through a descriptor with O_DSYNC: one system
 * call makes a write durable (measured: 184 µs against 236 µs for write and fdatasync, into prepared space).
 */
class FlashFile implements Flash {
  readonly sizeBytes: number;
  readonly sectorBytes = sectorBytes;
  readonly #descriptor: number;
  readonly #lock: FlashLock | undefined;
  readonly #isFile: boolean;
  #underWay = 0;
  #readMs = 0;
  #reads = 0;
  #closed = false;
  #idle: (() => void) | undefined;

  constructor(descriptor: number, sizeBytes: number, isFile: boolean, lock: FlashLock | undefined) {
    this.#descriptor = descriptor;
    this.sizeBytes = sizeBytes;
    this.#isFile = isFile;
    this.#lock = lock;
  }

  #begin(offset: number, lengthBytes: number): void {
    if (this.#closed) throw new FlashError('CLOSED', 'the device is closed');
    const aligned = offset % sectorBytes === 0 && lengthBytes % sectorBytes === 0;
    assert(
      aligned && offset >= 0 && offset + lengthBytes <= this.sizeBytes,
      'no such range (offset, bytes)',
      offset,
      lengthBytes,
    );
    this.#underWay++;
  }

  #end(): void {
    this.#underWay--;
    if (this.#underWay === 0) this.#idle?.();
  }

  /** Always by a thread: a device may take a tenth of a second now and then, and nobody else is to wait for it (docs/decisions/0028). */
  async writeDurably(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    let lengthBytes = 0;
    for (const part of parts) lengthBytes += part.length;
    this.#begin(offset, lengthBytes);
    try {
      await this.#writeAll(offset, parts);
    } finally {
      this.#end();
    }
  }

  /** The system may take fewer parts or bytes than asked for: goes on from there. */
  async #writeAll(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    let rest = parts.length <= partsPerCallMax ? parts : parts.slice(0, partsPerCallMax);
    let taken = rest.length;
    for (;;) {
      let written = await call<number>((done) => writev(this.#descriptor, rest as Uint8Array[], offset, done));
      offset += written;
      let i = 0;
      while (i < rest.length && written >= (rest[i] as Uint8Array).length) written -= (rest[i++] as Uint8Array).length;
      if (i === rest.length) {
        if (taken === parts.length) return;
        rest = parts.slice(taken, taken + partsPerCallMax);
        taken += rest.length;
      } else {
        rest = [(rest[i] as Uint8Array).subarray(written), ...rest.slice(i + 1)];
      }
    }
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    this.#begin(offset, into.length);
    try {
      if (this.#readsInline(into.length)) {
        this.#readInline(offset, into);
        return;
      }
      for (let at = 0; at < into.length; ) {
        const from = at;
        const count = await call<number>((done) =>
          read(this.#descriptor, into, from, into.length - from, offset + from, done),
        );
        if (count === 0) throw new FlashError('EIO', `the device ends at ${offset + at}`);
        at += count;
      }
    } finally {
      this.#end();
    }
  }

  #readsInline(lengthBytes: number): boolean {
    if (lengthBytes > inlineReadBytesMax) return false;
    const turn = this.#reads++;
    return this.#readMs < inlineReadMsMax ? turn % inlineReadRun !== 0 : turn % inlineReadProbe === 0;
  }

  #readInline(offset: number, into: Uint8Array): void {
    const startedMs = performance.now();
    try {
      const count = readSync(this.#descriptor, into, 0, into.length, offset);
      if (count !== into.length) throw new FlashError('EIO', `the device ends at ${offset + count}`);
    } catch (error) {
      throw error instanceof FlashError ? error : flashError(error);
    } finally {
      this.#readMs += (performance.now() - startedMs - this.#readMs) * inlineReadSmoothing;
    }
  }

  /** Zeros, so that the file system has nothing left to record when the space is written again. */
  async prepare(offset: number, lengthBytes: number): Promise<void> {
    if (!this.#isFile) return; // a raw device has no metadata
    for (let at = 0; at < lengthBytes; at += prepareBytesMax) {
      await this.writeDurably(offset + at, [zeros.subarray(0, Math.min(prepareBytesMax, lengthBytes - at))]);
    }
  }

  /** Waits for what is under way, then gives the device free. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    await call<void>((done) => close(this.#descriptor, (error) => done(error ?? null)));
    await this.#lock?.release();
  }
}

const zeros = new Uint8Array(prepareBytesMax);

function openFlags(options: FlashFileOptions, isBlockDevice: boolean): number {
  if (options.readOnly === true) return constants.O_RDONLY;
  const flags = constants.O_RDWR | constants.O_DSYNC;
  // open(2): O_EXCL on a block device refuses one that is mounted, or that somebody else has opened so, in any container.
  if (isBlockDevice) return flags | constants.O_EXCL;
  return flags | (options.create === true ? constants.O_CREAT : 0);
}

const refusal = (code: RefusedFlash['code'], message: string): RefusedFlash => ({ ok: false, code, message });

/** Why the system didn't give what is at `path`. `device`: its number, if it is a block device. */
function openRefusal(path: string, error: unknown, device: number | undefined): RefusedFlash {
  const code = errorCode(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return refusal('NOT_FOUND', `${path}: no such file`);
  if (code === 'EBUSY' && device !== undefined) return refusal('IN_USE', `${path} ${whoHolds(device)}`);
  return refusal('INVALID', error instanceof Error ? error.message : String(error));
}

/**
 * Opens the file or block device at `path`. What another process left in the system's cache is made durable before this
 * resolves: a Corelet must never read, and believe, what a power loss would still take away.
 * @throws FlashError
 */
export async function openFlashFile(path: string, options: FlashFileOptions = {}): Promise<OpenFlashResult> {
  let device: number | undefined;
  let descriptor: number;
  try {
    // Looked at first: opening a pipe would wait for its other end.
    const before = await statOf(path);
    if (before !== undefined && !isFlash(before)) return refusal('INVALID', `${path} is no file or block device`);
    if (before?.isBlockDevice() === true) device = before.rdev;
    descriptor = await new Promise<number>((resolve, reject) => {
      const flags = openFlags(options, device !== undefined);
      open(path, flags, 0o600, (error, value) => (error === null ? resolve(value) : reject(error)));
    });
  } catch (error) {
    return openRefusal(path, error, device);
  }
  const held: { lock?: FlashLock } = {};
  try {
    const opened = await settle(path, descriptor, options, held);
    if (!opened.ok) await giveUp(descriptor, held.lock);
    return opened;
  } catch (error) {
    await giveUp(descriptor, held.lock);
    throw error;
  }
}

/** Locks what was opened, finds or gives its size, and makes durable what it holds. */
async function settle(
  path: string,
  descriptor: number,
  options: FlashFileOptions,
  held: { lock?: FlashLock },
): Promise<OpenFlashResult> {
  const stats = await call<Stats>((done) => fstat(descriptor, done));
  if (!isFlash(stats)) return refusal('INVALID', `${path} is no file or block device`);
  if (options.readOnly !== true) {
    const lock = await lockFlash(stats);
    if (lock === undefined) return refusal('IN_USE', `${path} is in use by another process`);
    held.lock = lock;
  }
  const kind = stats.isFile() ? 'file' : 'block device';
  let sizeBytes: number;
  if (kind === 'file') sizeBytes = await settleSize(descriptor, stats, options);
  else {
    const shape = blockDeviceShape(stats.rdev);
    if (shape === undefined) return refusal('INVALID', `${path}: its size isn't told in /sys/dev/block`);
    if (sectorBytes % shape.logicalBlockBytes !== 0) {
      return refusal(
        'INVALID',
        `${path} has sectors of ${shape.logicalBlockBytes} bytes; at most ${sectorBytes} are possible`,
      );
    }
    sizeBytes = shape.sizeBytes - (shape.sizeBytes % sectorBytes);
  }
  if (options.readOnly !== true) await call<void>((done) => fdatasync(descriptor, (error) => done(error)));
  return { ok: true, flash: new FlashFile(descriptor, sizeBytes, kind === 'file', held.lock), kind };
}

const isFlash = (stats: Stats): boolean => stats.isFile() || stats.isBlockDevice();

/** Undefined: there is nothing. */
function statOf(path: string): Promise<Stats | undefined> {
  return new Promise((resolve, reject) => {
    stat(path, (error, stats) => {
      if (error === null) resolve(stats);
      else if (error.code === 'ENOENT') resolve(undefined);
      else reject(error);
    });
  });
}

/** Whether a Corelet has the device at `path`. Nothing is taken or changed by asking. @throws FlashError */
export async function flashInUse(path: string): Promise<boolean> {
  return flashLocked(await call<Stats>((done) => stat(path, done)));
}

async function giveUp(descriptor: number, lock: FlashLock | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    close(descriptor, () => resolve());
  });
  await lock?.release();
}

/** Gives a new file its size; a file that has one keeps it. */
async function settleSize(descriptor: number, stats: Stats, options: FlashFileOptions): Promise<number> {
  if (stats.size > 0 || options.sizeBytes === undefined || options.create !== true) {
    return stats.size - (stats.size % sectorBytes);
  }
  const sizeBytes = options.sizeBytes - (options.sizeBytes % sectorBytes);
  await call<void>((done) => ftruncate(descriptor, sizeBytes, (error) => done(error)));
  return sizeBytes;
}
