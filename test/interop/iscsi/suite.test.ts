import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { type DemoChassis, startChassis } from '../chassis.ts';
import { ensureClient } from '../clients.ts';
import { run } from '../commands.ts';
import { type SuiteTest, suiteTests } from './suite-output.ts';

// libiscsi's conformance suite against a running chassis. In `npm test` what takes few commands; with CORELET_VERIFY_SECONDS set, all of it.

/** Nothing that a volume is: a removable medium; nor what the suite only does when it is told to: sanitizing. */
const skipsMax = 25;
const testsAll = 230;
const isFull = process.env['CORELET_VERIFY_SECONDS'] !== undefined;
/**
 * Without the hundreds of writes, one after the other, that most others begin with. MultipathIO comes first: it takes for granted that a block is
 * zeros which it doesn't zero.
 */
const quickSuites =
  'MultipathIO CompareAndWrite ExtendedCopy Inquiry ModeSense6 ProutReserve ProutPreempt ReportSupportedOpcodes Reserve6 iSCSITMF';
const families = isFull ? ['ALL'] : quickSuites.split(' ').map((suite) => `ALL.${suite}`);

let chassis: DemoChassis;
before(async () => {
  chassis = await startChassis({ slots: 3, volume: 'demo:128MiB' });
});
after(() => chassis.stop());

/** Through two Corelets, so that the multipath tests have two paths. */
async function suite(family: string): Promise<readonly SuiteTest[]> {
  const args = ['--dataloss', '--verbose', `--test=${family}`, chassis.iscsiUri(0), chassis.iscsiUri(1)];
  const { stdout, stderr } = await run('iscsi-test-cu', args, { limitMs: 900_000 });
  const tests = suiteTests(stdout);
  const failed = tests.filter(({ outcome }) => outcome === 'failed' || outcome === 'unfinished');
  assert.deepEqual(failed, [], `${family}\n${stdout}${stderr}`);
  assert.ok(tests.length > 0, `${family} has tests: ${stdout}${stderr}`);
  return tests;
}

test('iscsi-test-cu: no test fails, and those that show nothing are few', {
  timeout: 1_000_000,
}, async (t: TestContext) => {
  if (!(await ensureClient('iscsi-test-cu'))) return t.skip('iscsi-test-cu is not installed and can’t be');
  const tests: SuiteTest[] = [];
  for (const family of families) tests.push(...(await suite(family)));
  const skipped = tests.filter(({ outcome }) => outcome === 'skipped');
  t.diagnostic(
    `${tests.length - skipped.length} passed, ${skipped.length} skipped: ${skipped.map(({ name }) => name).join(' ')}`,
  );
  assert.ok(skipped.length <= skipsMax);
  if (isFull) assert.equal(tests.length, testsAll);
});

test('iscsi-test-cu: a read-only volume refuses every command that would write', {
  timeout: 200_000,
}, async (t: TestContext) => {
  if (!(await ensureClient('iscsi-test-cu'))) return t.skip('iscsi-test-cu is not installed and can’t be');
  const made = await chassis.corelet(['volume', 'access', 'demo', '--read-only']);
  assert.equal(made.code, 0, made.stderr);
  const tests = await suite('ALL.ReadOnly');
  assert.deepEqual(tests, [{ name: 'ReadOnly.ReadOnlySBC', outcome: 'passed' }]);
});

test('a test that skipped is no pass, and one without an end is a failure', () => {
  const output = [
    'Suite: Read10',
    '  Test: Simple ...passed',
    '  Test: Async ...',
    '    [SKIPPED] too small',
    'passed',
    '  Test: DpoFua ...',
    '    [FAILED] READ10 …',
    'FAILED',
    '    1. somewhere',
    'Suite: Reserve6',
    '  Test: LUNReset ...    Take out a RESERVE6',
    'passed    [FAILED] PRIN command',
    'Suite: Unmap',
    '  Test: Simple ...    working',
  ].join('\n');
  assert.deepEqual(
    suiteTests(output).map(({ name, outcome }) => `${name} ${outcome}`),
    [
      'Read10.Simple passed',
      'Read10.Async skipped',
      'Read10.DpoFua failed',
      'Reserve6.LUNReset passed',
      'Unmap.Simple unfinished',
    ],
  );
});
