import type { CompareResult, IoErrorCode, IoResult } from './block-device.ts';
import type { OpOutcome } from './operation.ts';

export const ok = { ok: true } as const;

/**
 * A command of several pieces is as good as its worst; an open outcome outweighs any refusal. `RETRYABLE` promises that
 * nothing happened: where another piece took effect, no answer is true.
 */
export function worst(results: readonly IoResult[]): IoResult {
  let failed: IoResult | undefined;
  let done = 0;
  for (const result of results) {
    if (result.ok) done += 1;
    else if (result.code === 'UNKNOWN') return result;
    else failed ??= result;
  }
  if (failed === undefined) return ok;
  return !failed.ok && failed.code === 'RETRYABLE' && done > 0 ? { ok: false, code: 'UNKNOWN' } : failed;
}

/** What a host hears of a change that is decided. */
export function ioResult(outcome: OpOutcome): IoResult {
  return outcome.code === 'ok' ? ok : { ok: false, code: ioCode(outcome.code) };
}

/** The same, of a comparison: where it failed, too. */
export function compareResult(outcome: OpOutcome): CompareResult {
  return outcome.code === 'miscompare'
    ? { ok: false, code: 'MISCOMPARE', byteOffset: outcome.version }
    : ioResult(outcome);
}

function ioCode(code: Exclude<OpOutcome['code'], 'ok'>): IoErrorCode {
  switch (code) {
    case 'full':
      return 'NO_SPACE';
    case 'corrupt':
      return 'CORRUPT';
    case 'busy':
    case 'notLeader':
    case 'stale':
    case 'cancelled':
    case 'fenced':
      return 'RETRYABLE';
    default:
      return 'UNKNOWN';
  }
}
