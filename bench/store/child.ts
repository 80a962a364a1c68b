// node bench/store/child.ts
import type { ChildTask } from './children.ts';
import { fillUntilKilled, restartOnce } from './restart-tasks.ts';
import { fillTable, writeBlocks } from './memory-tasks.ts';

/** One task in a process of its own: so that it can be killed, and its memory is its own. */
async function run(task: ChildTask): Promise<void> {
  switch (task.task) {
    case 'fill':
      await fillUntilKilled(task.path, task.volumeBlocks, say);
      return;
    case 'restart':
      say(await restartOnce(task.path, task.volumeBlocks));
      return;
    case 'blocks':
      say(await writeBlocks(task.path, task.volumeBlocks, task.writes));
      return;
    case 'table':
      say(await fillTable(task.chunks));
  }
}

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

await run(JSON.parse(process.argv[2] ?? '') as ChildTask);
