import { ArcRecovery } from '../arc/recovery.ts';
import type { ReplicaOrigin } from '../arc/replica.ts';
import { memberId } from '../arc/members.ts';
import type { ArcId, CoreletId } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Flash } from '../ports/flash.ts';
import { placementOf } from '../ring/placement.ts';
import { type View, viewOf } from '../ring/view.ts';
import { MapSpace } from '../store/map-space.ts';
import { Store } from '../store/store.ts';
import { readSuperblock } from '../store/superblock.ts';
import { decodeFounding } from './founding.ts';
import type { Founding } from './types.ts';

/** The device can't be served from: foreign, unknown, or known to have lost what was acknowledged. */
export class DeviceRefused extends Error {
  override name = 'DeviceRefused';
}

export interface Restarted {
  readonly store: Store;
  readonly founding: Founding;
  /** Undefined on a blank module. */
  readonly foundingView: View | undefined;
  readonly replicas: Iterable<readonly [ArcId, ReplicaOrigin]>;
  readonly registers: ReadonlyMap<string, Uint8Array>;
}

/** All replicas of the first view have this generation; later ones draw theirs at random. */
const foundingGeneration = 1;

/** Opens the device and rebuilds what the Corelet was when it ended. @throws DeviceRefused, FlashError */
export async function restart(
  flash: Flash,
  clock: Clock,
  identity: { readonly cluster: string; readonly id: CoreletId },
  entriesKept: number,
  mapBytes?: number,
): Promise<Restarted> {
  const found = await readSuperblock(flash);
  if (!found.ok) throw new DeviceRefused(found.message);
  const { superblock } = found;
  if (superblock.cluster !== identity.cluster || superblock.corelet !== identity.id) {
    throw new DeviceRefused(`the device belongs to Corelet ${superblock.corelet} of cluster ${superblock.cluster}`);
  }
  const founding = decodeFounding(superblock.founding);
  const foundingView = founding.members.length === 0 ? undefined : viewOf(1, founding.members);
  const space = new MapSpace(mapBytes);
  const recovery = new ArcRecovery((arc) => space.of(arc), entriesKept);
  if (foundingView !== undefined) foundArcs(recovery, founding, foundingView, identity.id);
  const registers = new Map<string, Uint8Array>();
  let whole = true;
  const opened = await Store.open(
    flash,
    { clock },
    {
      entry: (entry) => whole && recovery.entry(entry),
      truncated: (arc, fromIndex) => whole && recovery.truncated(arc, fromIndex),
      hardState: (arc, state) => whole && recovery.hardState(arc, state),
      arcState: (arc, state) => whole && recovery.arcState(arc, state),
      chunkCopy: (copy) => whole && recovery.chunkCopy(copy),
      appliedUpTo: (arc, index) => whole && recovery.appliedUpTo(arc, index),
      checkpointBegins: () => recovery.checkpointBegins(),
      arcCheckpoint: (arc, checkpoint) => recovery.arcCheckpoint(arc, checkpoint),
      register: (name, value) => registers.set(name, value.slice()),
      lost: () => {
        whole = false;
      },
    },
    space,
  );
  if (!opened.ok) throw new DeviceRefused(opened.message);
  const { store } = opened;
  if (!whole || store.recovery.tailUnreadable) {
    await store.close();
    // INV-10: it may have forgotten a vote or an acknowledged write; its arcs go on with the other copies.
    throw new DeviceRefused('records that were acknowledged can no longer be read: insert a blank module in its place');
  }
  return { store, founding, foundingView, replicas: recovery.replicas(), registers };
}

/** The first voters of every arc are placement's answer to the founding view: the same at each of its members. */
function foundArcs(recovery: ArcRecovery, founding: Founding, view: View, self: CoreletId): void {
  const table = placementOf(view, founding.arcs, founding.copies);
  for (const arc of table.arcsOf(self)) {
    const voters = table.of(arc).map((id) => memberId(id, foundingGeneration));
    recovery.found(arc, { voters, votersOutgoing: [], learners: [] }, foundingGeneration);
  }
}
