import { exitCodes } from '../admin/errors.ts';
import type { SessionAnswer, SessionsAnswer } from '../admin/types.ts';
import { formatSeconds } from '../base/units.ts';
import { clientFor } from './client.ts';
import type { Invocation } from './command.ts';
import { table } from './terminal.ts';

type Listed = SessionAnswer & { readonly slot: number };

/** Who is connected, to which Corelet, from where, and what was agreed. */
export async function run(invocation: Invocation): Promise<number> {
  const answers = await clientFor(invocation).askAll<SessionsAnswer>('/api/sessions');
  const sessions: Listed[] = answers.flatMap(({ value }) =>
    value.sessions.map((session) => ({ slot: value.answeredBy.slot, ...session })),
  );
  sessions.sort((a, b) => a.slot - b.slot || a.sinceWallMs - b.sinceWallMs);
  if (invocation.flag('json')) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, sessions })}\n`);
  else if (sessions.length === 0) process.stderr.write('no sessions (NBD connections are not listed)\n');
  else
    process.stdout.write(
      table([['SLOT', 'VOLUME', 'HOST', 'FROM', 'FOR', 'BUSY', 'NEGOTIATED'], ...sessions.map(rowOf)]),
    );
  return exitCodes.done;
}

function rowOf({ slot, protocol, volume, host, from, sinceWallMs, commands, negotiated }: Listed): string[] {
  const agreed = Object.entries(negotiated).map(([key, value]) => `${key}=${value}`);
  const age = formatSeconds(Math.max(0, (Date.now() - sinceWallMs) / 1000));
  return [String(slot), volume ?? '(discovery)', host, from, age, String(commands), [protocol, ...agreed].join(' ')];
}
