import { exitCodes } from '../admin/errors.ts';
import { slotsMax } from '../chassis/chassis-file.ts';
import type { EventsAnswer } from '../admin/types.ts';
import { clientFor } from './client.ts';
import { type Invocation, integer, integerOption } from './command.ts';
import { foldArcs } from './fold-arcs.ts';
import { mergeEvents } from './merge-events.ts';

export async function run(invocation: Invocation): Promise<number> {
  const slot = integer(invocation, 'the slot', invocation.positionals[0] as string, { min: 0, max: slotsMax * 16 });
  const limit = integerOption(invocation, 'limit', { min: 1, max: 10_000, otherwise: 2000 });
  const answers = await clientFor(invocation).askAll<EventsAnswer>(`/api/events?slot=${slot}&limit=${limit}`);
  const events = mergeEvents(answers.map(({ value }) => value)).slice(-limit);
  if (invocation.flag('json')) {
    process.stdout.write(`${JSON.stringify({ schemaVersion: 1, slot, asked: answers.length, events })}\n`);
    return exitCodes.done;
  }
  if (events.length === 0)
    process.stderr.write(`none of the ${answers.length} live Corelets remembers anything about slot ${slot}\n`);
  for (const event of foldArcs(events)) {
    const witnesses = event.slots.length === 1 ? `slot ${event.slots[0]}` : `slots ${event.slots.join(', ')}`;
    const lasted = event.count > 1 ? ` Took ${((event.untilWallMs - event.atWallMs) / 1000).toFixed(1)} s.` : '';
    process.stdout.write(
      `${new Date(event.atWallMs).toISOString()}  ${event.text}${lasted}  [${event.kind}; ${witnesses}]\n`,
    );
  }
  return exitCodes.done;
}
