import { unlink } from 'node:fs/promises';
import { connect, type NetConnectOpts, type Server, type Socket } from 'node:net';
import type { FabricAddress } from '../ports/fabric.ts';
import { fabricLimits } from './fabric-limits.ts';

export type SocketTarget = { readonly path: string } | { readonly host: string; readonly port: number };

/** `unix:PATH` or `tcp:HOST:PORT`; undefined where the text is neither. */
export function parseFabricAddress(address: FabricAddress): SocketTarget | undefined {
  if (address.startsWith('unix:')) {
    const path = address.slice(5);
    const bytes = Buffer.byteLength(path);
    return bytes > 0 && bytes <= fabricLimits.unixPathBytesMax ? { path } : undefined;
  }
  const match = /^tcp:(?<host>.+):(?<port>\d{1,5})$/.exec(address);
  const port = Number(match?.groups?.['port']);
  const host = match?.groups?.['host'];
  return host !== undefined && port <= 65_535 ? { host, port } : undefined;
}

export function dialSocket(target: SocketTarget): Socket {
  const options: NetConnectOpts = 'path' in target ? target : { ...target, noDelay: true };
  return connect(options);
}

/** Listens there. A Unix socket left behind by a dead process is removed, one that answers never is. Rejects with the system's error. */
export async function listenAt(server: Server, target: SocketTarget): Promise<void> {
  try {
    await listenOnce(server, target);
  } catch (error) {
    if (!('path' in target) || !isInUse(error) || (await answers(target))) throw error;
    await unlink(target.path);
    await listenOnce(server, target);
  }
}

/** Where it listens, with the port that the system chose for port 0. */
export function listeningAddress(server: Server, asked: FabricAddress): FabricAddress {
  const bound = server.address();
  if (bound === null || typeof bound === 'string') return asked;
  return `tcp:${bound.address}:${bound.port}`;
}

function listenOnce(server: Server, target: SocketTarget): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(target, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function isInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}

function answers(target: SocketTarget): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = dialSocket(target);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // Only a refusal says that nobody is there; anything else might be a busy owner.
    socket.once('error', (error) => resolve(!('code' in error && error.code === 'ECONNREFUSED')));
  });
}
