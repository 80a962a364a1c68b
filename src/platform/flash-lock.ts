import type { Stats } from 'node:fs';
import { createServer, type Server } from 'node:net';

/** Held as long as the process lives and `release` wasn't called. */
export interface FlashLock {
  release(): Promise<void>;
}

/**
 * Makes sure that one process at a time has a device. The lock is a Unix socket's name in the kernel's abstract name
 * space, made of the file's device and inode number: taking it is atomic, no file is left behind, and it goes when the
 * last thread of the process has ended, so after `kill -9` too, but not before a write under way returned. It holds
 * within a network name space; other systems than Linux have no such names, there the name is a pipe's or fails.
 * Undefined: another process has it.
 */
export function lockFlash(stats: Stats): Promise<FlashLock | undefined> {
  const device = stats.isBlockDevice() ? `block-${stats.rdev}` : `file-${stats.dev}-${stats.ino}`;
  const server = createServer((socket) => socket.destroy());
  server.unref();
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      if ('code' in error && error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(`\0corelet-flash-${device}`, () => resolve({ release: () => closed(server) }));
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
