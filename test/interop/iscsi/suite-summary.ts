// Reads what `iscsi-test-cu -v` prints (CUnit's verbose mode). A skipped test counts as skipped, not as passed, whatever CUnit says of it.

export interface SuiteCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** `Suite.Test` of each. */
  readonly failures: readonly string[];
}

export function summarize(output: string): SuiteCounts {
  let suite = '';
  let name = '';
  let text = '';
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const failures: string[] = [];
  const close = (): void => {
    if (name === '') return;
    if (/FAILED\s*$/m.test(text.replaceAll('[FAILED]', ''))) {
      counts.failed += 1;
      failures.push(`${suite}.${name}`);
    } else if (text.includes('[SKIPPED]')) counts.skipped += 1;
    else if (/passed\s*$/m.test(text)) counts.passed += 1;
    else failures.push(`${suite}.${name} (no result)`);
    name = '';
  };
  for (const line of output.split('\n')) {
    const suiteName = /^Suite: (.*?)\s*$/.exec(line)?.[1];
    const test = /^\s+Test: (\S+) \.\.\.(.*)$/.exec(line);
    if (suiteName !== undefined || test !== null || line.startsWith('Run Summary')) close();
    if (suiteName !== undefined) suite = suiteName;
    else if (test !== null) [name, text] = [test[1] as string, `${test[2]}\n`];
    else text += `${line}\n`;
  }
  close();
  return { ...counts, failures };
}
