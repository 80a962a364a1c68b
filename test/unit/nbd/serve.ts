import { listenTarget, type ListenerLimits, type TargetListener } from '../../../src/platform/target-listener.ts';
import type { NbdLimits } from '../../../src/targets/nbd/limits.ts';
import { NbdSession } from '../../../src/targets/nbd/session.ts';
import type { VolumeCatalog } from '../../../src/volume/block-device.ts';
import { realClock } from './clocks.ts';

/** The listener and its sessions put together, as a Corelet does it. */
export function serve(
  catalog: VolumeCatalog,
  port = 0,
  limits: Partial<NbdLimits> & Partial<ListenerLimits> = {},
): Promise<TargetListener> {
  const clock = realClock;
  return listenTarget({
    host: '127.0.0.1',
    port,
    clock,
    limits,
    openSession: (output) => new NbdSession({ catalog, clock, output, limits }),
  });
}
