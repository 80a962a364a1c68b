import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreletId } from '../../../src/base/ids.ts';
import { blankModule, memberOf, Network } from './network.ts';

const settleLimitMs = 60_000;
/** Kinds of membership messages by their number on the wire. */
const agreementKinds = new Set([4, 5, 6, 7, 8, 9, 11]);

/** Everybody proposes at once, so that duels happen in nearly every change. */
const duelling = { proposerStepMs: 0, settleMs: 50 };

/** Nobody votes or proposes any more: nothing begun is left open, to be decided when nobody expects it. */
function assertRests(network: Network, what: string): void {
  network.runFor(12_000); // accusations grow old
  const said: number[] = [];
  network.crashes = ({ kinds }) => {
    said.push(...kinds.filter((kind) => agreementKinds.has(kind)));
    return false;
  };
  network.runFor(6000);
  assert.deepEqual(said, [], `${what}: the agreement does not come to rest`);
}

/** When faults end, all that run are members of one view, and nobody else is (but for the floor of three). */
function assertHeals(network: Network, what: string): void {
  network.blocked = () => false;
  network.dropRate = 0;
  network.crashes = () => false;
  const ids = network.up();
  try {
    network.runUntil(() => network.agreed(ids), settleLimitMs);
  } catch (cause) {
    throw new Error(`${what}: did not heal`, { cause });
  }
}

test('duelling proposers agree on one sequence of views, soon', () => {
  let slowestMs = 0;
  for (let seed = 0; seed < 40; seed++) {
    const network = new Network(seed, duelling);
    const ids = network.found(Array.from({ length: 7 }, (_, slot) => memberOf(slot)));
    network.startAll();
    network.runFor(3500);
    network.dropRate = (seed % 4) * 0.1;
    const lost = [ids[seed % 7], ids[(seed * 3 + 1) % 7]] as CoreletId[];
    for (const id of new Set(lost)) network.crash(id);
    const rest = network.up();
    slowestMs = Math.max(
      slowestMs,
      network.runUntil(() => network.agreed(rest), settleLimitMs),
    );
  }
  console.log(`duels, up to 30 % loss: slowest removal ${Math.round(slowestMs)} ms`);
});

test('a proposer that dies at any step, with what its disk kept, leaves no second history', () => {
  let crashed = 0;
  for (let step = 0; step < 30; step++) {
    for (let seed = 0; seed < 4; seed++) {
      const network = new Network(seed * 100 + step, seed % 2 === 0 ? {} : duelling);
      const ids = network.found(Array.from({ length: 5 }, (_, slot) => memberOf(slot)));
      network.startAll();
      network.runFor(3500);
      network.crash(ids[4] as CoreletId);
      network.dropRate = step % 2 === 0 ? 0.2 : 0; // what left before the end reaches only some
      let steps = 0;
      let dead: CoreletId | undefined;
      network.crashes = ({ id, kinds, persisted }) => {
        if (dead !== undefined || !(persisted || kinds.some((kind) => agreementKinds.has(kind)))) return false;
        if (steps++ !== step) return false;
        dead = id;
        crashed++;
        return true;
      };
      network.runFor(4000);
      if (dead !== undefined) network.start(dead);
      network.runFor(500);
      network.start(ids[4] as CoreletId);
      assertHeals(network, `step ${step}, seed ${seed}`);
      assert.equal(network.up().length, 5);
    }
  }
  console.log(`proposers and acceptors crashed at a step: ${crashed}`);
  assert.ok(crashed > 40);
});

function disturb(network: Network, ids: CoreletId[], serial: number): void {
  const { random } = network;
  const up = network.up();
  const down = ids.filter((id) => !up.includes(id));
  switch (random.below(7)) {
    case 0:
    case 1:
      if (up.length > 1) network.crash(random.pick(up), random.below(2) === 0);
      return;
    case 2:
      if (down.length > 0) network.start(random.pick(down));
      return;
    case 3: {
      const side = new Set(ids.filter(() => random.below(3) === 0));
      const oneWay = random.below(3) === 0;
      network.blocked = (from, to) => (oneWay ? side.has(from) && !side.has(to) : side.has(from) !== side.has(to));
      return;
    }
    case 4:
      network.blocked = () => false;
      return;
    case 5:
      network.dropRate = random.below(3) * 0.15;
      return;
    default: {
      // A blank module replaces one that was pulled, which never comes back.
      const gone = down.find((id) => canLose(network, id));
      if (gone === undefined) return;
      const { slot } = network.module(gone).self;
      ids.splice(ids.indexOf(gone), 1);
      network.modules.delete(gone);
      ids.push(network.add(blankModule(slot, serial)));
      network.start(ids.at(-1) as CoreletId);
    }
  }
}

