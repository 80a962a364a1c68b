import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type DemoChassis, startChassis } from '../chassis.ts';
import { eventually } from '../commands.ts';
import { NbdConnection } from '../nbd-connection.ts';

const blockBytes = 4096;
const queueDepth = 16;
const volumeBlocks = 64 * 256; // of 64 MiB

/** What a block may hold after the cut: what was acknowledged last, or what was under way. */
interface BlockHistory {
  acknowledged: number;
  /** 0: nothing under way. */
  attempted: number;
}

/** Fills a block with what names it and the write: (block, attempt) pairs, so that any mixture shows. */
function fill(block: number, attempt: number): Uint32Array {
  const words = new Uint32Array(blockBytes / 4);
  for (let i = 0; i < words.length; i += 2) {
    words[i] = block;
    words[i + 1] = attempt;
  }
  return words;
}

function bytesOf(words: Uint32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/** Which write the block shows; undefined when it is torn or another block's. 0: never written. */
function writeShown(block: number, data: Buffer): number | undefined {
  const attempt = data.readUInt32LE(4);
  if (attempt === 0) return data.every((byte) => byte === 0) ? 0 : undefined;
  return data.equals(bytesOf(fill(block, attempt))) ? attempt : undefined;
}

/** Writes at random, every block by one writer at a time, until the connection is lost. */
async function writeUntilCut(
  connection: NbdConnection,
  histories: Map<number, BlockHistory>,
  onAcknowledged: () => void,
): Promise<void> {
  let attempt = 0;
  const writer = async (lane: number) => {
    for (;;) {
      const block = Math.floor((Math.random() * volumeBlocks) / queueDepth) * queueDepth + lane;
      const history = histories.get(block) ?? { acknowledged: 0, attempted: 0 };
      histories.set(block, history);
      history.attempted = ++attempt;
      await connection.write(block * blockBytes, bytesOf(fill(block, history.attempted)));
      history.acknowledged = history.attempted;
      history.attempted = 0;
      onAcknowledged();
    }
  };
  await Promise.allSettled(Array.from({ length: queueDepth }, (_, lane) => writer(lane)));
}

async function verify(port: number, histories: ReadonlyMap<number, BlockHistory>): Promise<number> {
  const connection = await NbdConnection.open(port, 'demo');
  let checked = 0;
  try {
    for (const [block, history] of histories) {
      const shown = writeShown(block, await connection.read(block * blockBytes, blockBytes));
      const allowed = history.attempted === 0 ? [history.acknowledged] : [history.acknowledged, history.attempted];
      assert.ok(
        shown !== undefined && allowed.includes(shown),
        `INV-1: block ${block} shows write ${shown ?? '(torn)'}, acknowledged was ${history.acknowledged}, under way ${history.attempted}`,
      );
      checked++;
    }
  } finally {
    connection.close();
  }
  return checked;
}

async function cutPowerWhileWriting(chassis: DemoChassis, histories: Map<number, BlockHistory>): Promise<number> {
  const connection = await NbdConnection.open(chassis.nbdPort, 'demo');
  let acknowledged = 0;
  const writing = writeUntilCut(connection, histories, () => acknowledged++);
  await eventually('2,000 acknowledged writes', 60_000, () => (acknowledged >= 2000 ? true : undefined));
  await chassis.cutPower();
  await writing;
  connection.close();
  return acknowledged;
}

test('after a power cut in mid-write, every acknowledged block is there', {
  timeout: 240_000,
}, async (t: TestContext) => {
  const histories = new Map<number, BlockHistory>();
  let chassis = await startChassis({ volume: 'demo:64MiB' });
  t.after(() => chassis.stop());
  const volumeId = (await chassis.corelet(['volume', 'show', 'demo', '--json'])).stdout;
  for (let cut = 1; cut <= 2; cut++) {
    const acknowledged = await cutPowerWhileWriting(chassis, histories);
    chassis = await startChassis({
      data: chassis.data,
      nbdPort: chassis.nbdPort,
      adminPort: chassis.adminPort,
      volume: 'demo:64MiB',
    });
    // Through the gateway that took them, and through one that may have held no copy.
    for (const slot of [0, 5]) {
      const checked = await verify(chassis.nbdPort + slot, histories);
      t.diagnostic(
        `cut ${cut}: ${acknowledged} writes acknowledged before it; ${checked} blocks verified through slot ${slot}; ` +
          `ready ${Math.round(chassis.readyMs)} ms after the start`,
      );
    }
    // A write that was under way may have landed; from here on it either is what the block holds, or never will be.
    await settle(chassis, histories);
  }
  assert.equal((await chassis.corelet(['volume', 'show', 'demo', '--json'])).stdout, volumeId, 'the same volume');
});

async function settle(chassis: DemoChassis, histories: Map<number, BlockHistory>): Promise<void> {
  const connection = await NbdConnection.open(chassis.nbdPort, 'demo');
  for (const [block, history] of histories) {
    if (history.attempted === 0) continue;
    history.acknowledged = writeShown(block, await connection.read(block * blockBytes, blockBytes)) as number;
    history.attempted = 0;
  }
  connection.close();
}
