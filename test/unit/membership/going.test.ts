import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreletId } from '../../../src/base/ids.ts';
import { memberOf, Network } from './network.ts';

const limitMs = 30_000;

function running(seed: number, count: number): { network: Network; ids: CoreletId[] } {
  const network = new Network(seed);
  const ids = network.found(Array.from({ length: count }, (_, slot) => memberOf(slot)));
  network.startAll();
  network.runFor(3500);
  return { network, ids };
}

test('a last gasp: who says that it goes is out of every view within 500 ms', () => {
  for (const count of [5, 24]) {
    const { network, ids } = running(count, count);
    const going = ids[2] as CoreletId;
    network.step(going, (core) => {
      core.leave(network.nowMs);
      core.tick(network.nowMs);
    });
    const rest = ids.filter((id) => id !== going);
    const tookMs = network.runUntil(() => network.agreed(rest), limitMs);
    assert.ok(tookMs <= 500, `${tookMs} ms of ${count}`);
    assert.equal(network.core(rest[0] as CoreletId).flapping(going, network.nowMs).score, 0, 'a goodbye is no flap');
  }
});

test('a chassis that is switched off says so everywhere, and finds its view as it was when it comes back', () => {
  const { network, ids } = running(7, 12);
  for (const id of ids) {
    network.step(id, (core) => {
      core.leave(network.nowMs);
      core.tick(network.nowMs);
    });
  }
  network.runFor(400);
  for (const id of ids) network.crash(id, false);
  for (const id of ids) network.start(id);
  network.runFor(5000);
  assert.ok(network.agreed(ids));
  assert.equal(network.core(ids[0] as CoreletId).viewNumber, 1);
});

test('a member whose flash hangs is removed, however well it answers; one witness is not enough', () => {
  for (const count of [6, 24]) {
    const { network, ids } = running(count + 1, count);
    const hung = ids[4] as CoreletId;
    const rest = ids.filter((id) => id !== hung);
    network.step(rest[0] as CoreletId, (core) => core.failing(hung, 'flash', network.nowMs));
    network.runFor(3000);
    assert.ok(network.agreed(ids), 'one may be wrong');
    for (const id of rest) network.step(id, (core) => core.failing(hung, 'flash', network.nowMs));
    network.runUntil(() => network.agreed(rest), limitMs);
  }
});
