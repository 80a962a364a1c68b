import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ArcId, ClusterId, CoreletId, VolumeId } from '../../src/base/ids.ts';
import type { Fabric, FabricAddress, Hello } from '../../src/ports/fabric.ts';
import { laneBytesMax } from '../../src/wire/peer/limits.ts';
import type { CopyChunk } from '../../src/wire/peer/copy.ts';
import type { Liveness, PeerMessage, ReadProbe } from '../../src/wire/peer/types.ts';

/** One Corelet's end, and all that it heard. */
export interface Plug {
  readonly fabric: Fabric<PeerMessage>;
  readonly address: FabricAddress;
  readonly heard: PeerMessage[];
  /** `up ID INCARNATION`, `down ID REASON`, `superseded ID`, in order. */
  readonly news: string[];
}

/** What a kind of fabric brings to the suite. */
export interface FabricWorld {
  /** Started, and listening at an address of its own; at `at` if given (a process that starts again). `starts`: of peers, heard before. */
  plug(hello: Hello, at?: FabricAddress, starts?: ReadonlyMap<CoreletId, number>): Promise<Plug>;
  /** As SIGKILL does: everything ends, nobody is told but by the closed connections. */
  kill(plug: Plug): Promise<void>;
  /** Lets time pass until `condition` holds; rejects after a generous limit. */
  until(condition: () => boolean, what: string): Promise<void>;
  /** Connections refused so far, by any plug and for any reason but that there was one already. */
  refusals(): number;
  end(): Promise<void>;
}

export function idOf(n: number): CoreletId {
  return n.toString(16).padStart(32, '0') as CoreletId;
}
export const home = 'c0ffee'.padStart(32, '0') as ClusterId;
export function helloOf(n: number, incarnation = 1, cluster = home): Hello {
  return { cluster, id: idOf(n), incarnation };
}

export function liveness(sequence: number): Liveness {
  return {
    type: 'liveness',
    sequence,
    echo: 0,
    echoHeldUs: 0,
    nextMs: 100,
    answer: false,
    wantsTickets: false,
    ticketMs: 0,
    flashWaitMs: 0,
    syncUs: 0,
    viewNumber: 1,
    ledDigest: 2,
    syncedBatches: 3,
    usedBytes: 4,
    sizeBytes: 5,
  };
}
export function probe(context: number): ReadProbe {
  return { type: 'readProbe', arc: 1 as ArcId, fromGeneration: 1, toGeneration: 2, term: 3, context };
}
/** 256 blocks whose content follows from `sequence`. */
export function bulk(sequence: number): CopyChunk {
  const blocks = Uint16Array.from({ length: 256 }, (_, at) => at);
  return {
    type: 'copyChunk',
    arc: 1 as ArcId,
    fromGeneration: 1,
    toGeneration: 2,
    term: 3,
    copy: 4,
    sequence,
    volume: 6 as VolumeId,
    layer: 0,
    chunk: sequence,
    blocks,
    versions: new Float64Array(256).fill(7),
    crcs: new Uint32Array(256),
    emptyBlocks: new Uint16Array(0),
    emptyVersions: new Float64Array(0),
    data: [new Uint8Array(256 * 4096).fill(sequence)],
  };
}

/** Everyone knows everyone. */
export function introduce(...plugs: readonly Plug[]): void {
  const all = new Map(plugs.map(({ fabric, address }) => [fabric.self.id, address]));
  for (const { fabric } of plugs) fabric.setPeers(all);
}
export function connected(...plugs: readonly Plug[]): () => boolean {
  return () =>
    plugs.every(({ fabric }) => plugs.every((other) => other.fabric === fabric || fabric.isUp(other.fabric.self.id)));
}
const contexts = (plug: Plug): number[] =>
  plug.heard.flatMap((each) => (each.type === 'readProbe' ? [each.context] : []));

type Story = (title: string, tell: (world: FabricWorld) => Promise<void>) => void;

/** Runs every promise of ports/fabric.ts against one kind of fabric. */
export function fabricContract(name: string, makeWorld: () => Promise<FabricWorld>): void {
  const story: Story = (title, tell) => {
    test(`${name}: ${title}`, { timeout: 60_000 }, async () => {
      const world = await makeWorld();
      try {
        await tell(world);
      } finally {
        await world.end();
      }
    });
  };
  deliveryStories(story);
  deathStories(story);
  strangerStories(story);
}

