import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

/** A real block device of the kernel's, made of a file. */
export interface LoopDevice {
  readonly path: string;
  /** The file that it is made of. */
  readonly backing: string;
  /** Takes it away again, and the file with it. Not called, it goes with the process, however that ends. */
  dispose(): void;
}

const losetup = (...args: readonly string[]): string =>
  execFileSync('losetup', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();

/** Why there can be no loop device here; undefined: there can. A test that it keeps from running says so by this. */
export const noLoopDevices: string | undefined = whyNot();

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'did not run: a loop device needs root and losetup; this is not root';
  try {
    losetup('-f');
    return undefined;
  } catch (error) {
    const said = error instanceof Error ? (error.message.split('\n')[1] ?? error.message) : String(error);
    return `did not run: a loop device needs root and losetup; here: ${said}`;
  }
}

export function makeLoopDevice(sizeBytes: number): LoopDevice {
  const folder = mkdtempSync(join(tmpdir(), 'loop-'));
  try {
    const backing = join(folder, 'backing');
    writeFileSync(backing, '');
    truncateSync(backing, sizeBytes);
    const path = losetup('-f', '--show', backing);
    // Kept open and then detached: the kernel does it when the last one that has it open closes it, or dies.
    const keeper = openSync(path, 'r');
    losetup('-d', path);
    if (!isAttached(path)) throw new Error(`${path} went while it was open`);
    return {
      path,
      backing,
      dispose() {
        closeSync(keeper);
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Whether a loop device still has a file. */
export function isAttached(path: string): boolean {
  try {
    return readFileSync(`/sys/block/${basename(path)}/loop/backing_file`, 'utf8').length > 0;
  } catch {
    return false;
  }
}
