import { mkdirSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { CoreletId } from '../base/ids.ts';
import { flashFile, slotFolder } from '../chassis/layout.ts';
import { contentsOf, formatDevice as formatFlash } from '../corelet/device.ts';
import type { Founding } from '../corelet/types.ts';
import { type OpenedFlash, openFlashFile } from '../platform/flash-file.ts';
import { createRandom } from '../platform/random.ts';
import { refusedDevice } from './device-failure.ts';
import { CommandFailure } from './failure.ts';

/** A block device to be used in place of a file. */
export interface RawDevice {
  readonly path: string;
  /** Whatever it holds may go: somebody confirmed it. */
  readonly overwrite: boolean;
}

export interface NewDevice {
  readonly dir: string;
  readonly slot: number;
  readonly id: CoreletId;
  /** Of a file; a block device has its own size. */
  readonly sizeBytes: number;
  readonly founding: Founding;
  readonly raw?: RawDevice | undefined;
}

/**
 * Writes on the flash of a slot whose it is: on a sparse file that is made for it, or on a block device, to which the
 * file's name then leads. @throws CommandFailure DEVICE…
 */
export async function formatDevice({ dir, slot, id, sizeBytes, founding, raw }: NewDevice): Promise<void> {
  mkdirSync(join(dir, slotFolder(slot)), { recursive: true, mode: 0o700 });
  const path = join(dir, flashFile(slot));
  const { flash } = raw === undefined ? await openNewFile(path, sizeBytes) : await openRaw(raw);
  try {
    await formatFlash(flash, id, founding, createRandom());
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CommandFailure('DEVICE', `${raw?.path ?? path}: ${error.message}`, 'name a larger one');
  } finally {
    await flash.close();
  }
  if (raw !== undefined) symlinkSync(resolve(raw.path), path);
}

async function openNewFile(path: string, sizeBytes: number): Promise<OpenedFlash> {
  const opened = await openFlashFile(path, { create: true, sizeBytes });
  if (!opened.ok) throw refusedDevice(opened);
  return opened;
}

/** Opens a block device that may be formatted. @throws CommandFailure when it isn't one, or holds anything that may not go. */
async function openRaw({ path, overwrite }: RawDevice): Promise<OpenedFlash> {
  const opened = await openFlashFile(path);
  if (!opened.ok) throw refusedDevice(opened);
  try {
    if (opened.kind !== 'block device')
      throw new CommandFailure('DEVICE', `${path} is no block device`, 'leave --device out, and a file is made');
    const contents = overwrite ? ({ kind: 'blank' } as const) : await contentsOf(opened.flash);
    if (contents.kind === 'blank') return opened;
    const holds =
      contents.kind === 'corelet'
        ? `it is Corelet ${contents.id.slice(0, 8)} of cluster ${contents.cluster.slice(0, 8)}`
        : contents.message;
    const next = `look with: corelet device inspect ${path}; slot insert --overwrite destroys what it holds`;
    throw new CommandFailure('DEVICE_FOREIGN', `${path}: ${holds}; nothing was changed`, next);
  } catch (error) {
    await opened.flash.close();
    throw error;
  }
}

/** Whether a block device could be formatted now; changes nothing. @throws CommandFailure when it couldn't */
export async function checkRaw(raw: RawDevice): Promise<void> {
  const { flash } = await openRaw(raw);
  await flash.close();
}
