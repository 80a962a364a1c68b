import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chunkDigest } from '../../../src/arc/chunk-digest.ts';
import { ChunkSet } from '../../../src/arc/chunk-set.ts';
import type { RaftWireMessage } from '../../../src/arc/raft-wire.ts';
import { Standing } from '../../../src/arc/standing.ts';
import type { ArcId, VolumeId } from '../../../src/base/ids.ts';
import { emptyChunk } from '../../../src/store/map-page.ts';

// What peers remember of a replica is all that tells a device put back to an earlier state from a whole one (INV-10).

const between = { arc: 1 as ArcId, fromGeneration: 1, toGeneration: 1 };
const ack = (term: number, index: number, matched = true): RaftWireMessage => ({
  type: 'appendReply',
  ...between,
  term,
  matched,
  index,
  hintTerm: 0,
});
const vote = (term: number, granted: boolean, pre: boolean): RaftWireMessage => ({
  type: 'voteReply',
  ...between,
  term,
  granted,
  pre,
});

test('the highest acknowledged index of the newest term is remembered, whatever comes late', () => {
  const standing = new Standing();
  for (const message of [ack(2, 10), ack(2, 8), ack(3, 9), ack(2, 50), ack(3, 99, false)]) standing.heard('m', message);
  assert.deepEqual(standing.toldBy('m'), { term: 3, index: 9, voteTerm: 0 });
});

test('votes are remembered, pre-votes and refusals are none', () => {
  const standing = new Standing();
  for (const message of [vote(4, true, false), vote(6, true, true), vote(5, false, false)])
    standing.heard('m', message);
  assert.equal(standing.toldBy('m').voteTerm, 4);
  assert.deepEqual(standing.toldBy('other'), { term: 0, index: 0, voteTerm: 0 });
});

test('what is remembered is bounded, members and ended lives alike', () => {
  const standing = new Standing();
  for (let i = 0; i < 200; i++) {
    standing.heard(`m${i}`, ack(1, 1));
    assert(standing.end(`m${i}`), 'told once');
  }
  assert.equal(standing.toldBy('m0').index, 0);
  assert.equal(standing.toldBy('m199').index, 1);
  assert(!standing.isEnded('m0') && standing.isEnded('m199') && !standing.end('m199'));
});

test('two chunks are the same only if every block has the same version and content, trims included', () => {
  const key = { volume: 1 as VolumeId, layer: 0, chunk: 3 };
  const made = (change: (page: ReturnType<typeof emptyChunk>) => void) => {
    const page = emptyChunk(key);
    page.positions[5] = 8192;
    page.versions[5] = 7;
    page.crcs[5] = 99;
    change(page);
    return chunkDigest(page);
  };
  const same = made(() => {});
  assert.equal(
    made((page) => {
      page.positions[5] = 4096; // where it lies on the device doesn't matter
    }),
    same,
  );
  const others = [
    made((page) => {
      page.versions[5] = 8;
    }),
    made((page) => {
      page.crcs[5] = 98;
    }),
    made((page) => {
      page.positions[5] = 0;
    }),
    made((page) => {
      page.versions[6] = 3;
    }),
  ];
  assert.equal(new Set([...others, same]).size, others.length + 1);
});

test('a set of chunks knows just those that were added', () => {
  const set = new ChunkSet();
  const key = (chunk: number, layer = 0) => ({ volume: 9 as VolumeId, layer, chunk });
  for (const chunk of [0, 7, 65_535, 65_536, 1_000_000]) set.add(key(chunk));
  for (const chunk of [0, 7, 65_535, 65_536, 1_000_000]) assert(set.has(key(chunk)));
  assert(!set.has(key(1)) && !set.has(key(65_537)) && !set.has(key(7, 1)));
});
