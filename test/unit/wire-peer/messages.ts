import fc from 'fast-check';
import type { ArcId, CoreletId, VolumeId } from '../../../src/base/ids.ts';
import { blockBytes, chunkBytes } from '../../../src/base/ids.ts';
import type { PeerMessageType } from '../../../src/wire/peer/codec.ts';
import { copyReplyCodes } from '../../../src/wire/peer/copy.ts';
import { peerLimits } from '../../../src/wire/peer/limits.ts';
import type { BlockRangeFields, OpBody, PeerMessage, Replica, WireEntry } from '../../../src/wire/peer/types.ts';
import { epochActions, replyCodes } from '../../../src/wire/peer/types.ts';

// Any valid message of every type, small enough that a property can look at every byte of it.

const u8 = fc.integer({ min: 0, max: 255 });
const u32 = fc.nat(0xffff_ffff);
const u64 = fc.oneof(fc.nat(1000), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const id = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((raw) => Array.from(raw, (byte) => byte.toString(16).padStart(2, '0')).join('') as CoreletId);
const arc = fc.integer({ min: 0, max: peerLimits.arcsMax - 1 }).map((value) => value as ArcId);
const volume = u64.map((value) => value as VolumeId);
const between = { arc, fromGeneration: u32, toGeneration: u32, term: u64 };
const replyCode = fc.constantFrom(...replyCodes);
const optionalId = fc.option(id, { nil: undefined });
const key = fc.string({ unit: 'grapheme', maxLength: 20 });

const range: fc.Arbitrary<BlockRangeFields> = fc
  .record({ volume, layer: u32, chunk: u64, firstBlock: u8, blockCount: fc.integer({ min: 1, max: 3 }) })
  .map((fields) => ({ ...fields, firstBlock: Math.min(fields.firstBlock, 256 - fields.blockCount) }));

/** One piece, or two of uneven length: how the sender holds its data doesn't matter to the receiver. */
function dataOf(byteCount: number, seed: number, twoPieces: boolean): readonly Uint8Array[] {
  if (byteCount === 0) return [];
  const all = new Uint8Array(byteCount);
  for (let i = 0; i < byteCount; i += 97) all[i] = (seed + i) & 255;
  const middle = byteCount >>> 2;
  return twoPieces && middle > 0 ? [all.subarray(0, middle), all.subarray(middle)] : [all];
}
const dataSeed = fc.tuple(u8, fc.boolean());
const crcsOf = (count: number) =>
  fc.array(u32, { minLength: count, maxLength: count }).map((all) => Uint32Array.from(all));

const entryShape = fc
  .tuple(fc.option(range, { nil: undefined }), fc.boolean(), dataSeed)
  .chain(([blocks, wantsData, [seed, two]]) => {
    const count = wantsData && blocks !== undefined ? blocks.blockCount : 0;
    const data = fc.constant(dataOf(count * blockBytes, seed, two));
    return fc.record({ term: u64, kind: u8, head: bytes(40), range: fc.constant(blocks), crcs: crcsOf(count), data });
  });

const append = fc
  .tuple(
    fc.record({ ...between, prevIndex: fc.nat(1e12), prevTerm: u64, commit: u64 }),
    fc.array(entryShape, { maxLength: 3 }),
  )
  .map(([fields, shapes]) => {
    const entries: WireEntry[] = shapes.map((shape, at) => ({ ...shape, index: fields.prevIndex + 1 + at }));
    return { type: 'append' as const, ...fields, entries };
  });

const writeBody: fc.Arbitrary<OpBody> = fc.tuple(range, u64, dataSeed).chain(([blocks, epoch, [seed, two]]) =>
  crcsOf(blocks.blockCount).map((crcs) => ({
    kind: 'write',
    epoch,
    range: blocks,
    crcs,
    data: dataOf(blocks.blockCount * blockBytes, seed, two),
  })),
);
const patchBody: fc.Arbitrary<OpBody> = fc
  .record({
    epoch: u64,
    volume,
    layer: u32,
    chunk: u64,
    byteOffset: fc.nat(chunkBytes - 700),
    crc: u32,
    length: fc.integer({ min: 1, max: 700 }),
    seed: dataSeed,
  })
  .map(({ length, seed: [seed, two], ...fields }) => ({ kind: 'patch', ...fields, data: dataOf(length, seed, two) }));
const compareWriteBody: fc.Arbitrary<OpBody> = fc
  .record({
    epoch: u64,
    volume,
    layer: u32,
    chunk: u64,
    byteOffset: fc.nat(chunkBytes - 4096),
    crc: u32,
    length: fc.integer({ min: 1, max: 600 }),
    seed: dataSeed,
  })
  .map(({ length, seed: [seed, two], ...fields }) => ({
    kind: 'compareWrite',
    ...fields,
    data: dataOf(2 * length, seed, two),
  }));
const writeSameBody: fc.Arbitrary<OpBody> = fc
  .record({ epoch: u64, range, crc: u32, seed: dataSeed })
  .map(({ seed: [seed, two], ...fields }) => ({ kind: 'writeSame', ...fields, data: dataOf(blockBytes, seed, two) }));
const ticket = fc.option(fc.record({ incarnation: u64, issuedMs: u64 }), { nil: undefined });
const body: fc.Arbitrary<OpBody> = fc.oneof(
  fc.constant<OpBody>({ kind: 'openSession' }),
  fc.constant<OpBody>({ kind: 'cancel' }),
  writeBody,
  patchBody,
  compareWriteBody,
  writeSameBody,
  fc.record({ kind: fc.constant('zero' as const), epoch: u64, range }),
  fc.record({
    kind: fc.constant('epoch' as const),
    volume,
    epoch: u64,
    action: fc.constantFrom(...epochActions),
  }),
  fc.record({ kind: fc.constant('key' as const), key, expectedVersion: u64, value: bytes(30) }),
);

const readReply = fc
  .tuple(bytes(2), fc.boolean(), dataSeed, fc.record({ request: u32, code: replyCode, leader: optionalId }))
  .chain(([present, withData, [seed, two], fields]) => {
    let count = 0;
    if (withData) for (const byte of present) count += byte.toString(2).replaceAll('0', '').length;
    const data = dataOf(count * blockBytes, seed, two);
    return crcsOf(count).map((crcs) => ({ type: 'readReply' as const, ...fields, present, crcs, data }));
  });

const replicas = fc.array(
  fc.record({ id, generation: u32 }).map((replica): Replica => replica),
  { maxLength: 4 },
);
const route = fc.record({
  arc,
  term: u64,
  leader: id,
  configurationIndex: u64,
  voters: replicas,
  votersOutgoing: replicas,
  learners: replicas,
  complete: u8,
  healBytesLeft: u64,
  waitsForRoom: fc.boolean(),
});

const blockList = (maxLength: number) =>
  fc.uniqueArray(u8, { maxLength }).chain((blocks) =>
    fc.record({
      blocks: fc.constant(Uint16Array.from(blocks.toSorted((a, b) => a - b))),
      versions: fc
        .array(u64, { minLength: blocks.length, maxLength: blocks.length })
        .map((all) => Float64Array.from(all)),
    }),
  );
const copyFields = { copy: u32, sequence: u64, volume, layer: u32, chunk: u64 };
const copyChunk = fc
  .tuple(blockList(3), blockList(8), dataSeed, fc.record({ ...between, ...copyFields }))
  .chain(([held, empty, [seed, two], fields]) =>
    crcsOf(held.blocks.length).map((crcs) => ({
      type: 'copyChunk' as const,
      ...fields,
      ...held,
      crcs,
      emptyBlocks: empty.blocks,
      emptyVersions: empty.versions,
      data: dataOf(held.blocks.length * blockBytes, seed, two),
    })),
  );

const blocksAsked = fc.record({ request: u32, volume, layer: u32, chunk: u64, floor: u64 });
const fetch = fc
  .tuple(blockList(5), blocksAsked, fc.record(between))
  .map(([wanted, asked, fields]) => ({ type: 'fetch' as const, ...fields, ...asked, ...wanted }));
const quarantine = fc
  .tuple(blockList(5), fc.record({ ...between, volume, layer: u32, chunk: u64 }))
  .map(([{ blocks, versions }, fields]) => ({ type: 'quarantine' as const, ...fields, blocks, versions }));
const fetchReply = fc
  .tuple(
    blockList(3),
    blockList(8),
    dataSeed,
    fc.record({ ...between, request: u32, code: fc.constantFrom('ok' as const, 'behind' as const, 'none' as const) }),
  )
  .chain(([held, empty, [seed, two], fields]) =>
    crcsOf(held.blocks.length).map((crcs) => ({
      type: 'fetchReply' as const,
      ...fields,
      ...held,
      crcs,
      emptyBlocks: empty.blocks,
      emptyVersions: empty.versions,
      data: dataOf(held.blocks.length * blockBytes, seed, two),
    })),
  );

const holdings = fc.option(
  fc.tuple(blockList(5), blockList(8)).chain(([held, empty]) =>
    crcsOf(held.blocks.length).map((crcs) => ({
      ...held,
      crcs,
      emptyBlocks: empty.blocks,
      emptyVersions: empty.versions,
    })),
  ),
  { nil: undefined },
);

const typed = <Type extends PeerMessageType, Fields>(
  type: Type,
  fields: { [K in keyof Fields]: fc.Arbitrary<Fields[K]> },
) => fc.record(fields).map((record) => ({ type, ...record }));

const opMessage = typed('op', { request: u32, arc, session: u64, number: u64, lowestOpen: u64, ticket, body });
const readMessage = typed('read', { request: u32, arc, epoch: u64, range, mapOnly: fc.boolean() });
const keyReadMessage = typed('keyRead', { request: u32, arc, key, prefix: fc.boolean() });

export const messageOfType: { readonly [Type in PeerMessageType]: fc.Arbitrary<Extract<PeerMessage, { type: Type }>> } =
  {
    liveness: typed('liveness', {
      sequence: u32,
      echo: u32,
      echoHeldUs: u32,
      nextMs: u32,
      answer: fc.boolean(),
      wantsTickets: fc.boolean(),
      ticketMs: fc.double({ min: 0, max: 1e15, noNaN: true }).map((ms) => ms + 0),
      flashWaitMs: u32,
      viewNumber: u64,
      ledDigest: u32,
      syncedBatches: u64,
      usedBytes: u64,
      sizeBytes: u64,
      syncUs: u32,
    }),
    membership: typed('membership', { body: bytes(100) }),
    append,
    appendReply: typed('appendReply', { ...between, matched: fc.boolean(), index: u64, hintTerm: u64 }),
    vote: typed('vote', { ...between, lastIndex: u64, lastTerm: u64, pre: fc.boolean(), transfer: fc.boolean() }),
    voteReply: typed('voteReply', { ...between, pre: fc.boolean(), granted: fc.boolean() }),
    readProbe: typed('readProbe', { ...between, context: u32 }),
    readProbeReply: typed('readProbeReply', { ...between, context: u32 }),
    timeoutNow: typed('timeoutNow', between),
    relay: fc
      .tuple(id, fc.oneof(opMessage, readMessage, keyReadMessage))
      .map(([leader, question]) => ({ type: 'relay' as const, leader, question })),
    op: opMessage,
    opReply: typed('opReply', { request: u32, code: replyCode, leader: optionalId, version: u64 }),
    read: readMessage,
    readReply,
    keyRead: keyReadMessage,
    keyReply: typed('keyReply', {
      request: u32,
      code: replyCode,
      leader: optionalId,
      entries: fc.array(fc.record({ key, version: u64, value: bytes(20) }), { maxLength: 4 }),
    }),
    complaint: typed('complaint', { arc, leader: id }),
    routes: typed('routes', { ask: fc.boolean(), routes: fc.array(route, { maxLength: 4 }) }),
    retire: typed('retire', { arc, generation: u32, configurationIndex: u64 }),
    copyOffer: typed('copyOffer', { ...between, copy: u32, index: u64, bytes: u64, voter: fc.boolean() }),
    copyCheck: typed('copyCheck', { ...between, copy: u32, check: u32, volume, layer: u32, chunk: u64, digest: u32 }),
    fetch,
    fetchReply,
    scrub: typed('scrub', {
      ...between,
      request: u32,
      volume,
      layer: u32,
      chunk: u64,
      index: u64,
      digest: u32,
      holdings,
    }),
    scrubReply: typed('scrubReply', {
      ...between,
      request: u32,
      code: fc.constantFrom('same' as const, 'differs' as const, 'later' as const),
      holdings,
    }),
    quarantine,
    question: typed('question', {
      arcs: fc.array(fc.record({ arc, generation: u32, lost: fc.boolean() }), { maxLength: 4 }),
    }),
    answer: typed('answer', {
      syncedSequence: u64,
      arcs: fc.array(fc.record({ arc, generation: u32, term: u64, index: u64, voteTerm: u64, lost: fc.boolean() }), {
        maxLength: 4,
      }),
    }),
    copyChunk,
    copyFinish: typed('copyFinish', { ...between, copy: u32, index: u64, indexTerm: u64, state: bytes(200) }),
    copyReply: typed('copyReply', {
      ...between,
      copy: u32,
      code: fc.constantFrom(...copyReplyCodes),
      number: u64,
    }),
  };

export const anyMessage: fc.Arbitrary<PeerMessage> = fc.oneof(...Object.values(messageOfType));

/** Joins payload pieces, so that messages compare by content. */
export function flat(message: PeerMessage): unknown {
  return JSON.parse(JSON.stringify(message, flatten));
}
function flatten(name: string, value: unknown): unknown {
  if (name === 'data' && Array.isArray(value)) return value.map((piece) => Buffer.from(piece).toString('hex')).join('');
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (value instanceof Uint16Array || value instanceof Uint32Array || value instanceof Float64Array) return [...value];
  return value;
}

export function join(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
