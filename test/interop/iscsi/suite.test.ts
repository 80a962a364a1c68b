import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startChassis } from '../chassis.ts';
import { ensureClient } from '../clients.ts';
import { run } from '../commands.ts';
import { summarize } from './suite-summary.ts';

// libiscsi's conformance suite against a running chassis, two Corelets for its multipath cases. CORELET_ISCSI_SUITE=ALL runs all of it.
const family = process.env['CORELET_ISCSI_SUITE'] ?? 'iSCSI';
const limitMs = family === 'iSCSI' ? 240_000 : 1_800_000;
const skippedMax = 25;

test('a skipped test is not a passed one, and a failure has a name', () => {
  const output = `Suite: TestUnitReady
  Test: Simple ...passed
  Test: Odd ...    [SKIPPED] not implemented
passed
Suite: Read6
  Test: Beyond ...    [FAILED] READ6 failed
FAILED
    1. test_read6.c:12  - CU_ASSERT_EQUAL(ret,0)
  Test: Fine ...    some words
passed
Run Summary: Type Total`;
  assert.deepEqual(summarize(output), { passed: 2, failed: 1, skipped: 1, failures: ['Read6.Beyond'] });
});

test(`iscsi-test-cu ${family}: nothing fails`, { timeout: limitMs + 60_000 }, async (t: TestContext) => {
  if (!(await ensureClient('iscsi-test-cu'))) return t.skip("iscsi-test-cu is not installed and can't be");
  const chassis = await startChassis({ slots: 3, volume: 'demo:128MiB' });
  try {
    const args = ['-d', '-v', '-t', family, chassis.iscsiUri(0), chassis.iscsiUri(1)];
    const { stdout, stderr } = await run('iscsi-test-cu', args, { limitMs });
    const counts = summarize(stdout);
    t.diagnostic(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
    assert.deepEqual(counts.failures, [], stderr.slice(-4000));
    assert.ok(counts.passed > 0 && counts.skipped <= skippedMax, JSON.stringify(counts));
  } finally {
    await chassis.stop();
  }
});
