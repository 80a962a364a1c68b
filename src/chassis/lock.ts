import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { createServer, type Server } from 'node:net';

/** `change`: whoever starts, pulls or inserts. `chassis`: the chassis program, as long as it runs. */
export type LockName = 'change' | 'chassis';

export interface Lock {
  release(): void;
}

const retryDelayMs = 50;

/**
 * Takes the named lock of a data folder, waiting up to `waitMs`; undefined when somebody else kept it.
 * The lock is an abstract Unix socket: the kernel lets it go with its holder, however that dies, so none is ever stale.
 */
export async function acquireLock(dir: string, name: LockName, waitMs: number): Promise<Lock | undefined> {
  const digest = createHash('sha256').update(realpathSync(dir)).digest('hex').slice(0, 32);
  const deadline = Date.now() + waitMs;
  for (;;) {
    const server = await bind(`\0corelet-${name}-${digest}`);
    if (server !== undefined) return { release: () => void server.close() };
    if (Date.now() >= deadline) return undefined;
    await new Promise((resolve) => setTimeout(resolve, retryDelayMs));
  }
}

function bind(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((connection) => connection.destroy());
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(path, () => {
      server.unref();
      resolve(server);
    });
  });
}
