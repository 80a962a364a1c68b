import { joined } from '../base/bytes.ts';
import { crc32c, crcOf } from '../base/crc32c.ts';
import { blockBytes, chunkBytes, type VolumeId } from '../base/ids.ts';
import { arcOf } from '../ring/keys.ts';
import type { BlockRangeFields, OpBody, ReadReply } from '../wire/peer/types.ts';
import type { BlockDevice, Extent, ExtentsResult, IoErrorCode, IoResult, ReadResult } from './block-device.ts';
import type { Gateway, OpOutcome } from './gateway.ts';
import { blockCrcs, PieceCursor, pushZeros } from './pieces.ts';
import type { VolumeRecord } from './records.ts';

/** Reads whose checksums don't hold are asked again; then the host hears of it. */
const badReadsMax = 3;
/** An operation refused for its epoch reads the record again; more often than this means that the volume is in trouble. */
const reauthorizeMax = 3;
/** Extents of one answer look at no more chunks than this. */
const extentChunksMax = 64;

const ok: IoResult = { ok: true };

/** What the device asks of its catalog when its epoch is refused: the record as it is now. */
export type Reauthorize = (id: VolumeId) => Promise<VolumeRecord | 'NOT_FOUND' | 'RETRYABLE'>;

/** A volume at one gateway: cuts I/O by chunk, sends each piece to its arc, verifies what comes back (INV-4). */
export class VolumeDevice implements BlockDevice {
  readonly readOnly = false;
  readonly #gateway: Gateway;
  readonly #arcs: number;
  readonly #reauthorize: Reauthorize;
  #record: VolumeRecord;

  constructor(gateway: Gateway, arcs: number, record: VolumeRecord, reauthorize: Reauthorize) {
    this.#gateway = gateway;
    this.#arcs = arcs;
    this.#record = record;
    this.#reauthorize = reauthorize;
  }

  get id(): VolumeId {
    return this.#record.id;
  }
  get name(): string {
    return this.#record.name;
  }
  get sizeBytes(): number {
    return this.#record.sizeBytes;
  }

  // ---- reads ------------------------------------------------------------------------------------------------------

