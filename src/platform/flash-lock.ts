import type { Stats } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';

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
  const server = createServer((socket) => socket.destroy());
  server.unref();
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      if ('code' in error && error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(lockName(stats), () => resolve({ release: () => closed(server) }));
  });
}

function lockName(stats: Stats): string {
  return `\0corelet-flash-${stats.isBlockDevice() ? `block-${stats.rdev}` : `file-${stats.dev}-${stats.ino}`}`;
}

/** Whether a process has the lock, without taking it: a Corelet that starts just now must not find it taken. */
export function flashLocked(stats: Stats): Promise<boolean> {
  const socket = connect(lockName(stats));
  return new Promise((resolve) => {
    const answer = (locked: boolean): void => {
      socket.destroy();
      resolve(locked);
    };
    socket.once('connect', () => answer(true));
    // Refused: nobody listens. Anything else: somebody does, and is busy.
    socket.once('error', (error) => answer(!('code' in error && error.code === 'ECONNREFUSED')));
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
