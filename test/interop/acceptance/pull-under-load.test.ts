import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startChassis } from '../chassis.ts';
import { ensureClient } from '../clients.ts';
import { runFio } from '../fio.ts';

/** 60 shows what the project promises; the default keeps the whole run short. */
const seconds = Number(process.env['CORELET_VERIFY_SECONDS'] ?? '20');
const sizeBytes = 256 * 1024 * 1024;

test('a host that writes and verifies notices no error while a slot is pulled', {
  timeout: 280_000,
}, async (t: TestContext) => {
  if (!(await ensureClient('fio'))) return t.skip("fio is not installed and can't be");
  const chassis = await startChassis({ volume: 'demo:256MiB' });
  t.after(() => chassis.stop());
  const uri = chassis.nbdUri(0);
  await runFio({ uri, rw: 'write', blockSizeBytes: 1024 * 1024, queueDepth: 4, sizeBytes, seconds: 0 });

  const load = {
    uri,
    rw: 'randwrite',
    blockSizeBytes: 4096,
    queueDepth: 16,
    sizeBytes,
    seconds,
    verify: true,
  } as const;
  const running = runFio(load);
  // The scenario's own time: a third of the run is before the pull, most of the healing is beside it.
  const healing = new Promise((resolve) => setTimeout(resolve, (seconds * 1000) / 3)).then(async () => {
    const pulled = await chassis.corelet(['slot', 'pull', '2']);
    assert.equal(pulled.code, 0, pulled.stderr);
    const began = performance.now();
    await chassis.healedWithout(2, 120_000);
    return performance.now() - began;
  });
  const [result, healedMs] = await Promise.all([running, healing]);

  t.diagnostic(`${seconds} s, ${result.ios} verified writes, longest I/O ${result.longestMs.toFixed(1)} ms`);
  t.diagnostic(`256 MiB full again ${Math.round(healedMs)} ms after the pull, under load`);
  assert.equal(result.errors, 0);
  assert.ok(result.ios > 0);
});
