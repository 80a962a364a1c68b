import type { Operation } from '../history.ts';

/** A broken invariant, told so that a person can follow it. */
export interface Violation {
  /** INV-n of docs/invariants.md. */
  readonly invariant: string;
  readonly summary: string;
  /** One line per step, in order of time. */
  readonly story: readonly string[];
}

function instant(ms: number): string {
  return Number.isFinite(ms) ? `${ms.toFixed(3)} ms` : 'never answered';
}

/** One line about what one host did and saw. */
export function tellOperation(operation: Operation, value: number | undefined): string {
  const { number, host, slot, kind, offset, lengthBytes, outcome, code } = operation;
  const what = value === undefined ? '' : kind === 'read' ? ` saw ${tellValue(value)}` : ` of ${tellValue(value)}`;
  const result = code === '' ? outcome : `${outcome} ${code}`;
  const when = `${instant(operation.invokedMs)} … ${instant(operation.completedMs)}`;
  return `op ${number}: host ${host} through slot ${slot}, ${kind}${what} at ${offset}+${lengthBytes}: ${result} (${when})`;
}

export function tellValue(value: number): string {
  return value === 0 ? 'zeros' : `value ${value}`;
}
