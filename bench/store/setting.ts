import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { openFlashFile } from '../../src/platform/flash-file.ts';
import type { Flash } from '../../src/ports/flash.ts';

export const kib = 1024;
export const mib = 1024 * kib;
export const gib = 1024 * mib;
/** Of a Corelet, unless it is told otherwise. */
export const mapBytes = 64 * mib;
/** Arcs that a Corelet has replicas of, about. */
export const arcs = 64;
export const repetitions = 3;

/** Where the jobs run, and how much of them. */
export interface Setting {
  /** Files are made here, and removed. */
  readonly folder: string;
  /** Small sizes, to see that it works. */
  readonly quick: boolean;
  /** Version of the yardstick; undefined: it isn't here. */
  readonly fio: string | undefined;
  /** Progress, for whoever waits. */
  readonly tell: (line: string) => void;
}

export function pathIn(setting: Setting, name: string): string {
  return join(setting.folder, name);
}

/** @throws when the folder's file system has less than `bytes` left */
export function needSpace(setting: Setting, bytes: number): void {
  const { bavail, bsize } = statfsSync(setting.folder);
  if (bavail * bsize >= bytes) return;
  const has = `${(bytes / gib).toFixed(0)} GiB wanted in ${setting.folder}, ${((bavail * bsize) / gib).toFixed(0)} GiB free`;
  throw new Error(`${has}; next: --dir FOLDER on a larger file system`);
}

/** @throws when it can't be opened */
export async function openDevice(path: string, createBytes?: number): Promise<Flash> {
  const opened = await openFlashFile(path, createBytes === undefined ? {} : { sizeBytes: createBytes, create: true });
  if (!opened.ok) throw new Error(opened.message);
  return opened.flash;
}
