import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { exitCodes } from '../admin/errors.ts';
import type { Invocation } from './command.ts';

export function programVersion(): string {
  const text = readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

export async function run(invocation: Invocation): Promise<number> {
  const version = programVersion();
  const runtime = process.version;
  if (invocation.flag('json')) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, version, runtime })}\n`);
  else process.stdout.write(`corelet ${version} (Node ${runtime})\n`);
  return exitCodes.done;
}
