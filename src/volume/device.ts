import { assert } from '../base/assert.ts';
import { crcOf } from '../base/crc32c.ts';
import { blockBytes, chunkBytes, type VolumeId } from '../base/ids.ts';
import { arcOf } from '../ring/keys.ts';
import type { BlockRangeFields, OpBody, ReadReply } from '../wire/peer/types.ts';
import { Authority, type HostIdentity, type RecordSource } from './authority.ts';
import {
  type BlockDevice,
  compareBytesMax,
  type CompareResult,
  type Extent,
  type ExtentsResult,
  type HostCommand,
  type HostReservations,
  type IoErrorCode,
  type IoResult,
  type ReadResult,
} from './block-device.ts';
import type { Gateway } from './gateway.ts';
import type { OpOutcome } from './operation.ts';
import { compareResult, ok, ioResult, worst } from './results.ts';
import { blockCrcs, cutByChunk, PieceCursor, repeated, zeroPieces } from './pieces.ts';
import type { VolumeRecord } from './records.ts';
import { isPresent, verifiedParts } from './verify.ts';

/** Reads whose checksums don't hold are asked again; then the host hears of it. */
const badReadsMax = 3;
/** An operation refused for its epoch reads the record again; more often than this means that the volume is in trouble. */
const reauthorizeMax = 3;
/** Extents of one answer look at no more chunks than this. */
const extentChunksMax = 64;

type IoFailure = { readonly ok: false; readonly code: IoErrorCode };

/** The operation under a given epoch: made anew when the epoch was refused. */
type BodyAt = (epoch: number) => OpBody;

/** What a range is filled with: whole blocks, and the bytes at its edges (undefined: left as they are). */
interface Filling {
  readonly blocks: (range: BlockRangeFields) => BodyAt;
  readonly edge: ((offset: number, lengthBytes: number) => readonly Uint8Array[]) | undefined;
}

/** A volume at one gateway: cuts I/O by chunk, sends each piece to its arc, verifies what comes back (INV-4). */
export class VolumeDevice implements BlockDevice {
  readonly #gateway: Gateway;
  readonly #arcs: number;
  readonly #authority: Authority;
  #isClosed = false;

  constructor(gateway: Gateway, arcs: number, record: VolumeRecord, identity: HostIdentity, source: RecordSource) {
    this.#gateway = gateway;
    this.#arcs = arcs;
    this.#authority = new Authority(source, identity, record);
  }

  get #record(): VolumeRecord {
    return this.#authority.record;
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
  get readOnly(): boolean {
    return this.#record.access.readOnly;
  }
  get reservations(): HostReservations {
    return this.#authority;
  }

  // ---- reads ------------------------------------------------------------------------------------------------------

