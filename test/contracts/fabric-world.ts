import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFabric, type FabricOptions, type SocketFabric } from '../../src/platform/fabric.ts';
import type { EventRecord } from '../../src/ports/events.ts';
import type { CoreletId } from '../../src/base/ids.ts';
import type { FabricAddress, FabricListener, Hello } from '../../src/ports/fabric.ts';
import type { PeerMessage } from '../../src/wire/peer/types.ts';
import type { FabricWorld, Plug } from './fabric-suite.ts';

const limitMs = 20_000;

export interface SocketWorld extends FabricWorld {
  readonly folder: string;
  /** What the fabrics recorded. */
  readonly events: Omit<EventRecord, 'atWallMs'>[];
  plug(
    self: Hello,
    at?: FabricAddress,
    starts?: ReadonlyMap<CoreletId, number>,
    more?: Partial<FabricOptions>,
  ): Promise<Plug>;
}

export async function waitUntil(condition: () => boolean, what: string): Promise<void> {
  const start = performance.now();
  while (!condition()) {
    if (performance.now() - start > limitMs) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Real sockets in this process, in a folder of their own. */
export async function socketWorld(newAddress: (folder: string, n: number) => FabricAddress): Promise<SocketWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'fabric-'));
  const fabrics: SocketFabric[] = [];
  const events: Omit<EventRecord, 'atWallMs'>[] = [];
  return {
    folder,
    events,
    async plug(self, at, starts, more = {}): Promise<Plug> {
      const listen = at ?? newAddress(folder, fabrics.length);
      const fabric = createFabric({ self, listen, events: { record: (event) => events.push(event) }, ...more });
      fabrics.push(fabric);
      const heard: PeerMessage[] = [];
      const news: string[] = [];
      const listener: FabricListener<PeerMessage> = {
        message: (_from, message) => heard.push(message),
        peerUp: (peer) => news.push(`up ${peer.id} ${peer.incarnation}`),
        peerDown: (peer, reason) => news.push(`down ${peer} ${reason}`),
        superseded: (by) => news.push(`superseded ${by}`),
      };
      await fabric.start(listener, starts);
      return { fabric, address: fabric.address, heard, news };
    },
    kill: ({ fabric }) => fabric.close(),
    until: waitUntil,
    refusals: () => events.filter(({ kind }) => kind === 'fabric.refused').length,
    async end() {
      await Promise.all(fabrics.map((fabric) => fabric.close()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export const unixAddress = (folder: string, n: number): FabricAddress => `unix:${folder}/${n}.sock`;
