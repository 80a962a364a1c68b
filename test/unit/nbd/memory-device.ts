import { assert } from '../../../src/base/assert.ts';
import type { VolumeId } from '../../../src/base/ids.ts';
import type {
  BlockDevice,
  Extent,
  CompareResult,
  ExtentsResult,
  HostCommand,
  IoErrorCode,
  IoResult,
  ReadResult,
  VolumeCatalog,
  VolumeSummary,
} from '../../../src/volume/block-device.ts';

const done: IoResult = { ok: true };
const extentBlockBytes = 4096;

export interface MemoryDeviceOptions {
  readonly name: string;
  readonly sizeBytes: number;
  readonly readOnly?: boolean;
}

/** A call that has reached the device. */
export interface DeviceCall {
  readonly kind: 'read' | 'write' | 'compareAndWrite' | 'writeSame' | 'zero' | 'trim' | 'flush' | 'extents';
  readonly offset: number;
  readonly lengthBytes: number;
}

let lastId = 0;

/**
 * A volume in memory. `gate` holds answers back until the test lets them go; `fail` refuses; `calls` remembers.
 * Blocks that were never written or were punched are holes, in blocks of 4 KiB.
 */
export class MemoryDevice implements BlockDevice {
  readonly id: VolumeId;
  readonly name: string;
  readonly readOnly: boolean;
  readonly bytes: Uint8Array;
  readonly calls: DeviceCall[] = [];
  /** Awaited after the work and before the answer. */
  gate: ((call: DeviceCall) => Promise<void>) | undefined;
  /** The code to refuse with, or `undefined` to do the work. */
  fail: ((call: DeviceCall) => IoErrorCode | undefined) | undefined;
  /** Off for measurements. */
  remembersCalls = true;
  /** Pieces of the last write, as they were passed. */
  lastPieces: readonly Uint8Array[] = [];
  /** Of each write, the command that it came with. */
  readonly commands: HostCommand[] = [];
  /** Hosts that said good-bye. */
  closes = 0;
  readonly #written: Uint8Array; // a byte per block

  constructor(options: MemoryDeviceOptions) {
    this.id = ++lastId as VolumeId;
    this.name = options.name;
    this.readOnly = options.readOnly ?? false;
    this.bytes = new Uint8Array(options.sizeBytes);
    this.#written = new Uint8Array(Math.ceil(options.sizeBytes / extentBlockBytes));
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }

  async read(offset: number, lengthBytes: number): Promise<ReadResult> {
    const code = await this.#begin('read', offset, lengthBytes);
    if (code !== undefined) return { ok: false, code };
    return { ok: true, parts: [this.bytes.slice(offset, offset + lengthBytes)] };
  }

  close(): void {
    this.closes += 1;
  }

  async compareAndWrite(offset: number, expected: Uint8Array, data: Uint8Array): Promise<CompareResult> {
    const code = await this.#begin('compareAndWrite', offset, data.length);
    if (code !== undefined) return { ok: false, code };
    const byteOffset = expected.findIndex((byte, i) => byte !== this.bytes[offset + i]);
    if (byteOffset >= 0) return { ok: false, code: 'MISCOMPARE', byteOffset };
    this.#put(offset, [data]);
    return done;
  }

  async writeSame(offset: number, lengthBytes: number, block: Uint8Array): Promise<IoResult> {
    const code = await this.#begin('writeSame', offset, lengthBytes);
    if (code !== undefined) return { ok: false, code };
    this.#put(
      offset,
      Array.from({ length: lengthBytes / block.length }, () => block),
    );
    return done;
  }

  async write(offset: number, data: readonly Uint8Array[], command?: HostCommand): Promise<IoResult> {
    if (command !== undefined) this.commands.push(command);
    let lengthBytes = 0;
    for (const piece of data) lengthBytes += piece.length;
    const code = await this.#begin('write', offset, lengthBytes);
    if (code !== undefined) return { ok: false, code };
    this.lastPieces = data;
    this.#put(offset, data);
    return done;
  }

  #put(offset: number, data: readonly Uint8Array[]): void {
    let at = offset;
    for (const piece of data) {
      this.bytes.set(piece, at);
      at += piece.length;
    }
    this.#written.fill(1, Math.floor(offset / extentBlockBytes), Math.ceil(at / extentBlockBytes));
  }

  async zero(offset: number, lengthBytes: number, options: { readonly mayPunch: boolean }): Promise<IoResult> {
    const code = await this.#begin('zero', offset, lengthBytes);
    if (code !== undefined) return { ok: false, code };
    this.bytes.fill(0, offset, offset + lengthBytes);
    if (options.mayPunch) this.#punch(offset, lengthBytes);
    else {
      const end = Math.ceil((offset + lengthBytes) / extentBlockBytes);
      this.#written.fill(1, Math.floor(offset / extentBlockBytes), end);
    }
    return done;
  }

  async trim(offset: number, lengthBytes: number): Promise<IoResult> {
    const code = await this.#begin('trim', offset, lengthBytes);
    if (code !== undefined) return { ok: false, code };
    this.#punch(offset, lengthBytes);
    return done;
  }

  async flush(): Promise<IoResult> {
    const code = await this.#begin('flush', 0, 0);
    return code === undefined ? done : { ok: false, code };
  }

  async extents(offset: number, lengthBytes: number): Promise<ExtentsResult> {
    const code = await this.#begin('extents', offset, lengthBytes);
    if (code !== undefined) return { ok: false, code };
    const extents: Extent[] = [];
    const end = offset + lengthBytes;
    let at = offset;
    while (at < end) {
      const first = this.#written[Math.floor(at / extentBlockBytes)];
      let block = Math.floor(at / extentBlockBytes);
      while (block * extentBlockBytes < end && this.#written[block] === first) block++;
      const extentEnd = Math.min(end, block * extentBlockBytes);
      extents.push({ lengthBytes: extentEnd - at, kind: first === 1 ? 'data' : 'hole' });
      at = extentEnd;
    }
    return { ok: true, extents };
  }

  #punch(offset: number, lengthBytes: number): void {
    const first = Math.ceil(offset / extentBlockBytes);
    const end = Math.floor((offset + lengthBytes) / extentBlockBytes);
    if (end <= first) return;
    this.bytes.fill(0, first * extentBlockBytes, end * extentBlockBytes);
    this.#written.fill(0, first, end);
  }

  async #begin(kind: DeviceCall['kind'], offset: number, lengthBytes: number): Promise<IoErrorCode | undefined> {
    assert(offset + lengthBytes <= this.bytes.length, 'the target checks ranges before the device sees them');
    if (!this.remembersCalls) return undefined;
    const call: DeviceCall = { kind, offset, lengthBytes };
    this.calls.push(call);
    const code = this.fail?.(call);
    await this.gate?.(call);
    return code;
  }
}

/** Volumes by name. `retryCount` counts down the answers `RETRYABLE` that `open` still gives. */
export class MemoryCatalog implements VolumeCatalog {
  retryCount = 0;
  readonly #devices: readonly MemoryDevice[];

  constructor(...devices: MemoryDevice[]) {
    this.#devices = devices;
  }

  async open(name: string): Promise<BlockDevice | 'NOT_FOUND' | 'RETRYABLE'> {
    if (this.retryCount > 0) {
      this.retryCount--;
      return 'RETRYABLE';
    }
    return this.#devices.find((device) => device.name === name) ?? 'NOT_FOUND';
  }

  async list(): Promise<readonly VolumeSummary[]> {
    return this.#devices.map(({ id, name, sizeBytes }) => ({ id, name, sizeBytes }));
  }
}
