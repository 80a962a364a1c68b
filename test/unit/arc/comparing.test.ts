import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heldDigest } from '../../../src/arc/chunk-digest.ts';
import type { ReplicaContext } from '../../../src/arc/context.ts';
import { defaultArcLimits } from '../../../src/arc/limits.ts';
import { memberId } from '../../../src/arc/members.ts';
import { originOf } from '../../../src/arc/origin.ts';
import { Quarantine } from '../../../src/arc/quarantine.ts';
import { Replica } from '../../../src/arc/replica.ts';
import { emptySnapshot } from '../../../src/arc/snapshot.ts';
import { joined } from '../../../src/base/bytes.ts';
import { crc32c } from '../../../src/base/crc32c.ts';
import { type ArcId, blockBytes, type CoreletId, type VolumeId } from '../../../src/base/ids.ts';
import { Prng } from '../../../src/base/prng.ts';
import { MapSpace } from '../../../src/store/map-space.ts';
import type { Store } from '../../../src/store/store.ts';
import type { ChunkCopyRecord } from '../../../src/store/types.ts';
import type { Fetch, FetchReply } from '../../../src/wire/peer/fetch.ts';
import type { QuarantineBlocks } from '../../../src/wire/peer/quarantine.ts';
import type { Scrub, ScrubReply } from '../../../src/wire/peer/scrub.ts';

// Two copies that differ at one applied index: one of them gives a host old or wrong data as soon as it leads (INV-6, design §10.8).

const arc = 2 as ArcId;
const volume = 1 as VolumeId;
const key = { volume, layer: 0, chunk: 0 };
const generation = 5;
const appliedIndex = 20;
const ids = ['a', 'b'].map((letter) => letter.repeat(32) as CoreletId);
const voters = ids.map((id) => memberId(id, generation));

type Message = Scrub | ScrubReply | QuarantineBlocks | Fetch | FetchReply;

/** A replica of two, whose device is a list of blocks, with what it recorded. */
function replicaOn(self: CoreletId, send: (to: CoreletId, message: Message) => void) {
  const space = new MapSpace();
  const flash: Uint8Array[] = [];
  const told: string[] = [];
  const registers = new Map<string, Uint8Array>();
  const put = (data: readonly Uint8Array[]): number => {
    const bytes = joined(data);
    const position = (flash.length + 1) * blockBytes;
    for (let at = 0; at < bytes.length; at += blockBytes) flash.push(bytes.slice(at, at + blockBytes));
    return position;
  };
  const store = {
    map: () => space.of(arc),
    roomFor: () => 'ok',
    afterSync: (run: () => void) => run(),
    setRegister: (name: string, value: Uint8Array) => registers.set(name, value),
    appendApplied: () => undefined,
    appendChunkCopy: (copy: ChunkCopyRecord) => (copy.blocks.length > 0 ? put(copy.data) : undefined),
    readBlocks: async (positions: readonly number[], crcs: readonly number[], into: Uint8Array) => {
      into.set(flash[(positions[0] as number) / blockBytes - 1] as Uint8Array);
      return crc32c(into) === crcs[0] ? { ok: true } : { ok: false, code: 'CORRUPT', block: 0 };
    },
  };
  const quarantine = new Quarantine(store as unknown as Store, registers);
  const context = {
    self,
    limits: defaultArcLimits,
    random: new Prng(1, 'compare'),
    clock: { nowMs: () => 0, after: () => ({ cancel: () => undefined }), soon: queueMicrotask },
    store,
    quarantine,
    events: { record: ({ kind }: { kind: string }) => told.push(kind) },
    send,
    isAlive: () => true,
    arm: () => undefined,
    changed: () => undefined,
  } as unknown as ReplicaContext;
  const at = { compactedIndex: appliedIndex, compactedTerm: 4, commitIndex: appliedIndex, appliedIndex };
  const configuration = { voters, votersOutgoing: [], learners: [] };
  const origin = { ...originOf(emptySnapshot('active', generation)), ...at, configuration, installed: true };
  const replica = new Replica(context, arc, { ...origin, hardState: { term: 4, vote: undefined } });
  const write = (block: number, version: number, fill: number): void => {
    const data = new Uint8Array(blockBytes).fill(fill);
    const range = { ...key, firstBlock: block, blockCount: 1 };
    replica.map.set(range, put([data]), version, Uint32Array.of(crc32c(data)));
  };
  const page = () => {
    const loaded = replica.map.get(key);
    assert(loaded !== undefined);
    return loaded;
  };
  const contentOf = (block: number) => flash[(page().positions[block] as number) / blockBytes - 1]?.[0];
  /** What a restart finds in quarantine. */
  const kept = () => new Quarantine(store as unknown as Store, registers).of(arc);
  const read = (block: number) => replica.mending.read(key, [block], new Uint8Array(blockBytes));
  return { replica, write, page, contentOf, told, quarantine, kept, read };
}

