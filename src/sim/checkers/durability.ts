import { zeroValue } from '../history.ts';
import type { History, RegisterKey, RegisterOperation } from '../history.ts';
import { tellOperation, tellValue } from './violation.ts';
import type { Violation } from './violation.ts';

/**
 * INV-1, after the faults have stopped and every register was read with no write under way: what it holds was written by
 * an operation that no acknowledged one followed. `finalReads`: numbers of those reads. Says less than linearizability, and
 * says it plainly: which acknowledged write is gone. A torn record taken for the end of the log would show here (INV-7).
 */
export function checkDurability(
  history: History,
  finalReads: ReadonlySet<number>,
  name: (key: RegisterKey) => string,
): readonly Violation[] {
  const violations: Violation[] = [];
  for (const [key, operations] of history.registers) {
    const final = operations.findLast(
      ({ operation, kind }) => kind === 'read' && operation.outcome === 'ok' && finalReads.has(operation.number),
    );
    if (final === undefined) {
      if (operations.some(isAcknowledgedWrite)) violations.push(unread(key, operations, name));
      continue;
    }
    const lost = lostWrite(operations, final);
    if (lost === undefined) continue;
    const author = operations.find(({ kind, value }) => kind !== 'read' && value === final.value);
    const story = [author, lost, final].filter((item) => item !== undefined);
    violations.push({
      invariant: 'INV-1',
      summary: `${name(key)}: acknowledged write op ${lost.operation.number} of ${tellValue(lost.value)} is lost`,
      story: story.map(({ operation, value }) => tellOperation(operation, value)),
    });
  }
  return violations;
}

function isAcknowledgedWrite({ kind, operation }: RegisterOperation): boolean {
  return (kind === 'write' || kind === 'compare') && operation.outcome === 'ok';
}

function unread(
  key: RegisterKey,
  operations: readonly RegisterOperation[],
  name: (key: RegisterKey) => string,
): Violation {
  const last = operations.findLast(isAcknowledgedWrite);
  return {
    invariant: 'INV-1',
    summary: `${name(key)}: can't be read after the faults stopped`,
    story: last === undefined ? [] : [tellOperation(last.operation, last.value)],
  };
}

/** The acknowledged write that should have hidden what the final read saw; undefined when all is well. */
function lostWrite(operations: readonly RegisterOperation[], final: RegisterOperation): RegisterOperation | undefined {
  let newest: RegisterOperation | undefined;
  for (const item of operations) {
    if (isAcknowledgedWrite(item) && (newest === undefined || item.operation.invokedAt > newest.operation.invokedAt)) {
      newest = item;
    }
  }
  if (newest === undefined) return undefined; // then linearizability judges what was read
  const newestInvokedAt = newest.operation.invokedAt;
  const explained = operations.some(
    ({ kind, value, operation }) =>
      (kind === 'write' || kind === 'compare') &&
      value === final.value &&
      operation.outcome !== 'failed' &&
      operation.completedAt > newestInvokedAt,
  );
  return explained || (newest.value === zeroValue && final.value === zeroValue) ? undefined : newest;
}
