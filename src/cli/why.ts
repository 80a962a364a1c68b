import { exitCodes } from '../admin/errors.ts';
import type { EventsAnswer } from '../admin/types.ts';
import { slotsMax } from '../chassis/chassis-file.ts';
import type { CoreletStatus } from '../corelet/types.ts';
import { type ChassisClient, clientFor } from './client.ts';
import { type Invocation, integer, integerOption, usage } from './command.ts';
import { CommandFailure } from './failure.ts';
import { type FoldedEvent, foldArcs } from './fold-arcs.ts';
import { mergeEvents } from './merge-events.ts';

const arcsMax = 65_536;

/** `why SLOT`, or `why arc ARC`. */
export async function run(invocation: Invocation): Promise<number> {
  const about = subjectOf(invocation);
  const limit = integerOption(invocation, 'limit', { min: 1, max: 10_000, otherwise: 2000 });
  const [[kind, number]] = Object.entries(about) as [[string, number]];
  const client = clientFor(invocation);
  const answers = await client.askAll<EventsAnswer>(`/api/events?${kind}=${number}&limit=${limit}`);
  const events = mergeEvents(answers.map(({ value }) => value)).slice(-limit);
  // A slot whose module is gone for good may still be remembered: only who finds nothing looks whether there is such a thing.
  if (events.length === 0) await refuseUnknown(client, about);
  if (invocation.flag('json')) {
    process.stdout.write(`${JSON.stringify({ schemaVersion: 1, ...about, asked: answers.length, events })}\n`);
    return exitCodes.done;
  }
  if (events.length === 0)
    process.stderr.write(`none of the ${answers.length} live Corelets remembers anything about ${kind} ${number}\n`);
  // One arc's steps are what was asked for: only those of many are folded.
  const told =
    kind === 'arc' ? events.map((event) => ({ ...event, count: 1, untilWallMs: event.atWallMs })) : foldArcs(events);
  for (const event of told) process.stdout.write(eventLine(event));
  return exitCodes.done;
}

type Subject = { readonly slot: number } | { readonly arc: number };

async function refuseUnknown(client: ChassisClient, about: Subject): Promise<void> {
  const { slots, arcs } = await client.ask<CoreletStatus>('GET', '/api/status');
  if ('slot' in about && !slots.some(({ slot }) => slot === about.slot))
    throw new CommandFailure('SLOT_NOT_FOUND', `the chassis has no slot ${about.slot}`);
  if ('arc' in about && about.arc >= arcs.total)
    throw new CommandFailure('ARC_NOT_FOUND', `there is no arc ${about.arc}: arcs are 0 to ${arcs.total - 1}`);
}

function subjectOf(invocation: Invocation): Subject {
  const [first = '', second] = invocation.positionals;
  if (first === 'arc') {
    if (second === undefined) throw usage(invocation.spec, 'the number of the arc is missing');
    return { arc: integer(invocation, 'the arc', second, { min: 0, max: arcsMax - 1 }) };
  }
  if (second !== undefined) throw usage(invocation.spec, `unexpected argument '${second}'`);
  return { slot: integer(invocation, 'the slot', first, { min: 0, max: slotsMax * 16 }) };
}

/** A plain sentence with when, what kind, and who tells it. */
export function eventLine(event: FoldedEvent): string {
  const witnesses = event.slots.length === 1 ? `slot ${event.slots[0]}` : `slots ${event.slots.join(', ')}`;
  const lasted = event.count > 1 ? ` Took ${((event.untilWallMs - event.atWallMs) / 1000).toFixed(1)} s.` : '';
  return `${new Date(event.atWallMs).toISOString()}  ${event.text}${lasted}  [${event.kind}; ${witnesses}]\n`;
}