function deliveryStories(story: Story): void {
  story('everything sent in one turn arrives, in order, on every lane', async (world) => {
    const [a, b, c] = [await world.plug(helloOf(1)), await world.plug(helloOf(2)), await world.plug(helloOf(3))];
    introduce(a, b, c);
    await world.until(connected(a, b, c), 'three connected');
    assert.deepEqual(a.news.toSorted(), [`up ${idOf(2)} 1`, `up ${idOf(3)} 1`]);
    for (let i = 0; i < 200; i++) {
      assert.equal(a.fabric.send(idOf(2), probe(i)), 'queued');
      assert.equal(a.fabric.send(idOf(2), liveness(i)), 'queued');
      assert.equal(c.fabric.send(idOf(2), liveness(1000 + i)), 'queued');
    }
    assert.equal(a.fabric.send(idOf(2), bulk(9)), 'queued');
    assert.equal(b.heard.length, 0);
    await world.until(() => b.heard.length === 601, 'all messages');
    assert.deepEqual(
      contexts(b),
      Array.from({ length: 200 }, (_, i) => i),
    );
    const beats = b.heard.flatMap((each) => (each.type === 'liveness' ? [each.sequence] : []));
    assert.deepEqual(
      beats.filter((n) => n < 1000),
      Array.from({ length: 200 }, (_, i) => i),
    );
    const copies = b.heard.filter((each) => each.type === 'copyChunk');
    assert.deepEqual(copies[0]?.data[0], bulk(9).data[0]);
    assert.equal(a.heard.length + c.heard.length, 0);
  });

  story('both may answer from within what they hear, turn after turn', async (world) => {
    const [a, b] = [await world.plug(helloOf(1)), await world.plug(helloOf(2))];
    introduce(a, b);
    await world.until(connected(a, b), 'connected');
    for (let i = 0; i < 30; i++) {
      a.fabric.send(idOf(2), probe(i));
      await world.until(() => b.heard.length === i + 1, 'there');
      b.fabric.send(idOf(1), probe(i));
      await world.until(() => a.heard.length === i + 1, 'and back');
    }
  });

  for (const [caller, callee] of [
    [1, 2],
    [2, 1],
  ] as const) {
    story(`${caller} reaches ${callee}, who has never heard of it: a blank module finds its seeds`, async (world) => {
      const [joiner, seed] = [await world.plug(helloOf(caller)), await world.plug(helloOf(callee))];
      joiner.fabric.setPeers(new Map([[idOf(callee), seed.address]]));
      await world.until(connected(joiner, seed), 'connected');
      assert.equal(seed.fabric.send(idOf(caller), probe(1)), 'queued');
      await world.until(() => joiner.heard.length === 1, 'an answer');
    });
  }

  story('a queue is bounded: a peer that takes nothing costs bounded memory and is told of as full', async (world) => {
    const [a, b] = [await world.plug(helloOf(1)), await world.plug(helloOf(2))];
    introduce(a, b);
    await world.until(connected(a, b), 'connected');
    const message = bulk(1);
    let queued = 0;
    while (a.fabric.send(idOf(2), message) === 'queued') {
      queued++;
      assert.ok(queued < 1000, 'bounded');
    }
    assert.ok(queued * 1024 * 1024 <= laneBytesMax[2] + 2 * 1024 * 1024);
    assert.equal(a.fabric.send(idOf(2), probe(1)), 'queued', 'bulk never closes the lane of hosts');
    await world.until(() => b.heard.length === queued + 1, 'what was queued');
    assert.equal(a.fabric.send(idOf(2), message), 'queued');
  });
}

