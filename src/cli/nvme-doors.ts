import type { SessionAnswer } from '../admin/types.ts';
import type { SlotRecord } from '../chassis/chassis-file.ts';
import { nvmeDoor } from '../corelet/doors.ts';
import type { CoreletHandle } from '../corelet/types.ts';
import { systemKeyExchange } from '../platform/key-exchange.ts';
import { createRandom } from '../platform/random.ts';
import { type ListenOptions, listenTarget, type TargetListener } from '../platform/target-listener.ts';
import { programVersion } from './version.ts';

/** Hosts that came by a wildcard address are told the one that they reached. */
const wildcards: readonly string[] = ['0.0.0.0', '::'];
/** A host has a connection for each of its processors, and more than one volume. */
const nvmeConnectionsMax = 1024;

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface NvmeDoorsOptions {
  readonly slot: number;
  readonly nvme: HostPort;
  readonly nvmeDiscovery: HostPort | undefined;
  readonly corelet: CoreletHandle;
  /** As for every listener of the process. */
  readonly watched: Pick<ListenOptions, 'clock' | 'turns' | 'onStalled'>;
  /** As the chassis tells them now; none where there is no chassis. */
  readonly slots: () => readonly SlotRecord[];
}

export interface NvmeDoors {
  readonly listeners: readonly TargetListener[];
  readonly sessions: () => readonly SessionAnswer[];
}

/** Listens for NVMe/TCP hosts. @throws what `listen` throws, `EADDRINUSE` for one. */
export async function openNvme(options: NvmeDoorsOptions): Promise<NvmeDoors> {
  const { slot, nvme, nvmeDiscovery, corelet, watched, slots } = options;
  const own = { slot, host: nvme.host, port: nvme.port, discoveryPort: nvmeDiscovery?.port ?? nvme.port };
  const target = nvmeDoor(corelet, {
    clock: watched.clock,
    random: createRandom(),
    exchange: systemKeyExchange,
    version: programVersion(),
    portals(localAddress) {
      const host = wildcards.includes(own.host) ? splitHostPort(localAddress).host : own.host;
      const others = slots().filter((record) => record.slot !== slot && record.pid !== null && !record.pulled);
      const told = others.map((record) => ({
        slot: record.slot,
        ...splitHostPort(record.nvme),
        discoveryPort: splitHostPort(record.nvmeDiscovery).port,
      }));
      return [...told, { ...own, host }].sort((a, b) => a.slot - b.slot);
    },
  });
  const limits = { connectionsMax: nvmeConnectionsMax };
  const listeners = [
    await listenTarget({ ...nvme, ...watched, limits, openSession: (output) => target.open(output, 'volumes') }),
  ];
  if (nvmeDiscovery !== undefined)
    listeners.push(
      await listenTarget({ ...nvmeDiscovery, ...watched, openSession: (output) => target.open(output, 'discovery') }),
    );
  return { listeners, sessions: () => target.hosts().map(sessionAnswer) };
}

/** `HOST:PORT`, `[HOST]:PORT`. */
function splitHostPort(address: string): HostPort {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) };
}

function sessionAnswer(info: ReturnType<ReturnType<typeof nvmeDoor>['hosts']>[number]): SessionAnswer {
  const { cntlid, hostNqn, volume, remoteAddress, localAddress, sinceWallMs, commands } = info;
  const { ioQueues, katoMs, isAuthenticated } = info;
  return {
    protocol: 'nvme',
    volume: volume ?? null,
    host: hostNqn,
    session: String(cntlid),
    from: remoteAddress,
    to: localAddress,
    sinceWallMs,
    commands,
    negotiated: { ioQueues, katoMs, authentication: isAuthenticated },
  };
}
