import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../test/interop/chassis.ts';
import { eventually, runWell } from '../test/interop/commands.ts';
import { residentAtRestBytes } from '../test/interop/processes.ts';
import type { StoreKind, StoreUnderTest } from './store-under-test.ts';

/** The yardstick: one file, one copy, every write forced to the medium before it is answered. */
export async function nbdkitStore(): Promise<StoreKind> {
  const { stdout } = await runWell('nbdkit', ['--version']);
  return { name: 'nbdkit file, 1 copy, fua=force', version: stdout.trim().split(' ').pop() ?? '', start };
}

async function start(sizeBytes: number): Promise<StoreUnderTest> {
  const folder = mkdtempSync(join(tmpdir(), 'corelet-bench-'));
  const file = join(folder, 'disk.raw');
  const pidFile = join(folder, 'pid');
  writeFileSync(file, '');
  truncateSync(file, sizeBytes);
  const port = await freePorts(1);
  const listen = ['--foreground', '--exit-with-parent', '--ipaddr', '127.0.0.1', '--port', String(port)];
  const args = [...listen, '--pidfile', pidFile, '--filter=fua', 'file', file, 'fuamode=force'];
  const program = spawn('nbdkit', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    const pid = await eventually('nbdkit listening', 10_000, () => {
      if (program.exitCode !== null) throw new Error(`nbdkit ended with exit code ${program.exitCode}`);
      return Number(readFileSync(pidFile, 'utf8')) || undefined;
    });
    const residentBytes = await residentAtRestBytes([pid]);
    return { uri: `nbd://127.0.0.1:${port}/`, pids: [pid], residentBytes, stop: () => stop(program, folder) };
  } catch (error) {
    await stop(program, folder);
    throw error;
  }
}

async function stop(program: ChildProcess, folder: string): Promise<void> {
  program.kill('SIGTERM');
  await eventually('nbdkit ended', 10_000, () => program.exitCode !== null || program.signalCode !== null || undefined);
  rmSync(folder, { recursive: true, force: true });
}
