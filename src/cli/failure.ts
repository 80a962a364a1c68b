import { type ErrorCode, type ErrorEntry, errorTable } from '../admin/errors.ts';

/** Ends a command: one line on stderr that says what happened and what to try, and the exit code from the table of errors. */
export class CommandFailure extends Error {
  override name = 'CommandFailure';
  readonly code: ErrorCode;
  readonly next: string;

  constructor(code: ErrorCode, message: string, next?: string) {
    super(message);
    this.code = code;
    this.next = next ?? errorTable[code].next;
  }

  get exitCode(): number {
    const entry: ErrorEntry = errorTable[this.code];
    return entry.exit;
  }
}

export function failureLine(failure: CommandFailure): string {
  return `corelet: ${failure.message} (${failure.next})`;
}
