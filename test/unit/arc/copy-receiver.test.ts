import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chunkDigest } from '../../../src/arc/chunk-digest.ts';
import { encodeHead } from '../../../src/arc/command.ts';
import type { ReplicaContext } from '../../../src/arc/context.ts';
import { CopyReceiver } from '../../../src/arc/copy-receiver.ts';
import { defaultArcLimits } from '../../../src/arc/limits.ts';
import { memberId } from '../../../src/arc/members.ts';
import { originOf } from '../../../src/arc/origin.ts';
import { Replica } from '../../../src/arc/replica.ts';
import { emptySnapshot, encodeSnapshot } from '../../../src/arc/snapshot.ts';
import type { ArcId, CoreletId, VolumeId } from '../../../src/base/ids.ts';
import { Prng } from '../../../src/base/prng.ts';
import { MapSpace } from '../../../src/store/map-space.ts';
import type { StoredChunkCopy } from '../../../src/store/types.ts';
import type { CopyReply } from '../../../src/wire/peer/copy.ts';
import type { WireEntry } from '../../../src/wire/peer/types.ts';

// A copy that isn't whole, and passes for it, is a copy that hosts read holes or deleted data from.

const arc = 2 as ArcId;
const volume = 1 as VolumeId;
const self = 'b'.repeat(32) as CoreletId;
const leader = 'a'.repeat(32) as CoreletId;
const generation = 9;
const between = { arc, fromGeneration: 1, toGeneration: generation, term: 4, copy: 77 } as const;
const position = 64 * 4096;

/** A replica without a state, and what it gives to its store and to the leader, in order. */
function begun(blocks: readonly { readonly chunk: number; readonly version: number }[]) {
  const space = new MapSpace();
  const map = space.of(arc);
  for (const { chunk, version } of blocks) {
    map.set({ volume, layer: 0, chunk, firstBlock: 3, blockCount: 1 }, position, version, Uint32Array.of(chunk));
  }
  const stored: string[] = [];
  const replies: CopyReply[] = [];
  const store = {
    map: (wanted: ArcId) => space.of(wanted),
    roomFor: () => 'ok',
    afterSync: (run: () => void) => run(),
    appendChunkCopy: (copy: Omit<StoredChunkCopy, 'position'>) => {
      stored.push(`chunk ${copy.key.chunk}: ${copy.blocks.length} blocks, ${copy.emptyBlocks.length} empty`);
      return copy.blocks.length > 0 ? position : undefined;
    },
    appendApplied: () => stored.push('applied'),
    appendArcState: () => stored.push('state'),
    appendHardState: () => stored.push('hard state'),
    appendEntry: () => undefined,
    readBlocks: () => Promise.resolve({ ok: true }),
  };
  const context = {
    self,
    limits: defaultArcLimits,
    random: new Prng(1, 'copy'),
    clock: { nowMs: () => 0, after: () => ({ cancel: () => undefined }), soon: () => undefined },
    store,
    events: { record: () => undefined },
    send: (_: CoreletId, message: CopyReply) => replies.push(message),
    isAlive: () => true,
    arm: () => undefined,
    changed: () => undefined,
    leaseEnding: () => undefined,
    retired: () => undefined,
  } as unknown as ReplicaContext;
  const empty = emptySnapshot('copying', generation);
  const newest = Math.max(0, ...blocks.map(({ version }) => version));
  const replica = new Replica(context, arc, originOf({ ...empty, completeIndex: newest }));
  const receiver = new CopyReceiver(replica, context, leader, {
    type: 'copyOffer',
    ...between,
    index: 20,
    bytes: 0,
    voter: false,
  });
  const finish = (completeIndex = 20) => {
    const snapshot = emptySnapshot('active', 1);
    snapshot.state.epochs.set(volume, 1);
    const voters = [memberId(leader, 1), memberId(self, generation)];
    const configuration = { voters, votersOutgoing: [], learners: [] };
    const state = encodeSnapshot({ ...snapshot, configuration, index: 20, term: 4, completeIndex });
    receiver.finish({ type: 'copyFinish', ...between, index: 20, indexTerm: 4, state });
  };
  const chunk = (sequence: number, number: number, version: number) =>
    receiver.chunk({
      type: 'copyChunk',
      ...between,
      sequence,
      volume,
      layer: 0,
      chunk: number,
      blocks: Uint16Array.of(3),
      versions: Float64Array.of(version),
      crcs: Uint32Array.of(number),
      emptyBlocks: new Uint16Array(0),
      emptyVersions: new Float64Array(0),
      data: [new Uint8Array(4096)],
    });
  return { map, replica, receiver, stored, replies, finish, chunk };
}

