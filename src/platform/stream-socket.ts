import { writeSync, writevSync } from 'node:fs';
import { Socket } from 'node:net';
import { ReadingTurn } from './reading-turn.ts';

/** One read takes at most this, as libuv's own do (poll-watch.ts counts on it). All sockets of the process share the buffer: what is read is used up before the next read. */
const receiveBytes = 64 * 1024;
/**
 * So much do all sockets of the process take in between two rounds of the event loop; from then on each is read once at most, and
 * waits for the next round if it has more. libuv alone takes up to 32 reads of each socket at once, 2 MiB: with a host that writes
 * 1 MiB blocks, turns of 20 to 55 ms of processor time (measured), in which no timer, no probe and no other host has its turn.
 */
export const turnBytesMax = 256 * 1024;
/** Copies of what was received are cut from slabs of this size; larger ones have memory of their own. */
const slabBytes = 64 * 1024;
const cutBytesMax = slabBytes / 4;
/** More than this goes through the stream at once: the system would mostly take only a part of it. */
const directBytesMax = 64 * 1024;
/** The kernel's limit of parts per call (IOV_MAX). */
const directPartsMax = 1024;

const shared = Buffer.allocUnsafeSlow(receiveBytes);
let slab = Buffer.allocUnsafeSlow(slabBytes);
let slabUsed = 0;
const turn = new ReadingTurn(turnBytesMax, setImmediate);

/** Uninitialised memory for what was received; nobody else gets it, so views of it may be kept. */
export function roomFor(bytes: number): Uint8Array {
  if (bytes > cutBytesMax) return view(Buffer.allocUnsafeSlow(bytes), 0, bytes);
  if (slabUsed + bytes > slabBytes) {
    slab = Buffer.allocUnsafeSlow(slabBytes);
    slabUsed = 0;
  }
  const at = slabUsed;
  slabUsed += (bytes + 7) & ~7;
  return view(slab, at, bytes);
}

// A plain Uint8Array: code below platform/ has no Buffer, and one kind of view keeps its call sites monomorphic.
function view(buffer: Buffer, at: number, bytes: number): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset + at, bytes);
}

/** What Node keeps behind a socket. Where a later version has none of it, sockets work as plain streams. */
interface Handle {
  readonly fd?: number;
  reading?: boolean;
  readStop(): unknown;
}

interface WithHandle {
  _handle?: Handle | null;
}

export interface StreamListener {
  /** `bytes` is only there during the call: the next read overwrites it. `isHeld`: what arrived behind it is read in the next turn. */
  received(bytes: Uint8Array, isHeld: boolean): void;
  ended(): void;
  closed(): void;
  drained?(): void;
}

/**
 * A connected socket without the cost of a Node stream where it counts (measured with two processes over a Unix socket:
 * 10–11 µs CPU per message and side instead of 15): reads go into one buffer instead of a fresh one of 64 KiB for each,
 * which also was most of the garbage of a busy Corelet; small writes are one system call without a request object.
 */
export class StreamSocket {
  readonly #socket: Socket;
  #isPaused = false;
  /** Has had its part of this turn. */
  #isHeld = false;
  readonly #goOn = (): void => {
    this.#isHeld = false;
    if (!this.#isPaused) this.#socket.resume();
  };

  /** Takes over a socket; what it had read before is delivered first, from within the constructor. */
  constructor(socket: Socket, listener: StreamListener) {
    const { socket: mine, rest } = adopt(socket, (bytes) => {
      const isOver = turn.took(bytes.length);
      if (isOver && !this.#isHeld) {
        this.#isHeld = true;
        turn.whenNext(this.#goOn);
      }
      listener.received(bytes, isOver);
      return !isOver;
    });
    this.#socket = mine;
    mine.on('end', () => listener.ended());
    mine.on('close', () => listener.closed());
    mine.on('error', () => {}); // 'close' follows
    if (listener.drained !== undefined) mine.on('drain', () => listener.drained?.());
    if (rest !== undefined) listener.received(rest, false);
  }

  /** Bytes that the system hasn't taken yet. */
  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  /**
   * Sends the parts in order, `lengthBytes` in all. True: the system has taken them, and nothing refers to them any more;
   * else `whenWritten` is called later, if the socket lives, and they must not change until then.
   */
  write(parts: readonly Uint8Array[], lengthBytes: number, whenWritten?: () => void): boolean {
    const written = this.#writeDirectly(parts, lengthBytes);
    if (written === lengthBytes) return true;
    const socket = this.#socket;
    let skip = written;
    let i = 0;
    while (skip >= (parts[i] as Uint8Array).length) skip -= (parts[i++] as Uint8Array).length;
    const last = parts.length - 1;
    if (last > i) socket.cork();
    for (; i <= last; i++) {
      const part = parts[i] as Uint8Array;
      const rest = skip === 0 ? part : part.subarray(skip);
      skip = 0;
      if (i === last && whenWritten !== undefined) socket.write(rest, whenWritten);
      else socket.write(rest);
    }
    if (socket.writableCorked > 0) socket.uncork();
    return false;
  }

  /** How much the system took at once. */
  #writeDirectly(parts: readonly Uint8Array[], lengthBytes: number): number {
    const socket = this.#socket;
    const descriptor = (socket as unknown as WithHandle)._handle?.fd ?? -1;
    if (descriptor < 0 || lengthBytes > directBytesMax || parts.length > directPartsMax) return 0;
    if (socket.writableLength > 0 || !socket.writable) return 0;
    try {
      if (parts.length === 1) return writeSync(descriptor, parts[0] as Uint8Array);
      return writevSync(descriptor, parts as Uint8Array[]);
    } catch {
      return 0; // full, or broken: the stream waits, or tells
    }
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (!this.#isHeld) this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Takes what was read. @returns whether to read on at once. */
type Received = (bytes: Uint8Array) => boolean;

function plain(socket: Socket, received: Received): { socket: Socket; rest: undefined } {
  socket.on('data', (chunk: Buffer) => {
    if (!received(view(chunk, 0, chunk.length))) socket.pause();
  });
  socket.resume();
  return { socket, rest: undefined };
}

/** A socket over the same handle that reads into the shared buffer: Node offers that for sockets it makes, not for those that it accepts. */
function adopt(old: Socket, received: Received): { readonly socket: Socket; readonly rest: Uint8Array | undefined } {
  const owner = old as unknown as WithHandle;
  const handle = owner._handle;
  if (handle === undefined || handle === null || old.writableLength > 0 || old.readableEnded || old.destroyed) {
    return plain(old, received);
  }
  handle.reading = false;
  handle.readStop();
  const rest = old.read() as Buffer | null;
  owner._handle = null;
  old.removeAllListeners();
  old.on('error', () => {});
  const { allowHalfOpen } = old;
  old.destroy(); // only its shell: a server no longer counts it
  const onread = {
    buffer: shared,
    callback: (count: number, buffer: Uint8Array): boolean =>
      received(buffer === shared ? sharedView(count) : buffer.subarray(0, count)),
  };
  const options = { handle, allowHalfOpen, onread };
  const socket = new Socket(options as unknown as ConstructorParameters<typeof Socket>[0]);
  socket.resume(); // also what tells of the end
  return { socket, rest: rest === null ? undefined : view(rest, 0, rest.length) };
}

const sharedBytes = view(shared, 0, receiveBytes);
function sharedView(count: number): Uint8Array {
  return sharedBytes.subarray(0, count);
}
