import { setTimeout } from 'node:timers/promises';
import { exitCodes } from '../admin/errors.ts';
import type { EventsAnswer } from '../admin/types.ts';
import { type ChassisClient, clientFor } from './client.ts';
import { type Invocation, integerOption } from './command.ts';
import { CommandFailure, failureLine } from './failure.ts';
import { foldArcs } from './fold-arcs.ts';
import { type MergedEvent, mergeEvents } from './merge-events.ts';
import { eventLine } from './why.ts';

const pollMs = 500;
/** Corelets' clocks and the way here: an event may show so much later than one that came after it. */
const lateMs = 2_000;
/** The most that a Corelet tells at once. */
const eventsMax = 4_096;

/** All Corelets' events as one story. */
export async function run(invocation: Invocation): Promise<number> {
  const client = clientFor(invocation);
  const limit = integerOption(invocation, 'limit', { min: 1, max: eventsMax, otherwise: 50 });
  const json = invocation.flag('json');
  const print = (events: readonly MergedEvent[], linesMax = Number.POSITIVE_INFINITY): void => {
    const lines = json ? events.map((event) => `${JSON.stringify(event)}\n`) : foldArcs(events).map(eventLine);
    for (const line of lines.slice(-linesMax)) process.stdout.write(line);
  };
  // What many arcs do is one line: as many lines as were asked for may be of more events.
  const events = await eventsOf(client, `limit=${json ? limit : eventsMax}`);
  print(events, limit);
  if (invocation.flag('follow')) await follow(client, events, print);
  return exitCodes.done;
}

async function eventsOf(client: ChassisClient, query: string): Promise<readonly MergedEvent[]> {
  const answers = await client.askAll<EventsAnswer>(`/api/events?${query}`);
  return mergeEvents(answers.map(({ value }) => value));
}

/** Asks again for the newest stretch of time, and prints what wasn't there before. */
async function follow(
  client: ChassisClient,
  printed: readonly MergedEvent[],
  print: (events: readonly MergedEvent[]) => void,
): Promise<never> {
  let sinceWallMs = printed.at(-1)?.atWallMs ?? 0;
  const beganWallMs = sinceWallMs;
  let known = new Map(printed.map((event) => [keyOf(event), event.atWallMs]));
  for (;;) {
    await setTimeout(pollMs);
    try {
      const events = await eventsOf(
        client,
        `limit=${eventsMax}&since=${Math.max(0, Math.floor(sinceWallMs - lateMs))}`,
      );
      const fresh: MergedEvent[] = [];
      for (const event of events) {
        const key = keyOf(event);
        const before = known.get(key);
        if (event.atWallMs < beganWallMs) continue;
        if (before !== undefined && event.atWallMs - before < 2 * lateMs) continue;
        known.set(key, event.atWallMs);
        sinceWallMs = Math.max(sinceWallMs, event.atWallMs);
        fresh.push(event);
      }
      print(fresh);
      known = new Map([...known].filter(([, atWallMs]) => atWallMs >= sinceWallMs - 4 * lateMs));
    } catch (error) {
      // A chassis that is away for a while is what one follows events for.
      if (!(error instanceof CommandFailure)) throw error;
      process.stderr.write(`${failureLine(error)}\n`);
    }
  }
}

/** A fact, whoever tells it. */
const keyOf = ({ kind, slot, corelet, arc, volume, text }: MergedEvent): string =>
  JSON.stringify([kind, slot, corelet, arc, volume, text]);
