import { spawn } from 'node:child_process';

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly tookMs: number;
}

export interface RunOptions {
  /** The command is killed after this; the promise then rejects. */
  readonly limitMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Runs a command to its end, whatever its exit code is. Rejects when it can't be started or exceeds its limit. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const limitMs = options.limitMs ?? 120_000;
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    let expired = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const limit = setTimeout(() => {
      expired = true;
      child.kill('SIGKILL');
    }, limitMs);
    child.on('error', (error) => {
      clearTimeout(limit);
      reject(error);
    });
    child.on('close', (code) => {
      clearTimeout(limit);
      if (expired) reject(new Error(`${command} ${args.join(' ')}: not done in ${limitMs} ms\n${stdout}${stderr}`));
      else resolve({ code, stdout, stderr, tookMs: performance.now() - began });
    });
  });
}

/** Like `run`, and rejects with everything that it printed unless its exit code is 0. */
export async function runWell(command: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const finished = await run(command, args, options);
  if (finished.code !== 0) {
    throw new Error(`${command} ${args.join(' ')}: exit code ${finished.code}\n${finished.stdout}\n${finished.stderr}`);
  }
  return finished;
}

/** Asks again until there is an answer, up to a generous limit that only a hang exceeds. */
export async function eventually<T>(
  what: string,
  limitMs: number,
  ask: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const end = performance.now() + limitMs;
  let last: unknown = 'no answer';
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) throw new Error(`${what}: not within ${limitMs} ms`, { cause: last });
    await rest(50);
  }
}

/** A scenario's own time: never a wait for something to happen, which is `eventually`. */
export function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
