import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../commands.ts';

// A Linux kernel with its own initiators, in qemu: the judge of what the targets here say, where this machine's kernel has none.

const here = import.meta.dirname;
const buildLimitMs = 280_000;
let built: Promise<string | undefined> | undefined;

/** The folder of a guest that can be booted, made once per version of its script; undefined where it can't be made. */
export function ensureGuest(): Promise<string | undefined> {
  built ??= build();
  return built;
}

async function build(): Promise<string | undefined> {
  const script = join(here, 'build.sh');
  const version = createHash('sha256').update(readFileSync(script)).digest('hex').slice(0, 12);
  const folder = join(tmpdir(), `corelet-test-guest-${version}`);
  if (existsSync(join(folder, 'initrd.gz'))) return folder;
  const { code, stderr } = await run('bash', [script, folder], { limitMs: buildLimitMs });
  if (code === 0) return folder;
  if (code !== 3) throw new Error(`the guest can't be built: exit code ${code}\n${stderr}`);
  return undefined;
}

export interface GuestRun {
  /** What the job printed, without carriage returns. */
  readonly console: string;
  /** Exit code of the job. */
  readonly code: number;
  readonly tookMs: number;
}

/** A guest at work: `line` waits for what it prints. */
export interface Guest {
  /** The first line that matches, printed before or later; rejects when the guest ends without one. */
  line(pattern: RegExp): Promise<string>;
  readonly ended: Promise<GuestRun>;
}

/** Boots a guest and runs a shell script in it as root; the host's loopback is 10.0.2.2. Its kernel is killed after `limitMs`. */
export function startGuest(folder: string, job: string, limitMs: number): Guest {
  const work = mkdtempSync(join(tmpdir(), 'corelet-guest-'));
  const path = join(work, 'job.sh');
  writeFileSync(path, job);
  const began = performance.now();
  const child = spawn('timeout', [String(Math.ceil(limitMs / 1000)), 'bash', join(here, 'run.sh'), folder, path], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const watchers = new Set<() => void>();
  const more = (chunk: string): void => {
    text += chunk.replaceAll('\r', '');
    for (const watcher of watchers) watcher();
  };
  child.stdout.setEncoding('utf8').on('data', more);
  child.stderr.setEncoding('utf8').on('data', more);
  let isOver = false;
  const ended = new Promise<GuestRun>((resolve) => {
    child.on('close', (code) => {
      isOver = true;
      rmSync(work, { recursive: true, force: true });
      for (const watcher of watchers) watcher();
      resolve({ console: text, code: code ?? 1, tookMs: performance.now() - began });
    });
  });
  return {
    ended,
    line(pattern) {
      return new Promise((resolve, reject) => {
        const look = (): void => {
          const found = text
            .split('\n')
            .slice(0, -1)
            .find((one) => pattern.test(one));
          if (found === undefined && !isOver) return;
          watchers.delete(look);
          if (found !== undefined) resolve(found);
          else reject(new Error(`the guest ended without a line like ${pattern.source}\n${text}`));
        };
        watchers.add(look);
        look();
      });
    },
  };
}

/** Runs a job to its end. @throws with its console unless its exit code is 0. */
export async function runGuest(folder: string, job: string, limitMs: number): Promise<GuestRun> {
  const finished = await startGuest(folder, job, limitMs).ended;
  if (finished.code !== 0) throw new Error(`the guest's job ended with ${finished.code}\n${finished.console}`);
  return finished;
}
