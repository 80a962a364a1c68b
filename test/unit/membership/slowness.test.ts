import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreletId } from '../../../src/base/ids.ts';
import { Echoes } from '../../../src/membership/echoes.ts';
import { Slowness } from '../../../src/membership/slowness.ts';
import { viewOf, withState } from '../../../src/ring/view.ts';
import { memberOf } from './network.ts';
import { Seeded } from './seeded.ts';

const members = Array.from({ length: 8 }, (_, slot) => memberOf(slot));
const view = viewOf(1, members);
const ids = members.map((member) => member.id);
const slow = ids[3] as CoreletId;

/** What is wished within `seconds`, with these latencies told every half second. */
function wished(
  slowness: Slowness,
  latencyMs: (id: CoreletId) => number,
  span: { readonly fromMs: number; readonly seconds: number },
  seen = view,
  max = 1,
): readonly string[] {
  const wishes = new Set<string>();
  for (let ms = span.fromMs; ms < span.fromMs + 1000 * span.seconds; ms += 500) {
    for (const id of ids) slowness.tell(id, latencyMs(id), ms);
    for (const { id, state } of slowness.judge(seen, max, ms)) wishes.add(`${ids.indexOf(id)} ${state}`);
  }
  return [...wishes];
}

test('a flash ten times slower than its siblings is seen within 10 s, and seen to be well again', () => {
  const slowness = new Slowness();
  const random = new Seeded(1);
  const noise = () => 2 + 2 * random.fraction();
  const ill = (id: CoreletId) => (id === slow ? 30 : noise());
  assert.deepEqual(wished(slowness, ill, { fromMs: 0, seconds: 10 }), ['3 sitting-out']);
  const sitting = viewOf(
    2,
    members.map((member) => (member.id === slow ? withState(member, 'sitting-out') : member)),
  );
  assert.deepEqual(
    wished(slowness, ill, { fromMs: 10_000, seconds: 20 }, sitting),
    [],
    'as long as it is slow it stays',
  );
  assert.deepEqual(wished(slowness, noise, { fromMs: 30_000, seconds: 15 }, sitting), ['3 live']);
});

test('nobody sits out because all are slow, because of noise, or for a moment', () => {
  const random = new Seeded(2);
  assert.deepEqual(
    wished(new Slowness(), () => 200 + 100 * random.fraction(), { fromMs: 0, seconds: 60 }),
    [],
  );
  assert.deepEqual(
    wished(new Slowness(), () => 1 + 3 * random.fraction(), { fromMs: 0, seconds: 60 }),
    [],
  );
  const slowness = new Slowness();
  assert.deepEqual(
    wished(slowness, (id) => (id === slow ? 50 : 2), { fromMs: 0, seconds: 2 }),
    [],
  );
  assert.deepEqual(
    wished(slowness, () => 2, { fromMs: 2000, seconds: 20 }),
    [],
  );
});

test('no more sit out than redundancy bears, the slowest first', () => {
  const latency = (id: CoreletId) => (id === slow ? 90 : id === ids[5] ? 60 : 2);
  assert.deepEqual(wished(new Slowness(), latency, { fromMs: 0, seconds: 10 }), ['3 sitting-out']);
  assert.deepEqual(wished(new Slowness(), latency, { fromMs: 0, seconds: 10 }, view, 0), []);
});

test('who echoes what it heard is not deaf, however sequences wrap; who echoes nothing for long is', () => {
  const echoes = new Echoes();
  echoes.sent(slow, 0xffff_ffff, 0);
  assert.equal(echoes.isDeaf(slow, 0xffff_fff0, 1000), false, 'it may be on its way');
  assert.equal(echoes.isDeaf(slow, 2, 5000), false);
  echoes.sent(slow, 3, 5000);
  echoes.sent(slow, 9, 6900);
  assert.equal(echoes.isDeaf(slow, 2, 7500), true);
  echoes.forget(slow);
  assert.equal(echoes.isDeaf(slow, 0, 9000), false, 'a new connection begins anew');
});
