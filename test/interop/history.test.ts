import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { blockBytes } from '../../src/base/ids.ts';
import { readValue } from '../../src/sim/contents.ts';
import { checkLinearizability } from '../../src/sim/checkers/linearizability.ts';
import { History } from '../../src/sim/history.ts';
import { startChassis } from './chassis.ts';
import { HistoryConnection } from './history-connection.ts';
import { HistoryFaults } from './history-faults.ts';
import { HistoryLoad } from './history-load.ts';

/** 60 is what the project promises; the default keeps the whole run short. */
const seconds = Number(process.env['CORELET_HISTORY_SECONDS'] ?? '12');
const volumeBytes = 256 * 1024 * 1024;
const hosts = 8;
const depth = 32;
const blocks = 2048;

test('eight hosts at one volume through different Corelets that die, freeze and come back: every read fits one order of the writes', {
  timeout: 280_000 + seconds * 1000,
}, async (t: TestContext) => {
  const chassis = await startChassis({ volume: 'demo:256MiB' });
  t.after(() => chassis.stop());
  await chassis.full();
  const seed = Math.floor(Math.random() * 2 ** 32);
  const ports = chassis.slots().map(({ slot }) => chassis.nbdPort + slot);
  const history = new History();
  const load = new HistoryLoad(history, {
    ports,
    volume: 'demo',
    seed,
    hosts,
    depth,
    blocks,
    volumeBytes,
    readShare: 0.75,
  });
  const faults = new HistoryFaults(chassis);
  load.start();
  faults.start();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000)); // the scenario's own time
  const operations = history.operations.length;
  await faults.stop();
  await load.stop();

  // What survives: read once more, through one Corelet, when all are back.
  const connection = await HistoryConnection.open(ports[0] as number, 'demo');
  t.after(() => connection.abandon());
  for (let block = 0; block < blocks; block++) {
    const offset = load.offsetOf(block);
    const operation = history.begin({
      host: hosts,
      slot: 0,
      kind: 'read',
      offset,
      lengthBytes: blockBytes,
      invokedMs: performance.now(),
    });
    await new Promise<void>((resolve) => {
      connection.read(offset, blockBytes, (answer) => {
        assert.ok(answer !== 'lost' && 'data' in answer, 'the last reads are answered');
        history.end(operation, 'ok', performance.now());
        history.touch(block, operation, 'read', readValue(answer.data, seed, block));
        resolve();
      });
    });
  }

  const outcomes = { ok: 0, failed: 0, unknown: 0, open: 0 };
  for (const operation of history.operations) outcomes[operation.outcome]++;
  const { killed, stopped, longStopped } = faults.kinds;
  t.diagnostic(`seed ${seed}: ${operations} operations in ${seconds} s by ${hosts} hosts, ${depth} at a time`);
  t.diagnostic(
    `${outcomes.ok} ok, ${outcomes.unknown} unknown, ${outcomes.failed} failed; ${load.reconnects} reconnects`,
  );
  t.diagnostic(`${killed} killed and inserted again, ${stopped} paused shortly, ${longStopped} for seconds`);
  const began = performance.now();
  const report = checkLinearizability(history, (block) => `block ${block}`);
  t.diagnostic(`${report.registers} blocks checked in ${Math.round(performance.now() - began)} ms`);
  assert.deepEqual(report.violations, []);
  assert.equal(report.unchecked, 0, 'every block was decided');
  assert.ok(killed + longStopped > 0, 'there were faults');
  assert.equal(outcomes.open, 0);
});