function deathStories(story: Story): void {
  story(
    'a killed peer is noticed by its connections, not by a timeout; its next start is a new peer',
    async (world) => {
      const [a, b] = [await world.plug(helloOf(1)), await world.plug(helloOf(2))];
      introduce(a, b);
      await world.until(connected(a, b), 'connected');
      await world.kill(b);
      await world.until(() => a.news.length === 2, 'news of the end');
      assert.deepEqual(a.news, [`up ${idOf(2)} 1`, `down ${idOf(2)} reset`]);
      assert.equal(a.fabric.isUp(idOf(2)), false);
      assert.equal(a.fabric.send(idOf(2), probe(1)), 'unreachable');
      const again = await world.plug(helloOf(2, 2), b.address);
      await world.until(() => a.fabric.isUp(idOf(2)), 'reconnected');
      assert.deepEqual(a.news.slice(2), [`up ${idOf(2)} 2`]);
      a.fabric.send(idOf(2), probe(3));
      await world.until(() => again.heard.length === 1, 'a message to the new start');
    },
  );

  story('a newer start replaces the older while that still runs, and the older can’t take it back', async (world) => {
    const [a, old] = [await world.plug(helloOf(5)), await world.plug(helloOf(2, 1))];
    old.fabric.setPeers(new Map([[idOf(5), a.address]]));
    await world.until(connected(a, old), 'connected');
    const young = await world.plug(helloOf(2, 2));
    young.fabric.setPeers(new Map([[idOf(5), a.address]]));
    await world.until(() => a.news.length >= 3, 'replaced');
    assert.deepEqual(a.news, [`up ${idOf(2)} 1`, `down ${idOf(2)} replaced`, `up ${idOf(2)} 2`]);
    await world.until(() => young.fabric.isUp(idOf(5)) && !old.fabric.isUp(idOf(5)), 'the old one is out');
    a.fabric.send(idOf(2), probe(7));
    await world.until(() => young.heard.length === 1, 'a message to the younger');
    assert.equal(old.heard.length, 0);
    await world.until(() => old.news.includes(`superseded ${idOf(5)}`), 'the old one learns why');
    assert.equal(young.news.includes(`superseded ${idOf(5)}`), false);
    // Else what the younger told would be told again, otherwise, by one that doesn't know of it.
    await world.kill(young);
    await world.until(() => !a.fabric.isUp(idOf(2)), 'the younger is gone');
    const told = old.news.length;
    await world.until(() => a.fabric.isUp(idOf(2)) || old.news.length > told + 3, 'the old one tries again');
    assert.equal(a.fabric.isUp(idOf(2)), false, a.news.join());
  });

  story(
    'what was heard of a peer in an earlier life holds: a start older than that isn’t spoken with',
    async (world) => {
      const a = await world.plug(helloOf(5), undefined, new Map([[idOf(2), 7]]));
      const [old, young] = [await world.plug(helloOf(2, 6)), await world.plug(helloOf(2, 8))];
      old.fabric.setPeers(new Map([[idOf(5), a.address]]));
      await world.until(() => old.news.length > 0, 'an answer');
      assert.deepEqual(old.news.slice(0, 1), [`superseded ${idOf(5)}`]);
      young.fabric.setPeers(new Map([[idOf(5), a.address]]));
      await world.until(connected(a, young), 'connected');
      assert.deepEqual(a.news, [`up ${idOf(2)} 8`]);
    },
  );
}

function strangerStories(story: Story): void {
  story('a Corelet of another cluster is refused, so that two clusters never mix', async (world) => {
    const foreign = 'beef'.padStart(32, '0') as ClusterId;
    const [a, b, c] = [
      await world.plug(helloOf(1)),
      await world.plug(helloOf(2, 1, foreign)),
      await world.plug(helloOf(3)),
    ];
    introduce(a, b, c);
    await world.until(connected(a, c), 'the two of one cluster');
    await world.until(() => world.refusals() >= 2, 'refused by both');
    assert.deepEqual(b.news, []);
    assert.equal(a.fabric.isUp(idOf(2)) || c.fabric.isUp(idOf(2)), false);
  });

  story('another Corelet at a peer’s old address isn’t taken for it', async (world) => {
    const [a, b] = [await world.plug(helloOf(1)), await world.plug(helloOf(2))];
    a.fabric.setPeers(new Map([[idOf(3), b.address]]));
    await world.until(() => world.refusals() > 0, 'refused');
    assert.deepEqual(a.news, []);
    assert.equal(a.fabric.isUp(idOf(3)), false);
  });

  story('a peer that isn’t named any more is disconnected, and both sides hear of it', async (world) => {
    const [a, b] = [await world.plug(helloOf(1)), await world.plug(helloOf(2))];
    a.fabric.setPeers(new Map([[idOf(2), b.address]]));
    await world.until(connected(a, b), 'connected');
    a.fabric.setPeers(new Map());
    await world.until(() => !a.fabric.isUp(idOf(2)) && !b.fabric.isUp(idOf(1)), 'disconnected');
    await world.until(() => a.news.length === 2 && b.news.length === 2, 'both told');
    assert.equal(a.fabric.send(idOf(2), probe(1)), 'unreachable');
  });

  story('a closed fabric hears and sends nothing more', async (world) => {
    const [a, b] = [await world.plug(helloOf(1)), await world.plug(helloOf(2))];
    introduce(a, b);
    await world.until(connected(a, b), 'connected');
    b.fabric.send(idOf(1), probe(1));
    await a.fabric.close();
    await world.until(() => b.news.length === 2, 'the other is told');
    assert.deepEqual(a.news, [`up ${idOf(2)} 1`]);
    assert.equal(a.fabric.send(idOf(2), probe(1)), 'unreachable');
  });
}
