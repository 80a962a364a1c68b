import { exitCodes } from '../admin/errors.ts';
import { formatBytes, formatSeconds } from '../base/units.ts';
import { flashInUse, openFlashFile } from '../platform/flash-file.ts';
import { inspectDevice } from '../store/inspect.ts';
import { badPlacesMax } from '../store/inspect-findings.ts';
import { type Invocation, integerOption } from './command.ts';
import { refusedDevice, unownedDevice } from './device-failure.ts';
import { deviceText } from './device-text.ts';

const listedDefault = 20;
/** Progress is told when it takes longer than this, and then so often. */
const progressMs = 1_000;
/** The rate varies with what segments hold. */
const estimateRange = { low: 0.7, high: 1.5 } as const;

/** Reads a device without changing it: what it is, what its segments hold, and whether every record is whole. */
export async function run(invocation: Invocation): Promise<number> {
  const path = invocation.positionals[0] as string;
  const isJson = invocation.flag('json');
  const otherwise = isJson ? badPlacesMax : listedDefault;
  const listedMax = integerOption(invocation, 'limit', { min: 0, max: badPlacesMax, otherwise });
  const opened = await openFlashFile(path, { readOnly: true });
  if (!opened.ok) throw refusedDevice(opened);
  const progress = progressLine();
  try {
    const isLive = (): Promise<boolean> => flashInUse(path);
    const inUse = await isLive();
    const inspected = await inspectDevice(opened.flash, {
      isLive,
      progress: (done, total) => progress.tell(done, total),
    });
    progress.end();
    if (!inspected.ok) throw unownedDevice(path, inspected.code, inspected.message);
    const { report } = inspected;
    if (isJson) {
      const { segments, ...rest } = { ...report, bad: report.bad.slice(0, listedMax) };
      const object = { schemaVersion: 1, path, kind: opened.kind, inUse, ...rest, segments };
      process.stdout.write(`${JSON.stringify(object)}\n`);
    } else {
      const withSegments = invocation.flag('segments');
      process.stdout.write(deviceText(report, { kind: opened.kind, inUse, withSegments, listedMax }));
    }
    return report.badCount === 0 ? exitCodes.done : exitCodes.unsafe;
  } finally {
    progress.end();
    await opened.flash.close();
  }
}

/** A line on the terminal that is written over, and gone in the end; nothing where there is no terminal. */
function progressLine(): { tell(doneBytes: number, totalBytes: number): void; end(): void } {
  const began = performance.now();
  let told = began;
  let isShown = false;
  return {
    tell(doneBytes, totalBytes) {
      const now = performance.now();
      if (process.stderr.isTTY !== true || now - told < progressMs) return;
      told = now;
      isShown = true;
      const bytesPerSecond = (doneBytes * 1000) / (now - began);
      const left = (totalBytes - doneBytes) / bytesPerSecond;
      const range = `${formatSeconds(left * estimateRange.low)} to ${formatSeconds(left * estimateRange.high)}`;
      const share = `${Math.floor((doneBytes * 100) / totalBytes)} % of ${formatBytes(totalBytes)}`;
      process.stderr.write(`\r\u001b[K${share}, ${formatBytes(bytesPerSecond)}/s, ${range} left`);
    },
    end() {
      if (isShown) process.stderr.write('\r\u001b[K');
      isShown = false;
    },
  };
}
