import { assert } from '../../base/assert.ts';
import type { Reader, Writer } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { blockBytes } from '../../base/ids.ts';
import type { Codec } from './codec.ts';
import { readArc, readCrcs, readRange, writeBetweenReplicas, writeCrcs, writeRange } from './fields.ts';
import { peerLimits } from './limits.ts';
import type { PayloadSink, PayloadSource } from './payload.ts';
import type { Append, AppendReply, WireEntry } from './types.ts';

const hasRange = 1;
const hasData = 2;
const noCrcs = new Uint32Array(0);
/** term, index, kind, flags, head length. */
const entryBytesMin = 22;

// term u64 · index u64 · kind u8 · flags u8 (1 range, 2 data: only with a range) · headBytes u32 · head ·
// range if flagged · crcs u32 × blockCount if data · payload blockCount × 4,096 if data
function writeEntry(out: Writer, entry: WireEntry, payload: PayloadSink): void {
  const { range, crcs } = entry;
  const data = crcs.length > 0;
  assert(entry.head.length <= peerLimits.entryHeadBytesMax, 'entry head too long');
  assert(!data || crcs.length === range?.blockCount, 'one checksum per block');
  out.u64(entry.term);
  out.u64(entry.index);
  out.u8(entry.kind);
  out.u8((range === undefined ? 0 : hasRange) | (data ? hasData : 0));
  out.blob(entry.head);
  if (range !== undefined) writeRange(out, range);
  writeCrcs(out, crcs);
  payload.add(entry.data, crcs.length * blockBytes);
}

function readEntry(from: Reader, payload: PayloadSource): WireEntry {
  const term = from.u64();
  const index = from.u64();
  const kind = from.u8();
  const flags = from.u8();
  if (flags > 3 || flags === hasData) throw new RemoteProtocolError(`entry flags ${flags}`);
  const head = from.blob(peerLimits.entryHeadBytesMax);
  const range = (flags & hasRange) === 0 ? undefined : readRange(from);
  const blocks = (flags & hasData) === 0 || range === undefined ? 0 : range.blockCount;
  const crcs = blocks === 0 ? noCrcs : readCrcs(from, blocks);
  return { term, index, kind, head, range, crcs, data: payload.pieces(blocks * blockBytes) };
}

// between replicas (20 bytes) · prevIndex u64 · prevTerm u64 · commit u64 · entries u32 · entry × entries
export const appendCodec: Codec<Append> = {
  encode(out, message, payload) {
    const { entries } = message;
    assert(entries.length <= peerLimits.entriesPerAppendMax, 'too many entries in one append');
    writeBetweenReplicas(out, message);
    out.u64(message.prevIndex);
    out.u64(message.prevTerm);
    out.u64(message.commit);
    out.u32(entries.length);
    for (const entry of entries) writeEntry(out, entry, payload);
  },
  decode(from, payload) {
    const arc = readArc(from);
    const fromGeneration = from.u32();
    const toGeneration = from.u32();
    const term = from.u64();
    const prevIndex = from.u64();
    const prevTerm = from.u64();
    const commit = from.u64();
    const count = from.count(peerLimits.entriesPerAppendMax, entryBytesMin);
    // oxlint-disable-next-line unicorn/no-new-array -- of just its size: mostly one entry, and an empty array grows to seventeen
    const entries = new Array<WireEntry>(count);
    for (let i = 0; i < count; i++) {
      const entry = readEntry(from, payload);
      if (entry.index !== prevIndex + 1 + i) throw new RemoteProtocolError(`entry ${entry.index} out of its place`);
      entries[i] = entry;
    }
    return { type: 'append', arc, fromGeneration, toGeneration, term, prevIndex, prevTerm, commit, entries };
  },
};

// between replicas (20 bytes) · matched boolean · index u64 · hintTerm u64
export const appendReplyCodec: Codec<AppendReply> = {
  encode(out, message) {
    writeBetweenReplicas(out, message);
    out.boolean(message.matched);
    out.u64(message.index);
    out.u64(message.hintTerm);
  },
  decode(from) {
    return {
      type: 'appendReply',
      arc: readArc(from),
      fromGeneration: from.u32(),
      toGeneration: from.u32(),
      term: from.u64(),
      matched: from.boolean(),
      index: from.u64(),
      hintTerm: from.u64(),
    };
  },
};
