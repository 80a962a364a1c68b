import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startChassis } from '../chassis.ts';
import { ensureClient } from '../clients.ts';
import { runFio } from '../fio.ts';

/** 24 shows what the project promises; the default keeps the whole run short. */
const slots = Number(process.env['CORELET_PULL_FROM'] ?? '6');
const copies = 3;
const sizeBytes = 64 * 1024 * 1024;

test(`a chassis pulled module by module down to ${copies}, each after the one before was made good, serves and loses nothing`, {
  timeout: 280_000,
}, async (t: TestContext) => {
  if (!(await ensureClient('fio'))) return t.skip("fio is not installed and can't be");
  const chassis = await startChassis({ slots, volume: 'demo:64MiB' });
  t.after(() => chassis.stop());
  const uri = chassis.nbdUri(0);
  const fill = { uri, blockSizeBytes: 65_536, queueDepth: 4, sizeBytes, seconds: 0, verify: true } as const;
  assert.equal((await runFio({ ...fill, rw: 'write' })).errors, 0);
  const tookMs: number[] = [];
  for (let victim = slots - 1; victim >= copies; victim--) {
    const load = {
      uri,
      rw: 'randwrite',
      blockSizeBytes: 4096,
      queueDepth: 4,
      sizeBytes,
      seconds: 4,
      verify: true,
    } as const;
    const running = runFio(load);
    const pulled = await chassis.corelet(['slot', 'pull', String(victim)]);
    assert.equal(pulled.code, 0, pulled.stderr);
    const began = performance.now();
    await chassis.healedWithout(victim, 60_000);
    tookMs.push(Math.round(performance.now() - began));
    assert.equal(
      (await running).errors,
      0,
      `slot ${victim} pulled: the host saw an error, or other bytes than it wrote`,
    );
  }
  // The last three hold everything: one more is not safe, and says so.
  await chassis.until('every arc on three', 30_000, ({ arcs }) => arcs.full === arcs.total);
  const scrubbed = await chassis.corelet(['scrub', 'now', '--json', '--wait', '60']);
  assert.equal(scrubbed.code, 0, scrubbed.stderr + scrubbed.stdout);
  const { total } = JSON.parse(scrubbed.stdout) as { total: { badBlocks: number; differing: number } };
  assert.equal(total.badBlocks + total.differing, 0, scrubbed.stdout);
  t.diagnostic(`64 MiB full again after each pull: ${tookMs.join(', ')} ms`);
});
