/** How one test of `iscsi-test-cu` ended. A test that says SKIPPED has shown nothing, though the suite counts it as passed. */
export interface SuiteTest {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped' | 'unfinished';
}

const suiteLine = /^Suite: (.*\S)/;
const testLine = /^\s+Test: (\S+) \.\.\./;
/** What a test says comes between its name and its end; what its tidying up says may follow the end on the same line. */
const passedEnd = /(?:^|\.\.\.)passed\b|passed\s*$/;
const failedEnd = /(?:^|\.\.\.)FAILED\b/;

/** Reads what `iscsi-test-cu --verbose` printed. */
export function suiteTests(output: string): readonly SuiteTest[] {
  const tests: { name: string; outcome: SuiteTest['outcome']; isSkipped: boolean }[] = [];
  let suite = '';
  for (const line of output.split('\n')) {
    suite = suiteLine.exec(line)?.[1] ?? suite;
    const name = testLine.exec(line)?.[1];
    if (name !== undefined) tests.push({ name: `${suite}.${name}`, outcome: 'unfinished', isSkipped: false });
    const last = tests.at(-1);
    if (last === undefined) continue;
    if (line.includes('SKIPPED')) last.isSkipped = true;
    if (last.outcome !== 'unfinished') continue;
    if (failedEnd.test(line)) last.outcome = 'failed';
    else if (passedEnd.test(line)) last.outcome = 'passed';
  }
  return tests.map(({ name, outcome, isSkipped }) => ({
    name,
    outcome: outcome === 'passed' && isSkipped ? 'skipped' : outcome,
  }));
}
