import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplicaContext } from '../../../src/arc/context.ts';
import { defaultArcLimits } from '../../../src/arc/limits.ts';
import { memberId } from '../../../src/arc/members.ts';
import { originOf } from '../../../src/arc/origin.ts';
import { Quarantine } from '../../../src/arc/quarantine.ts';
import { Replica } from '../../../src/arc/replica.ts';
import { emptySnapshot } from '../../../src/arc/snapshot.ts';
import type { ArcId, CoreletId } from '../../../src/base/ids.ts';
import { Prng } from '../../../src/base/prng.ts';
import { MapSpace } from '../../../src/store/map-space.ts';
import type { Store } from '../../../src/store/store.ts';
import type { PeerMessage } from '../../../src/wire/peer/types.ts';

const arc = 2 as ArcId;
const generation = 5;
const [self, other] = ['a', 'b'].map((letter) => letter.repeat(32) as CoreletId) as [CoreletId, CoreletId];
const both = [memberId(self, generation), memberId(other, generation)];

test('a member that died while it was named, and came back while it was not, is no dead one when it is named again', () => {
  const dead = new Set<CoreletId>();
  const sent: PeerMessage[] = [];
  let nowMs = 0;
  const map = new MapSpace();
  const stored = { appendHardState: () => undefined, afterSync: (run: () => void) => run() };
  const store = { map: () => map.of(arc), ...stored } as unknown as Store;
  const context = {
    self,
    limits: defaultArcLimits,
    random: new Prng(1, 'replica'),
    clock: { nowMs: () => nowMs, after: () => ({ cancel: () => undefined }), soon: () => undefined },
    store,
    quarantine: new Quarantine(store, new Map()),
    send: (_: CoreletId, message: PeerMessage) => sent.push(message),
    isAlive: (id: CoreletId) => !dead.has(id),
    arm: () => undefined,
    changed: () => undefined,
  } as unknown as ReplicaContext;
  const replica = new Replica(context, arc, originOf(emptySnapshot('active', generation)));
  const install = (index: number, voters: readonly string[]): void =>
    replica.install({
      ...emptySnapshot('active', generation),
      index,
      term: 1,
      configuration: { voters, votersOutgoing: [], learners: [] },
    });
  install(10, both);
  dead.add(other);
  replica.setAlive(other, false);
  install(20, both.slice(0, 1));
  dead.delete(other);
  replica.setAlive(other, true);
  install(30, both);
  for (; nowMs < 60_000; nowMs += 10) replica.tick();
  // Of two voters both are needed: without the other one it would not even ask.
  assert.ok(
    sent.some(({ type }) => type === 'vote'),
    `sent: ${JSON.stringify(sent)}`,
  );
});
