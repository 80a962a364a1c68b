import type { Clock } from '../ports/clock.ts';

const delayMs = 100;

export interface AskingAgain<Answer> {
  readonly clock: Clock;
  readonly limitMs: number;
  readonly ask: () => Promise<Answer>;
  readonly isNotNow: (answer: Answer) => boolean;
  /** Nobody waits for the answer any more. */
  readonly isOver: () => boolean;
}

/**
 * "Not now" is no answer for most hosts: they take what is refused for lack of a leader as refused for good. Asks again for a while.
 * @returns the last answer.
 */
export async function askAgain<Answer>(options: AskingAgain<Answer>): Promise<Answer> {
  const { clock, limitMs, ask, isNotNow, isOver } = options;
  const endMs = clock.nowMs() + limitMs;
  for (;;) {
    const answer = await ask();
    if (!isNotNow(answer) || isOver() || clock.nowMs() >= endMs) return answer;
    await new Promise<void>((resolve) => void clock.after(delayMs, resolve));
  }
}
