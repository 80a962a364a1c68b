import { AssertionFailed, unreachable } from '../base/assert.ts';
import { crc32c } from '../base/crc32c.ts';
import { blockBytes } from '../base/ids.ts';
import type { BlockRange, ChunkKey } from '../store/types.ts';
import type { OpBody, OpRequest, WriteSameBlocks } from '../wire/peer/types.ts';
import type { OpId } from './command.ts';
import { bodyOf, type EntryBody, entryBytes } from './entry.ts';
import { blocksOfCompare, blocksOfPatch } from './patches.ts';

/** Operations that the leader works out from what the chunk holds, before it proposes whole blocks. */
export type EvaluatedBody = Extract<OpBody, { kind: 'patch' | 'compareWrite' }>;

export function isEvaluated(body: OpBody): body is EvaluatedBody {
  return body.kind === 'patch' || body.kind === 'compareWrite';
}

export function opId(op: OpId): OpId {
  return { session: op.session, number: op.number, lowestOpen: op.lowestOpen };
}

/** The blocks that an operation may change; undefined where it changes none. */
export function rangeOf(body: OpBody): BlockRange | undefined {
  switch (body.kind) {
    case 'write':
    case 'writeSame':
    case 'zero':
      return body.range;
    case 'patch':
      return blocksOfPatch(body);
    case 'compareWrite':
      return blocksOfCompare(body);
    case 'openSession':
    case 'epoch':
    case 'key':
    case 'cancel':
      return undefined;
    default:
      return unreachable(body);
  }
}

/** The chunk whose gate an operation has to pass. */
export function chunkOf(body: OpBody): ChunkKey | undefined {
  if (body.kind === 'write' || body.kind === 'writeSame' || body.kind === 'zero') return body.range;
  return isEvaluated(body) ? body : undefined;
}

/** Bytes of log that an operation needs. */
export function bytesOf(body: OpBody): number {
  if (body.kind === 'key') return entryBytes(undefined, 64 + body.value.length, false);
  return entryBytes(rangeOf(body), 64, body.kind !== 'zero');
}

/** On a full device these still go through: they end in more room, or the cluster needs them to go on. */
export function givesSpaceBack(body: OpBody): boolean {
  return body.kind === 'zero' || body.kind === 'epoch' || body.kind === 'openSession' || body.kind === 'cancel';
}

/** … and these, where all of it lies over blocks that hold something. */
export function mayReplace(body: OpBody): boolean {
  return body.kind === 'write' || body.kind === 'writeSame' || isEvaluated(body);
}

/** Hosts' commands can be given up and retried elsewhere: they need a ticket (design §10.10). */
export function needsTicket(body: OpBody): boolean {
  return rangeOf(body) !== undefined;
}

/** The entry of an operation that needs no evaluation; undefined: its data isn't what its CRC says. */
export function entryOf(op: OpRequest): EntryBody | undefined {
  const { body } = op;
  // Named one by one, as `decodeHead` does: spreading would cost an object, and make another shape of the same command.
  const { session, number, lowestOpen } = op;
  switch (body.kind) {
    case 'openSession':
      return bodyOf({ kind: 'openSession', session, number, lowestOpen });
    case 'write':
      return bodyOf(
        { kind: 'write', session, number, lowestOpen, epoch: body.epoch },
        body.range,
        body.crcs,
        body.data,
      );
    case 'writeSame':
      return sameEntry(op, body);
    case 'zero':
      return bodyOf({ kind: 'zero', session, number, lowestOpen, epoch: body.epoch }, body.range);
    case 'epoch':
      return bodyOf({
        kind: 'epoch',
        session,
        number,
        lowestOpen,
        volume: body.volume,
        epoch: body.epoch,
        action: body.action,
      });
    case 'key':
      return bodyOf({
        kind: 'key',
        session,
        number,
        lowestOpen,
        key: body.key,
        expectedVersion: body.expectedVersion,
        value: body.value,
      });
    case 'cancel':
      return bodyOf({ kind: 'cancel', session, number, lowestOpen });
    case 'patch':
    case 'compareWrite':
      throw new AssertionFailed('evaluated before it is proposed');
    default:
      return unreachable(body);
  }
}

/** The one block again and again: the same view, never a copy. */
function sameEntry(id: OpId, body: WriteSameBlocks): EntryBody | undefined {
  const { blockCount } = body.range;
  let crc = 0;
  let bytes = 0;
  for (const piece of body.data) {
    crc = crc32c(piece, crc);
    bytes += piece.length;
  }
  if (crc !== body.crc || bytes !== blockBytes) return undefined;
  const data: Uint8Array[] = [];
  for (let i = 0; i < blockCount; i++) for (const piece of body.data) data.push(piece);
  const crcs = new Uint32Array(blockCount).fill(crc);
  return bodyOf({ kind: 'write', ...opId(id), epoch: body.epoch }, body.range, crcs, data);
}
