import { exitCodes } from '../admin/errors.ts';
import { formatBytes } from '../base/units.ts';
import { flashInUse, openFlashFile } from '../platform/flash-file.ts';
import { inspectDevice } from '../store/inspect.ts';
import type { Invocation } from './command.ts';
import { CommandFailure } from './failure.ts';
import { table } from './terminal.ts';

/** Reads a device without changing it: what it is, what its segments hold, and whether every record is whole. */
export async function run(invocation: Invocation): Promise<number> {
  const path = invocation.positionals[0] as string;
  const opened = await openFlashFile(path, { readOnly: true });
  if (!opened.ok) throw new CommandFailure('FAILED', opened.message);
  try {
    const inUse = await flashInUse(path);
    const inspected = await inspectDevice(opened.flash);
    if (!inspected.ok) throw new CommandFailure('FAILED', `${path}: ${inspected.message}`);
    const { report } = inspected;
    if (invocation.flag('json')) {
      process.stdout.write(`${JSON.stringify({ schemaVersion: 1, path, inUse, ...report })}\n`);
    } else {
      process.stdout.write(
        table([
          ['Corelet', report.corelet],
          ['Cluster', report.cluster],
          [
            'Size',
            `${formatBytes(report.deviceBytes)}, ${report.segments} segments of ${formatBytes(report.segmentBytes)}`,
          ],
          ['In use', inUse ? 'yes: a Corelet holds it, and may write while this reads' : 'no'],
          ['Checkpoint', report.checkpoint === 0 ? 'none' : String(report.checkpoint)],
          ['Segments', `${report.logSegments} log, ${report.movedSegments} moved, ${report.freeSegments} free`],
          ['Records', `${report.records} in ${report.batches} batches`],
          ['Data', `${report.blocks} blocks read, ${report.badBlocks} bad`],
        ]),
      );
    }
    return report.badBlocks === 0 ? exitCodes.done : exitCodes.failed;
  } finally {
    await opened.flash.close();
  }
}
