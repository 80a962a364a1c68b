import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prng } from '../../src/base/prng.ts';
import type { FabricAddress, FabricListener, Hello } from '../../src/ports/fabric.ts';
import { SimClock } from '../../src/sim/clock.ts';
import { SimEngine } from '../../src/sim/engine.ts';
import { type NetworkOptions, type SimFabric, SimNetwork } from '../../src/sim/fabric.ts';
import type { PeerMessage } from '../../src/wire/peer/types.ts';
import {
  bulk,
  connected,
  fabricContract,
  type FabricWorld,
  helloOf,
  idOf,
  introduce,
  liveness,
  type Plug,
  probe,
} from './fabric-suite.ts';

interface SimWorld extends FabricWorld {
  readonly network: SimNetwork;
  readonly engine: SimEngine;
  /** Lets everything happen that is under way. */
  settle(): Promise<void>;
}

function simWorld(seed = 1, options: Partial<NetworkOptions> = {}): SimWorld {
  const engine = new SimEngine();
  const network = new SimNetwork(new SimClock(engine, engine.world), new Prng(seed, 'network'), options);
  let plugs = 0;
  return {
    network,
    engine,
    async plug(hello: Hello, at: FabricAddress = `unix:${plugs++}`, starts?): Promise<Plug> {
      const fabric = network.attach(hello, at);
      const heard: PeerMessage[] = [];
      const news: string[] = [];
      const listener: FabricListener<PeerMessage> = {
        message: (_from, message) => heard.push(message),
        peerUp: (peer) => news.push(`up ${peer.id} ${peer.incarnation}`),
        peerDown: (peer, reason) => news.push(`down ${peer} ${reason}`),
        superseded: (by) => news.push(`superseded ${by}`),
      };
      await fabric.start(listener, starts);
      return { fabric, address: at, heard, news };
    },
    async kill({ fabric }) {
      network.end(fabric as SimFabric);
    },
    async until(condition, what) {
      await engine.run(engine.nowMs + 60_000, condition);
      if (!condition()) throw new Error(`waited in vain: ${what}`);
    },
    refusals: () => network.refusals,
    settle: () => engine.run(engine.nowMs + 5000),
    async end() {},
  };
}

fabricContract('simulated', async () => simWorld());

async function pair(world: SimWorld): Promise<[Plug, Plug]> {
  const plugs: [Plug, Plug] = [await world.plug(helloOf(1)), await world.plug(helloOf(2))];
  introduce(...plugs);
  await world.until(connected(...plugs), 'connected');
  return plugs;
}

test('a cut is silence: no news while it lasts, even of a death, and a reset when it is mended', async () => {
  const world = simWorld();
  const [a, b] = await pair(world);
  world.network.cut(idOf(2), idOf(1));
  b.fabric.send(idOf(1), probe(1));
  a.fabric.send(idOf(2), probe(2));
  await world.settle();
  assert.equal(a.heard.length, 0);
  assert.equal(b.heard.length, 1, 'the other direction is whole');
  world.network.crash(idOf(2));
  await world.settle();
  assert.deepEqual(a.news, [`up ${idOf(2)} 1`]);
  world.network.mend(idOf(2), idOf(1));
  await world.settle();
  assert.deepEqual(a.news, [`up ${idOf(2)} 1`, `down ${idOf(2)} reset`]);
  assert.equal(a.heard.length, 0, 'what the dead one had sent is gone');
});

test('after a cut a connection goes on in order with nothing lost, or both sides hear of a reset', async () => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 12; seed++) {
    const world = simWorld(seed);
    const [a, b] = await pair(world);
    world.network.partition([[idOf(1)], [idOf(2)]]);
    for (let i = 0; i < 5; i++) {
      a.fabric.send(idOf(2), probe(i));
      await world.settle();
    }
    world.network.mend();
    await world.until(() => b.heard.length === 5 || (a.news.length === 3 && b.news.length === 3), 'either');
    outcomes.add(b.heard.length === 5 ? 'went on' : 'reset');
    await world.until(connected(a, b), 'connected in the end');
  }
  assert.deepEqual([...outcomes].toSorted(), ['reset', 'went on']);
});

test('loss takes only what protocols repeat; a bulk copy arrives, late and in order', async () => {
  const world = simWorld(3, { lossShare: 0.3 });
  const [a, b] = await pair(world);
  for (let i = 0; i < 60; i++) {
    a.fabric.send(idOf(2), liveness(i));
    if (i % 6 === 0) a.fabric.send(idOf(2), bulk(i));
    await world.engine.run(world.engine.nowMs + 1);
  }
  await world.settle();
  const copies = b.heard.flatMap((each) => (each.type === 'copyChunk' ? [each.sequence] : []));
  const beats = b.heard.filter((each) => each.type === 'liveness').length;
  assert.deepEqual(copies, [0, 6, 12, 18, 24, 30, 36, 42, 48, 54]);
  assert.ok(beats > 20 && beats < 60, `${beats} of 60`);
});

test('duplicates and overtaking happen when asked for, to repeated messages only', async () => {
  const world = simWorld(4, { duplicateShare: 0.3, reorderShare: 0.3 });
  const [a, b] = await pair(world);
  for (let i = 0; i < 100; i++) {
    a.fabric.send(idOf(2), probe(i));
    a.fabric.send(idOf(2), bulk(0));
    await world.engine.run(world.engine.nowMs + 0.2);
  }
  await world.settle();
  const seen = b.heard.flatMap((each) => (each.type === 'readProbe' ? [each.context] : []));
  assert.ok(seen.length > 100);
  assert.equal(new Set(seen).size, 100);
  assert.notDeepEqual(
    seen,
    seen.toSorted((x, y) => x - y),
  );
  assert.equal(b.heard.filter((each) => each.type === 'copyChunk').length, 100);
});

test('a paused peer hears everything when it goes on, in order', async () => {
  const world = simWorld();
  const [a, b] = await pair(world);
  world.network.pause(idOf(2));
  for (let i = 0; i < 10; i++) a.fabric.send(idOf(2), probe(i));
  await world.settle();
  assert.equal(b.heard.length, 0);
  world.network.resume(idOf(2));
  assert.equal(b.heard.length, 10);
});

test('a seed is a run: the same frames at the same moments, and another seed another run', async () => {
  const run = async (seed: number): Promise<string> => {
    const world = simWorld(seed, { lossShare: 0.1, duplicateShare: 0.1, reorderShare: 0.1 });
    const moments: string[] = [];
    world.network.onFrame = ({ from, to, bytes }) => moments.push(`${world.engine.nowMs} ${from} ${to} ${bytes}`);
    const plugs = [await world.plug(helloOf(1)), await world.plug(helloOf(2)), await world.plug(helloOf(3))];
    introduce(...plugs);
    for (let i = 0; i < 200; i++) {
      for (const { fabric } of plugs) for (const n of [1, 2, 3]) fabric.send(idOf(n), probe(i));
      if (i === 80) world.network.cut(idOf(1), idOf(2));
      if (i === 120) world.network.mend();
      if (i === 150) world.network.crash(idOf(3));
      await world.engine.run(world.engine.nowMs + 3);
    }
    return `${world.network.traceHash} ${moments.join()}`;
  };
  assert.equal(await run(7), await run(7));
  assert.notEqual(await run(7), await run(8));
});
