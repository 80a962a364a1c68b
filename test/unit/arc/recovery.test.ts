import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeHead } from '../../../src/arc/command.ts';
import { memberId } from '../../../src/arc/members.ts';
import { ArcRecovery } from '../../../src/arc/recovery.ts';
import { emptySnapshot, encodeSnapshot } from '../../../src/arc/snapshot.ts';
import type { ArcId, CoreletId, VolumeId } from '../../../src/base/ids.ts';
import { MapSpace } from '../../../src/store/map-space.ts';
import type { StoredChunkCopy, StoredEntry } from '../../../src/store/types.ts';

// A restart over a gap in the log must not take what is left for the whole: it would vote and acknowledge what it forgot.

const arc = 2 as ArcId;
const voters = ['a', 'b', 'c'].map((letter) => memberId(letter.repeat(32) as CoreletId, 1));
const configuration = { voters, votersOutgoing: [], learners: [] };

function made() {
  const space = new MapSpace();
  const recovery = new ArcRecovery((wanted) => space.of(wanted), 128);
  recovery.found(arc, configuration, 1);
  const origin = () => [...recovery.replicas()].find(([found]) => found === arc)?.[1];
  return { map: space.of(arc), recovery, origin };
}

const noop = (index: number, commit = 0): StoredEntry => ({
  arc,
  term: 1,
  index,
  kind: 0,
  commit,
  head: encodeHead({ kind: 'noop' }),
  range: undefined,
  crcs: new Uint32Array(0),
  position: undefined,
});
const copyOf = (chunk: number, version: number): StoredChunkCopy => ({
  arc,
  key: { volume: 1 as VolumeId, layer: 0, chunk },
  blocks: Uint16Array.of(4),
  versions: Float64Array.of(version),
  crcs: Uint32Array.of(7),
  emptyBlocks: new Uint16Array(0),
  emptyVersions: new Float64Array(0),
  position: 40_960,
});
const state = (status: 'copying' | 'retired', generation: number) =>
  encodeSnapshot({ ...emptySnapshot(status, generation), configuration });

test('what is told of an arc whose founding is among what was lost is told in vain, and stops nothing', () => {
  const { recovery, origin } = made();
  recovery.entry(noop(1));
  assert.throws(() => recovery.entry({ ...noop(1), arc: 9 as ArcId }), /no replica here/);
  recovery.lost();
  recovery.entry({ ...noop(1), arc: 9 as ArcId });
  assert.deepEqual([...recovery.arcs()], [arc]);
  assert.equal(origin()?.entries.length, 1);
});

test('a new life has nothing that could vote, keeps its blocks, and knows with whom it was', () => {
  const { map, recovery, origin } = made();
  recovery.chunkCopy(copyOf(0, 12));
  recovery.lost();
  const { ended } = recovery.beginAnew(arc, 77);
  assert.equal(ended, 1);
  const begun = origin();
  assert(begun !== undefined);
  const { generation, installed, hardState, entries, commitIndex } = begun;
  assert.deepEqual(
    { generation, installed, hardState, entries: entries.length, commitIndex },
    { generation: 77, installed: false, hardState: { term: 0, vote: undefined }, entries: 0, commitIndex: 0 },
  );
  assert.deepEqual(begun.configuration.voters, voters);
  assert.equal(begun.completeIndex, 12, 'its blocks may be ahead of the log up to there');
  assert.equal(map.chunkCount, 1);
});

test('the next restart meets the same gap, and what was begun behind it stands', () => {
  const first = made();
  first.recovery.chunkCopy(copyOf(0, 12));
  first.origin()?.state.epochs.set(1 as VolumeId, 1);
  first.recovery.lost();
  const begun = first.recovery.beginAnew(arc, 77);
  const again = made();
  again.recovery.chunkCopy(copyOf(0, 12));
  again.recovery.lost();
  again.recovery.arcState(arc, begun.state);
  assert.equal(again.origin()?.generation, 77);
  assert.equal(again.map.chunkCount, 1, 'its blocks are still a base');
});

test('a copy that was retired leaves no blocks behind for the next life', () => {
  const { map, recovery } = made();
  recovery.chunkCopy(copyOf(0, 12));
  recovery.arcState(arc, state('retired', 1));
  assert.equal(map.chunkCount, 0);
  recovery.arcState(arc, state('copying', 5));
  assert.equal(map.chunkCount, 0);
});

test('a mended block has its new place after a restart, and another block of that version never takes one', () => {
  const { map, recovery } = made();
  recovery.chunkCopy(copyOf(0, 12));
  recovery.chunkCopy({ ...copyOf(0, 12), position: 81_920 });
  assert.equal(map.get(copyOf(0, 12).key)?.positions[4], 81_920);
  recovery.chunkCopy({ ...copyOf(0, 12), position: 122_880, crcs: Uint32Array.of(8) });
  assert.equal(map.get(copyOf(0, 12).key)?.positions[4], 81_920);
  recovery.chunkCopy({ ...copyOf(0, 11), position: 163_840 });
  assert.equal(map.get(copyOf(0, 12).key)?.positions[4], 81_920);
});

test('what a page of the map holds was applied here, whether or not the log tells that it was committed', () => {
  const { map, recovery, origin } = made();
  for (let index = 1; index <= 4; index++) recovery.entry(noop(index, index - 1));
  recovery.entry(noop(5, 3));
  map.pageWritten(copyOf(0, 4).key, 40_960, 1, 4);
  const begun = origin();
  assert.deepEqual([begun?.appliedIndex, begun?.commitIndex, begun?.completeIndex], [4, 4, 4]);
});

test('what a page holds because it was copied says nothing of the log here', () => {
  const { map, recovery, origin } = made();
  for (let index = 1; index <= 5; index++) recovery.entry(noop(index, 2));
  recovery.chunkCopy(copyOf(0, 4));
  map.pageWritten(copyOf(0, 4).key, 40_960, 1, 4);
  const begun = origin();
  assert.deepEqual([begun?.appliedIndex, begun?.completeIndex], [2, 4], 'ahead of its log, and so it leads nothing');
});

test('a page of an earlier life says nothing of the present one', () => {
  const { map, recovery, origin } = made();
  map.pageWritten(copyOf(0, 9).key, 40_960, 1, 9);
  const founded = encodeSnapshot({ ...emptySnapshot('active', 5), configuration });
  recovery.arcState(arc, founded);
  for (let index = 1; index <= 3; index++) recovery.entry(noop(index, 1));
  const begun = origin();
  assert.deepEqual([begun?.appliedIndex, begun?.completeIndex], [1, 0]);
});