  async read(offset: number, lengthBytes: number): Promise<ReadResult> {
    if (!this.#inside(offset, lengthBytes)) return { ok: false, code: 'OUT_OF_RANGE' };
    if (Math.floor(offset / chunkBytes) === Math.floor((offset + lengthBytes - 1) / chunkBytes)) {
      return this.#readPiece(offset, lengthBytes);
    }
    const pieces = await Promise.all(
      cut(offset, lengthBytes).map((piece) => this.#readPiece(piece.offset, piece.length)),
    );
    const parts: Uint8Array[] = [];
    for (const piece of pieces) {
      if (!piece.ok) return piece;
      parts.push(...piece.parts);
    }
    return { ok: true, parts };
  }

  /** Within one chunk. */
  async #readPiece(offset: number, lengthBytes: number): Promise<ReadResult> {
    const range = this.#blocksAround(offset, lengthBytes);
    const skip = (offset % chunkBytes) - range.firstBlock * blockBytes;
    for (let bad = 0; bad < badReadsMax; ) {
      const reply = await this.#askBlocks(range, false);
      if (typeof reply === 'string') return { ok: false, code: reply };
      const parts = verifiedParts(reply, range, skip, lengthBytes);
      if (parts !== undefined) return { ok: true, parts };
      bad += 1;
    }
    return { ok: false, code: 'CORRUPT' };
  }

  async #askBlocks(range: BlockRangeFields, mapOnly: boolean): Promise<ReadReply | IoErrorCode> {
    const arc = arcOf(range.volume, range.chunk, this.#arcs);
    for (let tries = 0; tries < reauthorizeMax; tries++) {
      const epoch = this.#record.epoch;
      const end = await this.#gateway.exchange<ReadReply>(arc, (request) => ({
        type: 'read',
        request,
        arc,
        epoch,
        range,
        mapOnly,
      }));
      if (end === 'timeout') return 'RETRYABLE';
      if (end.reply.code === 'ok') return end.reply;
      if (end.reply.code !== 'fenced') return 'CORRUPT';
      const gone = await this.#renew();
      if (gone !== undefined) return gone;
    }
    return 'RETRYABLE';
  }

  async extents(offset: number, lengthBytes: number): Promise<ExtentsResult> {
    if (!this.#inside(offset, lengthBytes)) return { ok: false, code: 'OUT_OF_RANGE' };
    const pieces = cut(offset, lengthBytes).slice(0, extentChunksMax);
    const answers = await Promise.all(
      pieces.map(async (piece) => {
        const range = this.#blocksAround(piece.offset, piece.length);
        return { piece, range, reply: await this.#askBlocks(range, true) };
      }),
    );
    const extents: { lengthBytes: number; kind: Extent['kind'] }[] = [];
    for (const { piece, range, reply } of answers) {
      if (typeof reply === 'string') return { ok: false, code: reply };
      let at = piece.offset % chunkBytes;
      const end = at + piece.length;
      for (let i = 0; i < range.blockCount; i++) {
        const blockEnd = Math.min(end, (range.firstBlock + i + 1) * blockBytes);
        const kind = isPresent(reply.present, i) ? 'data' : 'hole';
        const last = extents.at(-1);
        if (last?.kind === kind) last.lengthBytes += blockEnd - at;
        else extents.push({ lengthBytes: blockEnd - at, kind });
        at = blockEnd;
      }
    }
    return { ok: true, extents };
  }

  // ---- writes -----------------------------------------------------------------------------------------------------

  async write(offset: number, data: readonly Uint8Array[]): Promise<IoResult> {
    let lengthBytes = 0;
    for (const piece of data) lengthBytes += piece.length;
    if (!this.#inside(offset, lengthBytes)) return { ok: false, code: 'OUT_OF_RANGE' };
    if (lengthBytes === 0) return ok;
    if (Math.floor(offset / chunkBytes) === Math.floor((offset + lengthBytes - 1) / chunkBytes)) {
      return this.#writePiece(offset, lengthBytes, data);
    }
    const cursor = new PieceCursor(data);
    const pieces = cut(offset, lengthBytes).map((piece) =>
      this.#writePiece(piece.offset, piece.length, cursor.take(piece.length)),
    );
    return worst(await Promise.all(pieces));
  }

  /** Within one chunk: whole blocks as they are, anything else as a patch that the leader merges. */
  #writePiece(offset: number, lengthBytes: number, data: readonly Uint8Array[]): Promise<IoResult> {
    const chunk = Math.floor(offset / chunkBytes);
    if (offset % blockBytes === 0 && lengthBytes % blockBytes === 0) {
      const range = this.#blocksAround(offset, lengthBytes);
      const crcs = blockCrcs(data, range.blockCount);
      return this.#change(chunk, (epoch) => ({ kind: 'write', epoch, range, crcs, data }));
    }
    const { id: volume } = this.#record;
    const crc = crcOf(data);
    const byteOffset = offset % chunkBytes;
    return this.#change(chunk, (epoch) => ({ kind: 'patch', epoch, volume, layer: 0, chunk, byteOffset, crc, data }));
  }

  /** Space is given back in either case: a hole reads as zeros, and no reservation is kept for blocks that exist. */
  zero(offset: number, lengthBytes: number, _options: { readonly mayPunch: boolean }): Promise<IoResult> {
    return this.#erase(offset, lengthBytes, true);
  }

  trim(offset: number, lengthBytes: number): Promise<IoResult> {
    return this.#erase(offset, lengthBytes, false);
  }

  async #erase(offset: number, lengthBytes: number, edges: boolean): Promise<IoResult> {
    if (!this.#inside(offset, lengthBytes)) return { ok: false, code: 'OUT_OF_RANGE' };
    const results: Promise<IoResult>[] = [];
    for (const piece of cut(offset, lengthBytes)) {
      const start = Math.ceil(piece.offset / blockBytes) * blockBytes;
      const end = Math.floor((piece.offset + piece.length) / blockBytes) * blockBytes;
      if (start >= end) {
        if (edges) results.push(this.#writePiece(piece.offset, piece.length, zeroPieces(piece.length)));
        continue;
      }
      const head = start - piece.offset;
      const tail = piece.offset + piece.length - end;
      if (edges && head > 0) results.push(this.#writePiece(piece.offset, head, zeroPieces(head)));
      if (edges && tail > 0) results.push(this.#writePiece(end, tail, zeroPieces(tail)));
      const range = this.#blocksAround(start, end - start);
      results.push(this.#change(range.chunk, (epoch) => ({ kind: 'zero', epoch, range })));
    }
    return worst(await Promise.all(results));
  }

  /** Nothing left to do: an acknowledged write is durable on a majority (design §10.15). */
  flush(): Promise<IoResult> {
    return Promise.resolve(ok);
  }

  async #change(chunk: number, bodyAt: (epoch: number) => OpBody): Promise<IoResult> {
    const arc = arcOf(this.#record.id, chunk, this.#arcs);
    for (let tries = 0; tries < reauthorizeMax; tries++) {
      const outcome = await this.#gateway.operate(arc, bodyAt(this.#record.epoch));
      if (outcome.code === 'ok') return ok;
      if (outcome.code !== 'fenced') return { ok: false, code: ioCode(outcome.code) };
      const gone = await this.#renew();
      if (gone !== undefined) return { ok: false, code: gone };
    }
    return { ok: false, code: 'RETRYABLE' };
  }

  // ---- authority and shape ------------------------------------------------------------------------------------------

  /** Undefined: the record is read anew and still allows I/O. */
  async #renew(): Promise<IoErrorCode | undefined> {
    const record = await this.#reauthorize(this.#record.id);
    if (record === 'RETRYABLE') return 'RETRYABLE';
    if (record === 'NOT_FOUND' || record.state !== 'open') return 'GONE';
    this.#record = record;
    return undefined;
  }

  #inside(offset: number, lengthBytes: number): boolean {
    return offset >= 0 && lengthBytes >= 0 && offset + lengthBytes <= this.#record.sizeBytes;
  }

  #blocksAround(offset: number, lengthBytes: number): BlockRangeFields {
    const chunk = Math.floor(offset / chunkBytes);
    const within = offset - chunk * chunkBytes;
    const firstBlock = Math.floor(within / blockBytes);
    const blockCount = Math.max(1, Math.ceil((within + lengthBytes) / blockBytes) - firstBlock);
    return { volume: this.#record.id, layer: 0, chunk, firstBlock, blockCount };
  }
}

function cut(offset: number, lengthBytes: number): { offset: number; length: number }[] {
  const pieces: { offset: number; length: number }[] = [];
  const end = offset + lengthBytes;
  for (let at = offset; at < end; ) {
    const next = Math.min(end, (Math.floor(at / chunkBytes) + 1) * chunkBytes);
    pieces.push({ offset: at, length: next - at });
    at = next;
  }
  return pieces;
}

function zeroPieces(lengthBytes: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  pushZeros(parts, lengthBytes);
  return parts;
}

/** A command of several pieces is as good as its worst; an open outcome outweighs any refusal. */
function worst(results: readonly IoResult[]): IoResult {
  return (
    results.find((result) => !result.ok && result.code === 'UNKNOWN') ?? results.find((result) => !result.ok) ?? ok
  );
}

function ioCode(code: Exclude<OpOutcome['code'], 'ok' | 'fenced'>): IoErrorCode {
  if (code === 'full') return 'NO_SPACE';
  if (code === 'corrupt') return 'CORRUPT';
  return code === 'busy' || code === 'notLeader' ? 'RETRYABLE' : 'UNKNOWN';
}

function isPresent(bits: Uint8Array, block: number): boolean {
  return (((bits[block >>> 3] ?? 0) >>> (block & 7)) & 1) === 1;
}

/** The bytes wanted, as views of what came; undefined when a block isn't what its CRC says. */
function verifiedParts(
  reply: ReadReply,
  range: BlockRangeFields,
  skip: number,
  lengthBytes: number,
): Uint8Array[] | undefined {
  const data = reply.data.length > 1 ? joined(reply.data) : reply.data[0];
  const parts: Uint8Array[] = [];
  let run = 0; // start of the run of present blocks not yet pushed
  let taken = 0;
  let present = 0;
  const end = skip + lengthBytes;
  const pushRun = () => {
    if (data !== undefined && taken > run) parts.push(data.subarray(run, taken));
    run = taken;
  };
  for (let i = 0; i < range.blockCount; i++) {
    const from = Math.max(0, skip - i * blockBytes);
    const to = Math.min(blockBytes, end - i * blockBytes);
    if (!isPresent(reply.present, i)) {
      pushRun();
      pushZeros(parts, to - from);
      continue;
    }
    const at = present * blockBytes;
    if (data === undefined || data.length < at + blockBytes) return undefined;
    if (crc32c(data.subarray(at, at + blockBytes)) !== reply.crcs[present]) return undefined; // INV-4
    if (at + from !== taken) {
      pushRun();
      run = at + from;
    }
    taken = at + to;
    present += 1;
  }
  pushRun();
  return parts;
}