/** Whether the newest views keep a majority of disks without this one: without it no further view could ever follow. */
function canLose(network: Network, id: CoreletId): boolean {
  const newest = Math.max(...network.memberIds.keys());
  return [newest, newest - 1, newest - 2].every((number) => {
    const members = network.memberIds.get(number) ?? [];
    return members.filter((one) => one !== id && network.modules.has(one)).length * 2 > members.length || number < 1;
  });
}

test('votes that led to nothing are brought to an end, and not decided by surprise months later', () => {
  const network = new Network(3);
  const ids = network.found(Array.from({ length: 9 }, (_, slot) => memberOf(slot)));
  network.startAll();
  network.runFor(3500);
  const voters = new Set(ids.slice(0, 3));
  const lost = ids[8] as CoreletId;
  const alert = 0;
  // Three see the cut and vote; nobody hears of it, and the lost one is back before anybody else would.
  network.drops = (_, to, kind) => agreementKinds.has(kind) || (kind === alert && !voters.has(to));
  network.crash(lost);
  network.runFor(2000);
  network.start(lost);
  network.runFor(15_000);
  for (const id of voters) {
    assert.ok(network.module(id).events.some(({ kind }) => kind === 'membership.voted'));
  }
  network.drops = () => false;
  network.runFor(5000);
  assertHeals(network, 'after open votes');
  assertRests(network, 'after open votes');
});

test('200 seeds of crashes, partitions, loss and replaced modules: one sequence of views, and it heals', () => {
  const beganMs = performance.now();
  let views = 0;
  for (let seed = 0; seed < 200; seed++) {
    const count = 3 + (seed % 6);
    const network = new Network(seed, seed % 3 === 0 ? duelling : {});
    const spares = seed % 4 === 1 ? 1 : 0;
    const members = Array.from({ length: count + spares }, (_, slot) =>
      memberOf(slot, slot === count ? { role: 'spare' } : {}),
    );
    const ids = network.found(members);
    network.startAll();
    network.runFor(3500);
    for (let round = 0; round < 8; round++) {
      disturb(network, ids, seed * 8 + round);
      network.runFor(network.random.fraction() * 2500);
    }
    network.blocked = () => false;
    network.dropRate = 0;
    for (const id of ids) if (network.module(id).core === undefined) network.start(id);
    assertHeals(network, `seed ${seed}`);
    if (seed % 5 === 0) assertRests(network, `seed ${seed}`);
    views += Math.max(...network.views.keys());
  }
  const tookS = (performance.now() - beganMs) / 1000;
  console.log(`200 seeds: ${views} views agreed, ${tookS.toFixed(1)} s`);
});

test('a value whose proposer died between two rounds is brought to an end by another, though nothing else is wanted any more', () => {
  for (let seed = 0; seed < 20; seed++) {
    const network = new Network(seed);
    const ids = network.found(Array.from({ length: 3 }, (_, slot) => memberOf(slot)));
    network.startAll();
    network.runFor(3500);
    const [proposer, subject, third] = ids as [CoreletId, CoreletId, CoreletId];
    const [accepted, decided, wish] = [8, 9, 10];
    // Only it knows of the wish; the others accept, and it ends before it hears so. Of three nobody is removed for it.
    network.drops = (_, to, kind) => kind === wish || kind === decided || (kind === accepted && to === proposer);
    network.step(proposer, (core) => core.setState(subject, 'draining', network.nowMs));
    const acceptedBy = (id: CoreletId) => network.core(id).hasOpenValue;
    network.runUntil(() => acceptedBy(subject) && acceptedBy(third), 2000);
    network.crash(proposer);
    network.drops = () => false;
    network.runUntil(() => [subject, third].every((id) => network.core(id).viewNumber === 2), 5000);
    const members = network.core(third).view?.members ?? [];
    assert.deepEqual(
      members.filter((member) => member.state === 'draining').map(({ id }) => id),
      [subject],
    );
    network.start(proposer);
    network.runUntil(() => network.agreed(ids), 10_000);
    assertRests(network, 'after an open value');
  }
});
