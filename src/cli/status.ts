import { exitCodes } from '../admin/errors.ts';
import type { CoreletStatus } from '../corelet/types.ts';
import { type ChassisClient, clientFor } from './client.ts';
import type { Invocation } from './command.ts';
import { CommandFailure, failureLine } from './failure.ts';
import { statusText } from './status-text.ts';
import { terminal } from './terminal.ts';

const watchIntervalMs = 1_000;

export async function run(invocation: Invocation): Promise<number> {
  const client = clientFor(invocation);
  if (invocation.flag('watch')) return watch(invocation, client);
  const status = await client.ask<CoreletStatus>('GET', '/api/status');
  show(invocation, status);
  return invocation.flag('exit-code') && !isHealthy(status) ? exitCodes.unsafe : exitCodes.done;
}

/** Every arc served with all its copies. */
export function isHealthy(status: CoreletStatus): boolean {
  return status.arcs.full === status.arcs.total;
}

function show(invocation: Invocation, status: CoreletStatus): void {
  process.stdout.write(
    invocation.flag('json')
      ? `${JSON.stringify(status)}\n`
      : statusText(status, terminal(invocation.flag('no-color')), Date.now()),
  );
}

async function watch(invocation: Invocation, client: ChassisClient): Promise<number> {
  const redraw = terminal(invocation.flag('no-color')).interactive && !invocation.flag('json');
  for (;;) {
    try {
      const status = await client.ask<CoreletStatus>('GET', '/api/status');
      if (redraw) process.stdout.write('\u001b[H\u001b[2J');
      show(invocation, status);
      if (!redraw && !invocation.flag('json')) process.stdout.write('\n');
    } catch (error) {
      // A chassis that is away for a while is what one watches for.
      if (!(error instanceof CommandFailure)) throw error;
      process.stderr.write(`${failureLine(error)}\n`);
    }
    await new Promise((resolve) => setTimeout(resolve, watchIntervalMs));
  }
}