const pageOf = (map: ReturnType<typeof begun>['map'], chunk: number) => {
  const page = map.get({ volume, layer: 0, chunk });
  assert(page !== undefined);
  return page;
};

test('what the leader lacks is nothing any more, durably; what it has stays: deleted data must not come back', async () => {
  const { map, receiver, stored, replies, finish, chunk } = begun([
    { chunk: 0, version: 12 },
    { chunk: 1, version: 14 },
    { chunk: 2, version: 15 },
  ]);
  assert.equal(replies[0]?.code, 'base');
  const check = { type: 'copyCheck', ...between, check: 1, volume, layer: 0, chunk: 0 } as const;
  await receiver.check({ ...check, digest: chunkDigest(pageOf(map, 0)) });
  assert.equal(replies.at(-1)?.code, 'same');
  chunk(1, 1, 19);
  finish();
  assert.deepEqual(
    [0, 1, 2].map((number) => [pageOf(map, number).versions[3], pageOf(map, number).positions[3]]),
    [
      [12, position],
      [19, position],
      [20, 0],
    ],
  );
  assert.deepEqual(
    stored.filter((record) => record.startsWith('chunk')),
    ['chunk 1: 1 blocks, 0 empty', 'chunk 2: 0 blocks, 256 empty'],
  );
  assert.equal(replies.at(-1)?.code, 'done');
});

test('the state comes last, and whole: a copy that is cut short has none, and says nothing', () => {
  const { replica, stored, replies, chunk } = begun([]);
  chunk(1, 0, 18);
  chunk(3, 1, 19);
  assert.equal(replies.at(-1)?.code, 'refused', 'a part is missing: the leader begins anew');
  assert.deepEqual([replica.installed, replica.complete, replica.core.eligible], [false, false, false]);
  assert(!stored.includes('state'));
  const whole = begun([]);
  whole.chunk(1, 0, 18);
  whole.finish();
  assert.deepEqual(whole.stored.slice(0, 3), ['chunk 0: 1 blocks, 0 empty', 'applied', 'state']);
  assert.deepEqual([whole.replica.installed, whole.replica.complete, whole.replica.core.eligible], [true, true, true]);
});

test('copied blocks may be newer than the state: until the log came up to them it is not complete, and leads nothing', () => {
  const { replica, finish, chunk } = begun([]);
  chunk(1, 0, 23);
  finish(21);
  assert.deepEqual([replica.installed, replica.complete, replica.core.eligible], [true, false, false]);
  const append = (from: number, to: number) => {
    const entries: WireEntry[] = [];
    for (let index = from; index <= to; index++) {
      const head = encodeHead({ kind: 'noop' });
      entries.push({ term: 4, index, kind: 0, head, range: undefined, crcs: new Uint32Array(0), data: [] });
    }
    const prev = { prevIndex: from - 1, prevTerm: 4 };
    replica.receive(leader, { type: 'append', ...between, ...prev, commit: to, entries });
  };
  append(21, 22);
  assert.deepEqual([replica.core.appliedIndex, replica.complete, replica.core.eligible], [22, false, false]);
  append(23, 23);
  assert.deepEqual([replica.core.appliedIndex, replica.complete, replica.core.eligible], [23, true, true]);
});