  /** Not async: nearly all reads are one piece, whose promise is the answer. */
  read(offset: number, lengthBytes: number): Promise<ReadResult> {
    if (!this.#inside(offset, lengthBytes)) return Promise.resolve({ ok: false, code: 'OUT_OF_RANGE' });
    if (Math.floor(offset / chunkBytes) === Math.floor((offset + lengthBytes - 1) / chunkBytes)) {
      return this.#readPiece(offset, lengthBytes);
    }
    return this.#readPieces(offset, lengthBytes);
  }

  async #readPieces(offset: number, lengthBytes: number): Promise<ReadResult> {
    const pieces = await Promise.all(
      cutByChunk(offset, lengthBytes).map((piece) => this.#readPiece(piece.offset, piece.length)),
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
    if (this.#authority.refusal('read') !== undefined) {
      const refused = await this.#authority.renewed('read');
      if (refused !== undefined) return refused;
    }
    for (let tries = 0; tries < reauthorizeMax; tries++) {
      const epoch = this.#record.epoch;
      const reply = await this.#gateway.exchange<ReadReply>(arc, (request) => ({
        type: 'read',
        request,
        arc,
        epoch,
        range,
        mapOnly,
      }));
      if (typeof reply === 'string') return 'RETRYABLE';
      if (reply.code === 'ok') return reply;
      if (reply.code !== 'fenced') return 'CORRUPT';
      const refused = await this.#authority.renewed('read');
      if (refused !== undefined) return refused;
    }
    return 'RETRYABLE';
  }

  async extents(offset: number, lengthBytes: number): Promise<ExtentsResult> {
    if (!this.#inside(offset, lengthBytes)) return { ok: false, code: 'OUT_OF_RANGE' };
    const pieces = cutByChunk(offset, lengthBytes).slice(0, extentChunksMax);
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

  /** Not async: nearly all writes are one piece, whose promise is the answer. */
  write(offset: number, data: readonly Uint8Array[], command?: HostCommand): Promise<IoResult> {
    let lengthBytes = 0;
    for (const piece of data) lengthBytes += piece.length;
    if (!this.#inside(offset, lengthBytes)) return Promise.resolve({ ok: false, code: 'OUT_OF_RANGE' });
    if (lengthBytes === 0) return Promise.resolve(ok);
    if (Math.floor(offset / chunkBytes) === Math.floor((offset + lengthBytes - 1) / chunkBytes)) {
      return this.#writePiece(offset, lengthBytes, data, command);
    }
    return this.#writePieces(offset, lengthBytes, data, command);
  }

  async #writePieces(
    offset: number,
    lengthBytes: number,
    data: readonly Uint8Array[],
    command: HostCommand | undefined,
  ): Promise<IoResult> {
    const cursor = new PieceCursor(data);
    const pieces = cutByChunk(offset, lengthBytes).map((piece) =>
      this.#writePiece(piece.offset, piece.length, cursor.take(piece.length), command),
    );
    return worst(await Promise.all(pieces));
  }

  /** Within one chunk: whole blocks as they are, anything else as a patch that the leader merges. */
  #writePiece(
    offset: number,
    lengthBytes: number,
    data: readonly Uint8Array[],
    command: HostCommand | undefined,
  ): Promise<IoResult> {
    const chunk = Math.floor(offset / chunkBytes);
    if (offset % blockBytes === 0 && lengthBytes % blockBytes === 0) {
      const range = this.#blocksAround(offset, lengthBytes);
      const crcs = blockCrcs(data, range.blockCount);
      return this.#change(chunk, command, (epoch) => ({ kind: 'write', epoch, range, crcs, data }));
    }
    const { id: volume } = this.#record;
    const crc = crcOf(data);
    const byteOffset = offset % chunkBytes;
    return this.#change(chunk, command, (epoch) => ({
      kind: 'patch',
      epoch,
      volume,
      layer: 0,
      chunk,
      byteOffset,
      crc,
      data,
    }));
  }

  async compareAndWrite(
    offset: number,
    expected: Uint8Array,
    data: Uint8Array,
    command?: HostCommand,
  ): Promise<CompareResult> {
    assert(expected.length === data.length, 'as many bytes are written as compared');
    if (!this.#inside(offset, data.length) || data.length > compareBytesMax) return { ok: false, code: 'OUT_OF_RANGE' };
    if (data.length === 0) return ok;
    const chunk = Math.floor(offset / chunkBytes);
    const byteOffset = offset % chunkBytes;
    if (byteOffset + data.length > chunkBytes) return { ok: false, code: 'OUT_OF_RANGE' };
    const { id: volume } = this.#record;
    const both = [expected, data];
    const crc = crcOf(both);
    return this.#decided(chunk, command, compareResult, (epoch) => ({
      kind: 'compareWrite',
      epoch,
      volume,
      layer: 0,
      chunk,
      byteOffset,
      crc,
      data: both,
    }));
  }

  async writeSame(offset: number, lengthBytes: number, block: Uint8Array, command?: HostCommand): Promise<IoResult> {
    assert(blockBytes % block.length === 0, 'a block repeats evenly');
    assert(offset % block.length === 0 && lengthBytes % block.length === 0, 'the range is made of whole blocks');
    if (!this.#inside(offset, lengthBytes)) return { ok: false, code: 'OUT_OF_RANGE' };
    const whole = block.length === blockBytes ? block : repeated(block);
    const data = [whole];
    const crc = crcOf(data);
    return this.#fill(offset, lengthBytes, command, {
      blocks: (range) => (epoch) => ({ kind: 'writeSame', epoch, range, crc, data }),
      edge: (at, length) => [whole.subarray(at % blockBytes, (at % blockBytes) + length)],
    });
  }

  /** Space is given back in either case: a hole reads as zeros, and no reservation is kept for blocks that exist. */
  zero(
    offset: number,
    lengthBytes: number,
    _options: { readonly mayPunch: boolean },
    command?: HostCommand,
  ): Promise<IoResult> {
    return this.#fill(offset, lengthBytes, command, { blocks: zeroBlocks, edge: (_at, length) => zeroPieces(length) });
  }

  trim(offset: number, lengthBytes: number, command?: HostCommand): Promise<IoResult> {
    return this.#fill(offset, lengthBytes, command, { blocks: zeroBlocks, edge: undefined });
  }

  /** Whole blocks by one operation per chunk; what is cut off at the edges as patches, or left as it is. */
  async #fill(
    offset: number,
    lengthBytes: number,
    command: HostCommand | undefined,
    filling: Filling,
  ): Promise<IoResult> {
    if (!this.#inside(offset, lengthBytes)) return { ok: false, code: 'OUT_OF_RANGE' };
    const { blocks, edge } = filling;
    const results: Promise<IoResult>[] = [];
    const patch = (from: number, to: number) => {
      // A patch lies within the blocks at one edge: an edge of a filling is never longer than that.
      for (let at = from; edge !== undefined && at < to; ) {
        const end = Math.min(to, (Math.floor(at / blockBytes) + 1) * blockBytes);
        results.push(this.#writePiece(at, end - at, edge(at, end - at), command));
        at = end;
      }
    };
    for (const piece of cutByChunk(offset, lengthBytes)) {
      const pieceEnd = piece.offset + piece.length;
      const start = Math.ceil(piece.offset / blockBytes) * blockBytes;
      const end = Math.floor(pieceEnd / blockBytes) * blockBytes;
      if (start >= end) {
        patch(piece.offset, pieceEnd);
        continue;
      }
      patch(piece.offset, start);
      patch(end, pieceEnd);
      const range = this.#blocksAround(start, end - start);
      results.push(this.#change(range.chunk, command, blocks(range)));
    }
    return worst(await Promise.all(results));
  }

  /** Nothing left to do: an acknowledged write is durable on a majority (design §10.15). */
  flush(): Promise<IoResult> {
    return Promise.resolve(ok);
  }

  #change(chunk: number, command: HostCommand | undefined, bodyAt: BodyAt): Promise<IoResult> {
    return this.#decided(chunk, command, ioResult, bodyAt);
  }

  /** How one piece ended; fenced for its epoch, it is asked again under the record as it is now. */
  async #decided<Result>(
    chunk: number,
    command: HostCommand | undefined,
    resultOf: (outcome: OpOutcome) => Result,
    bodyAt: BodyAt,
  ): Promise<Result | IoFailure> {
    const arc = arcOf(this.#record.id, chunk, this.#arcs);
    if (this.#authority.refusal('write') !== undefined) {
      // The rules may have changed for the better since: nobody tells.
      const refused = await this.#authority.renewed('write');
      if (refused !== undefined) return { ok: false, code: refused };
    }
    const { resets } = this.#authority;
    for (let tries = 0; tries < reauthorizeMax; tries++) {
      const outcome = await this.#gateway.operate(arc, bodyAt(this.#record.epoch), { command });
      if (outcome.code !== 'fenced') return resultOf(outcome);
      const refused = await this.#authority.renewed('write');
      if (refused !== undefined) return { ok: false, code: refused };
      // Whoever reset the volume was told that nothing of before lands any more.
      if (this.#authority.resets !== resets) break;
    }
    return { ok: false, code: 'RETRYABLE' };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#authority.close();
    this.#gateway.hosts.left();
  }

  // ---- shape ------------------------------------------------------------------------------------------

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

function zeroBlocks(range: BlockRangeFields): BodyAt {
  return (epoch) => ({ kind: 'zero', epoch, range });
}
