import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** What a process of its own can be told to do; its answer comes as JSON, a line each. */
export type ChildTask =
  | { readonly task: 'fill'; readonly path: string; readonly volumeBlocks: number }
  | { readonly task: 'restart'; readonly path: string; readonly volumeBlocks: number }
  | { readonly task: 'blocks'; readonly path: string; readonly volumeBlocks: number; readonly writes: number }
  | { readonly task: 'table'; readonly chunks: number };

/**
 * Runs a task in a process of its own. Every line that it prints goes to `line`, which may end the process at once
 * (SIGKILL) by returning 'kill'. Resolves when it has ended; rejects when it failed.
 */
export function runChild(task: ChildTask, line: (value: unknown) => 'go on' | 'kill'): Promise<void> {
  return new Promise((resolve, reject) => {
    const program = fileURLToPath(new URL('child.ts', import.meta.url));
    const child = spawn(process.execPath, ['--expose-gc', program, JSON.stringify(task)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const end = (): boolean => child.kill('SIGKILL');
    process.once('exit', end);
    let killed = false;
    createInterface({ input: child.stdout }).on('line', (text) => {
      if (killed) return;
      killed = line(JSON.parse(text)) === 'kill';
      if (killed) end();
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      process.removeListener('exit', end);
      if (code === 0 || (killed && signal === 'SIGKILL')) resolve();
      else reject(new Error(`the process of '${task.task}' ended with ${signal ?? code}`));
    });
  });
}

/** A task that prints one line: what it found. */
export async function askChild<Answer>(task: ChildTask): Promise<Answer> {
  const answers: unknown[] = [];
  await runChild(task, (value) => {
    answers.push(value);
    return 'go on';
  });
  if (answers.length !== 1) throw new Error(`'${task.task}' gave ${answers.length} answers`);
  return answers[0] as Answer;
}
