import { readFileSync } from 'node:fs';
import { exitCodes } from '../admin/errors.ts';
import type { AccessInfo } from '../corelet/types.ts';
import { clientFor } from './client.ts';
import { type Invocation, usage } from './command.ts';
import { CommandFailure } from './failure.ts';
import { table } from './terminal.ts';

interface Credentials {
  readonly name: string;
  readonly secret: string;
}

interface Change {
  readonly hosts?: 'any' | readonly string[];
  readonly readOnly?: boolean;
  readonly chap?: { readonly initiator: Credentials; readonly target?: Credentials } | null;
}

/** Shows who may use a volume, or changes it. Secrets come from files and are never printed. */
export async function run(invocation: Invocation): Promise<number> {
  const name = invocation.positionals[0] as string;
  const change = changeOf(invocation);
  const path = `/api/volumes/${encodeURIComponent(name)}/access`;
  const client = clientFor(invocation);
  const isChange = Object.keys(change).length > 0 && !invocation.flag('dry-run');
  const access = isChange
    ? await client.ask<AccessInfo>('POST', path, change)
    : await client.ask<AccessInfo>('GET', path);
  const told = isChange ? access : afterwards(access, change);
  if (invocation.flag('json')) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, ...told })}\n`);
  else process.stdout.write(table(rowsOf(told)));
  return exitCodes.done;
}

/** What `--dry-run` shows. */
function afterwards(now: AccessInfo, { hosts, readOnly, chap }: Change): AccessInfo {
  const proved =
    chap === undefined
      ? now.chap
      : chap === null
        ? null
        : { initiator: chap.initiator.name, target: chap.target?.name ?? null };
  return { ...now, hosts: hosts ?? now.hosts, readOnly: readOnly ?? now.readOnly, chap: proved };
}

function rowsOf({ name, hosts, readOnly, chap }: AccessInfo): string[][] {
  const shown = hosts === 'any' ? ['any'] : hosts.length === 0 ? ['none'] : hosts;
  const mutual = chap?.target === null ? 'the target proves nothing' : `the target proves to be ${chap?.target}`;
  return [
    ['Volume', name],
    ...shown.map((host, i) => [i === 0 ? 'Hosts' : '', host]),
    ['Writing', readOnly ? 'no, read-only' : 'yes'],
    ['CHAP', chap === null ? 'none' : `initiators prove to be ${chap.initiator}; ${mutual}`],
  ];
}

function changeOf(invocation: Invocation): Change {
  const hosts = invocation.texts('host');
  const isAny = invocation.flag('any-host');
  if (isAny && hosts.length > 0) throw usage(invocation.spec, '--any-host and --host exclude each other');
  const isReadOnly = invocation.flag('read-only');
  const isWritable = invocation.flag('read-write');
  if (isReadOnly && isWritable) throw usage(invocation.spec, '--read-only and --read-write exclude each other');
  const chap = chapOf(invocation);
  return {
    ...(isAny ? { hosts: 'any' as const } : hosts.length > 0 ? { hosts } : {}),
    ...(isReadOnly || isWritable ? { readOnly: isReadOnly } : {}),
    ...(chap === undefined ? {} : { chap }),
  };
}

function chapOf(invocation: Invocation): Change['chap'] {
  const initiator = credentialsOf(invocation, 'chap-name', 'key-file');
  const target = credentialsOf(invocation, 'target-chap-name', 'target-key-file');
  if (invocation.flag('no-chap')) {
    if (initiator !== undefined || target !== undefined)
      throw usage(invocation.spec, '--no-chap excludes the other CHAP options');
    return null;
  }
  if (initiator === undefined) {
    if (target !== undefined) throw usage(invocation.spec, '--target-chap-name wants --chap-name as well');
    return undefined;
  }
  return target === undefined ? { initiator } : { initiator, target };
}

function credentialsOf(invocation: Invocation, nameOption: string, fileOption: string): Credentials | undefined {
  const name = invocation.text(nameOption);
  const file = invocation.text(fileOption);
  if (name === undefined && file === undefined) return undefined;
  if (name === undefined || file === undefined)
    throw usage(invocation.spec, `--${nameOption} and --${fileOption} belong together`);
  return { name, secret: secretIn(file) };
}

/** The file's text without the line end that editors leave. */
function secretIn(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new CommandFailure('FAILED', `the key file ${file} can't be read (${why})`);
  }
}
