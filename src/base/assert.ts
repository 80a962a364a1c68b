/** A broken promise of our own code. The Corelet stops: a process that no longer knows its state must not go on. */
export class AssertionFailed extends Error {
  override name = 'AssertionFailed';
}

/**
 * Stops on a bug. `message` names the invariant (INV-n) where one is at stake. What was found goes beside it: a text made of
 * it would be made every time, on the path of every I/O, and almost never read.
 */
export function assert(
  condition: unknown,
  message: string,
  found?: string | number,
  other?: string | number,
): asserts condition {
  if (condition) return;
  const values = other === undefined ? found : `${found}, ${other}`;
  throw new AssertionFailed(values === undefined ? message : `${message}: ${values}`);
}

/** The arm of a `switch` that the compiler proves empty. */
export function unreachable(value: never): never {
  throw new AssertionFailed(`unreachable value ${JSON.stringify(value)}`);
}
