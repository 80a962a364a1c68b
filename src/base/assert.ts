/** A broken promise of our own code. The Corelet stops: a process that no longer knows its state must not go on. */
export class AssertionFailed extends Error {
  override name = 'AssertionFailed';
}

/** Stops on a bug. `message` names the invariant (INV-n) where one is at stake. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailed(message);
}

/** The arm of a `switch` that the compiler proves empty. */
export function unreachable(value: never): never {
  throw new AssertionFailed(`unreachable value ${JSON.stringify(value)}`);
}
