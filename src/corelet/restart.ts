import { EndedLives } from '../arc/ended-lives.ts';
import { ArcRecovery } from '../arc/recovery.ts';
import type { ReplicaOrigin } from '../arc/origin.ts';
import { memberId } from '../arc/members.ts';
import type { ArcId, CoreletId } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import { type Events, placeOf } from '../ports/events.ts';
import type { Flash } from '../ports/flash.ts';
import type { Random } from '../ports/random.ts';
import { placementOf } from '../ring/placement.ts';
import { type View, viewOf } from '../ring/view.ts';
import { MapSpace } from '../store/map-space.ts';
import { Store } from '../store/store.ts';
import { readSuperblock } from '../store/superblock.ts';
import { decodeFounding } from './founding.ts';
import type { Founding } from './types.ts';

/** The device can't be served from: foreign, unknown, or without a founding record that can be read. */
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
  ports: { readonly random: Random; readonly events: Events },
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
  const opened = await Store.open(
    flash,
    { clock },
    {
      entry: (entry) => recovery.entry(entry),
      truncated: (arc, fromIndex) => recovery.truncated(arc, fromIndex),
      hardState: (arc, state) => recovery.hardState(arc, state),
      arcState: (arc, state) => recovery.arcState(arc, state),
      chunkCopy: (copy) => recovery.chunkCopy(copy),
      appliedUpTo: (arc, index) => recovery.appliedUpTo(arc, index),
      checkpointBegins: () => recovery.checkpointBegins(),
      arcCheckpoint: (arc, checkpoint) => recovery.arcCheckpoint(arc, checkpoint),
      register: (name, value) => registers.set(name, value.slice()),
      lost: () => recovery.lost(),
    },
    space,
  );
  if (!opened.ok) throw new DeviceRefused(opened.message);
  const { store } = opened;
  await endDoubtedLives(recovery, store, registers, ports, identity.id);
  return { store, founding, foundingView, replicas: recovery.replicas(), registers };
}

/**
 * INV-10: a device that lost records may have forgotten a vote or an acknowledged write. The replicas concerned end; what
 * they held begins anew, under generations that nobody has heard of, and is durable before anything is said.
 */
async function endDoubtedLives(
  recovery: ArcRecovery,
  store: Store,
  registers: Map<string, Uint8Array>,
  { random, events }: { readonly random: Random; readonly events: Events },
  self: CoreletId,
): Promise<void> {
  const { loss } = store;
  if (loss === undefined) return;
  // Of a copy, parts may be lost and its end not: whatever came behind what is lost, the arc is in doubt.
  const doubted = Array.from(recovery.arcs()).filter((arc) => loss.concerns(arc));
  const lives = new EndedLives(store, registers);
  for (const arc of doubted) {
    const { ended, state } = recovery.beginAnew(arc, random.u32() || 1);
    const [name, value] = lives.add(arc, ended);
    registers.set(name, value);
    store.appendArcState(arc, state);
  }
  const text = `The flash in ${placeOf(self)} lost records that were durable: its ${doubted.length} copies of arcs begin anew and wait to be added.`;
  events.record({ kind: 'flash.lost-records', corelet: self, text, data: { arcs: doubted.length } });
  await new Promise<void>((resolve, reject) => {
    store.onFailed(reject);
    store.acknowledgeLoss().then(resolve, reject);
  });
}

/** The first voters of every arc are placement's answer to the founding view: the same at each of its members. */
function foundArcs(recovery: ArcRecovery, founding: Founding, view: View, self: CoreletId): void {
  const table = placementOf(view, founding.arcs, founding.copies);
  for (const arc of table.arcsOf(self)) {
    const voters = table.of(arc).map((id) => memberId(id, foundingGeneration));
    recovery.found(arc, { voters, votersOutgoing: [], learners: [] }, foundingGeneration);
  }
}
