import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CoreletId } from '../base/ids.ts';
import { flashFile, slotFolder } from '../chassis/layout.ts';
import { formatDevice as formatFlash } from '../corelet/device.ts';
import type { Founding } from '../corelet/types.ts';
import { openFlashFile } from '../platform/flash-file.ts';
import { createRandom } from '../platform/random.ts';
import { CommandFailure } from './failure.ts';

export interface NewDevice {
  readonly dir: string;
  readonly slot: number;
  readonly id: CoreletId;
  readonly sizeBytes: number;
  readonly founding: Founding;
}

/** Makes the flash file of a slot (sparse) and writes on it whose it is. @throws CommandFailure DEVICE. */
export async function formatDevice({ dir, slot, id, sizeBytes, founding }: NewDevice): Promise<void> {
  mkdirSync(join(dir, slotFolder(slot)), { recursive: true, mode: 0o700 });
  const opened = await openFlashFile(join(dir, flashFile(slot)), { create: true, sizeBytes });
  if (!opened.ok) throw new CommandFailure('DEVICE', opened.message);
  try {
    await formatFlash(opened.flash, id, founding, createRandom());
  } finally {
    await opened.flash.close();
  }
}
