import { setTimeout } from 'node:timers/promises';
import { exitCodes } from '../admin/errors.ts';
import type { ScrubAnswer } from '../admin/types.ts';
import { formatBytes } from '../base/units.ts';
import type { ScrubRound } from '../healing/scrub.ts';
import { ChassisClient, clientFor } from './client.ts';
import { type Invocation, integerOption } from './command.ts';
import { CommandFailure } from './failure.ts';
import { terminal } from './terminal.ts';

const pollMs = 500;
const waitSecondsMax = 604_800;

interface Begun {
  readonly address: string;
  readonly slot: number;
  readonly completedBefore: number | null;
}

/** Every Corelet that answers scrubs what it holds. */
export async function run(invocation: Invocation): Promise<number> {
  const seconds = integerOption(invocation, 'wait', { min: 0, max: waitSecondsMax, otherwise: 86_400 });
  const volume = invocation.positionals[0];
  const begun = await begin(invocation, volume);
  if (seconds === 0) {
    process.stdout.write(
      invocation.flag('json')
        ? `${JSON.stringify({ schemaVersion: 1, begun: begun.map(({ slot }) => slot) })}\n`
        : `${begun.length} Corelets scrub; follow with: corelet status\n`,
    );
    return exitCodes.done;
  }
  const rounds = await untilDone(begun, Date.now() + seconds * 1000);
  const total = sumOf(rounds.map(({ round }) => round));
  if (invocation.flag('json')) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, total, slots: rounds })}\n`);
  else {
    const left = begun.length - rounds.length;
    const lost = left === 0 ? '' : ` ${left} Corelets went away meanwhile.`;
    process.stdout.write(
      `${total.chunks} chunks on ${rounds.length} Corelets, ${formatBytes(total.bytesVerified)} verified: ${total.badBlocks} bad blocks, ` +
        `${total.repairedBlocks} repaired; ${total.comparisons} comparisons between copies, ${total.differing} differed; ` +
        `${total.unsettled} chunks unsettled.${lost}\n`,
    );
  }
  return total.unsettled > 0 ? exitCodes.unsafe : exitCodes.done;
}

async function begin(invocation: Invocation, volume: string | undefined): Promise<readonly Begun[]> {
  const begun: Begun[] = [];
  const { addresses } = clientFor(invocation);
  for (const address of addresses) {
    try {
      const one = new ChassisClient([address]);
      const before = await one.ask<ScrubAnswer>('GET', '/api/scrub');
      await one.ask('POST', '/api/scrub', volume === undefined ? {} : { volume });
      const { answeredBy, scrub } = before;
      begun.push({ address, slot: answeredBy.slot, completedBefore: scrub?.completedAtWallMs ?? null });
    } catch (error) {
      // A slot that is empty, or a Corelet that hangs, scrubs nothing.
      if (!(error instanceof CommandFailure) || !['NOBODY_ANSWERS', 'TIMED_OUT'].includes(error.code)) throw error;
    }
  }
  if (begun.length === 0) throw new CommandFailure('NOBODY_ANSWERS', 'no Corelet of the chassis answers');
  return begun;
}

interface Done {
  readonly slot: number;
  readonly round: ScrubRound;
}

async function untilDone(begun: readonly Begun[], giveUpMs: number): Promise<readonly Done[]> {
  const done: Done[] = [];
  const { interactive } = terminal(true);
  let waiting = begun;
  while (waiting.length > 0) {
    if (Date.now() >= giveUpMs) throw new CommandFailure('TIMED_OUT', `${waiting.length} Corelets still scrub`);
    await setTimeout(pollMs);
    const left: Begun[] = [];
    let chunks = 0;
    let chunksDone = 0;
    for (const one of waiting) {
      const scrub = await scrubAt(one);
      if (scrub === undefined || scrub === null) continue;
      if (scrub.completed !== null && scrub.completedAtWallMs !== one.completedBefore) {
        done.push({ slot: one.slot, round: scrub.completed });
        continue;
      }
      left.push(one);
      chunks += scrub.round.chunks;
      chunksDone += scrub.round.chunksDone;
    }
    waiting = left;
    if (interactive && left.length > 0)
      process.stderr.write(
        `\r${done.length} of ${begun.length} Corelets done, the others ${chunksDone} of ${chunks} chunks  `,
      );
  }
  if (interactive) process.stderr.write('\n');
  return done.sort((a, b) => a.slot - b.slot);
}

/** Undefined: it went away. */
async function scrubAt({ address }: Begun): Promise<ScrubAnswer['scrub'] | undefined> {
  try {
    return (await new ChassisClient([address]).ask<ScrubAnswer>('GET', '/api/scrub')).scrub;
  } catch (error) {
    if (error instanceof CommandFailure) return undefined;
    throw error;
  }
}

const figures = [
  'chunks',
  'chunksDone',
  'bytesVerified',
  'blocksVerified',
  'badBlocks',
  'repairedBlocks',
  'comparisons',
  'differing',
  'unsettled',
] as const;

function sumOf(rounds: readonly ScrubRound[]): Record<(typeof figures)[number], number> {
  const of = (figure: (typeof figures)[number]) => rounds.reduce((sum, round) => sum + round[figure], 0);
  return Object.fromEntries(figures.map((figure) => [figure, of(figure)])) as Record<(typeof figures)[number], number>;
}