function pair() {
  const both: ReturnType<typeof replicaOn>[] = [];
  for (const self of ids) {
    const send = (to: CoreletId, message: Message): void =>
      queueMicrotask(() => {
        const { replica } = both[ids.indexOf(to)] as (typeof both)[number];
        if (message.type === 'fetch' || message.type === 'fetchReply') replica.mending.receive(self, message);
        else replica.comparing.receive(self, message);
      });
    both.push(replicaOn(self, send));
  }
  const [leader, other] = both as [(typeof both)[number], (typeof both)[number]];
  const compare = () => leader.replica.comparing.compare(key, voters[1] as string);
  return { leader, other, compare };
}

test('copies that are equal are found equal, and nothing is told', async () => {
  const { leader, other, compare } = pair();
  for (const one of [leader, other]) one.write(3, 11, 1);
  assert.equal(await compare(), 'same');
  assert.deepEqual([leader.told, other.told], [[], []]);
});

test('the highest version wins on both sides, not the leader: each may have lost a write', async () => {
  const { leader, other, compare } = pair();
  leader.write(3, 11, 1);
  other.write(3, 12, 2);
  leader.write(4, 15, 3);
  other.write(4, 9, 4);
  leader.write(5, 16, 5);
  assert.equal(await compare(), 'mended');
  for (const one of [leader, other]) {
    assert.deepEqual(
      [3, 4, 5].map((block) => one.page().versions[block]),
      [12, 15, 16],
    );
    assert.deepEqual([3, 4, 5].map(one.contentOf), [2, 3, 5]);
  }
  assert.equal(heldDigest(leader.page()), heldDigest(other.page()));
  assert(leader.told.includes('scrub.repaired') && other.told.includes('scrub.repaired'), 'both say what they took');
});

test('two valid contents of one version: told, and neither is changed', async () => {
  const { leader, other, compare } = pair();
  leader.write(3, 11, 1);
  other.write(3, 11, 2);
  assert.equal(await compare(), 'differs');
  assert.deepEqual([leader.contentOf(3), other.contentOf(3)], [1, 2]);
  assert(leader.told.includes('scrub.two-contents') && other.told.includes('scrub.two-contents'));
  assert.equal(await compare(), 'differs');
  assert.equal(leader.told.filter((kind) => kind === 'scrub.two-contents').length, 1, 'told once');
});

test('a block with two valid contents is given to nobody, by either copy, also after a restart; its neighbours are', async () => {
  const { leader, other, compare } = pair();
  leader.write(3, 11, 1);
  other.write(3, 11, 2);
  for (const one of [leader, other]) one.write(4, 12, 3);
  await compare();
  for (const one of [leader, other]) {
    assert.deepEqual([await one.read(3), await one.read(4)], ['lost', 'ok']);
    assert.deepEqual(one.kept(), [{ key, block: 3, version: 11 }]);
  }
});

test('a block in quarantine is read again when it was written anew, and leaves it', async () => {
  const { leader, other, compare } = pair();
  leader.write(3, 11, 1);
  other.write(3, 11, 2);
  await compare();
  for (const one of [leader, other]) {
    one.write(3, 15, 7);
    assert.equal(await one.read(3), 'ok');
    await one.replica.comparing.settleQuarantine();
    assert.deepEqual(one.kept(), []);
    assert(one.told.includes('scrub.quarantine-ended'));
  }
  assert.equal(await compare(), 'same');
});

test('a member whose content is one of the two, but was not compared, hears of it from the leader', async () => {
  const { leader, other, compare } = pair();
  for (const one of [leader, other]) one.write(3, 11, 1);
  leader.quarantine.add(arc, key, 3, 11);
  assert.equal(await compare(), 'same');
  await Promise.resolve();
  assert.equal(await other.read(3), 'lost');
  assert(other.told.includes('scrub.quarantined'));
});

test('told of a version that is not applied yet, a member keeps it until that version comes', async () => {
  const { other } = pair();
  other.write(3, 11, 1);
  other.quarantine.add(arc, key, 3, 14);
  await other.replica.comparing.settleQuarantine();
  assert.equal(await other.read(3), 'ok', 'what is here is another version');
  other.write(3, 14, 2);
  assert.equal(await other.read(3), 'lost');
});

test('what is newer than what is applied is no difference yet', async () => {
  const { leader, other, compare } = pair();
  leader.write(3, 11, 1);
  other.write(3, appliedIndex + 1, 2);
  assert.equal(await compare(), 'later');
  assert.deepEqual([leader.contentOf(3), other.contentOf(3)], [1, 2]);
});
