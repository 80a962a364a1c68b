import { listenTarget, type ListenerLimits, type TargetListener } from '../../../src/platform/target-listener.ts';
import { systemKeyExchange } from '../../../src/platform/key-exchange.ts';
import { createRandom } from '../../../src/platform/random.ts';
import type { Clock } from '../../../src/ports/clock.ts';
import type { NvmeLimits } from '../../../src/targets/nvme/limits.ts';
import { NvmeTarget } from '../../../src/targets/nvme/target.ts';
import type { NvmeWorld, Portal } from '../../../src/targets/nvme/world.ts';
import type { VolumeCatalog } from '../../../src/volume/block-device.ts';
import { realClock } from '../nbd/clocks.ts';

export interface ServedNvme {
  readonly target: NvmeTarget;
  readonly port: number;
  readonly discoveryPort: number;
  close(): Promise<void>;
}

export interface ServeOptions {
  readonly clock?: Clock;
  readonly port?: number;
  readonly discoveryPort?: number;
  readonly slot?: number;
  readonly limits?: Partial<NvmeLimits> & Partial<ListenerLimits>;
  readonly world?: Partial<NvmeWorld>;
}

export const cluster = '00112233445566778899aabbccddeeff';

/** The listeners and the target put together, as a Corelet does it. */
export async function serveNvme(catalog: VolumeCatalog, options: ServeOptions = {}): Promise<ServedNvme> {
  const { clock = realClock, limits = {}, slot = 0 } = options;
  const portals: Portal[] = [];
  const target = new NvmeTarget(
    {
      catalog,
      volumesFor: async () => (await catalog.list()).map(({ name }) => name),
      secretsOf: async () => undefined,
      exchange: systemKeyExchange,
      random: createRandom(),
      clock,
      slot,
      cluster,
      version: '0.0.0',
      portals: () => portals,
      isConnected: () => true,
      health: () => ({ badReads: 0, badPercent: 0, failed: false }),
      ...options.world,
    },
    limits,
  );
  const listen = (port: number, kind: 'volumes' | 'discovery'): Promise<TargetListener> =>
    listenTarget({
      host: '127.0.0.1',
      port,
      clock: realClock,
      limits,
      openSession: (output) => target.open(output, kind),
    });
  const [io, discovery] = await Promise.all([
    listen(options.port ?? 0, 'volumes'),
    listen(options.discoveryPort ?? 0, 'discovery'),
  ]);
  portals.push({ slot, host: '127.0.0.1', port: io.port, discoveryPort: discovery.port });
  return {
    target,
    port: io.port,
    discoveryPort: discovery.port,
    async close() {
      await Promise.all([io.close(), discovery.close()]);
    },
  };
}
