import type { ClusterId, CoreletId } from '../base/ids.ts';
import type { Flash } from '../ports/flash.ts';
import type { Random } from '../ports/random.ts';
import { Store } from '../store/store.ts';
import { readSuperblock } from '../store/superblock.ts';
import { encodeFounding } from './founding.ts';
import type { Founding } from './types.ts';

/** Makes a device Corelet `id`'s; whatever was on it is gone. A blank module gets a founding record without members. @throws FlashError, RangeError when it is too small */
export async function formatDevice(flash: Flash, id: CoreletId, founding: Founding, random: Random): Promise<void> {
  const { cluster, arcs } = founding;
  await Store.format(flash, { cluster, corelet: id, arcs, founding: encodeFounding(founding) }, random);
}

export type OwnerResult =
  | { readonly ok: true; readonly cluster: ClusterId; readonly id: CoreletId }
  | { readonly ok: false; readonly message: string };

/** Whose device this is. */
export async function ownerOf(flash: Flash): Promise<OwnerResult> {
  const found = await readSuperblock(flash);
  if (!found.ok) return { ok: false, message: found.message };
  return { ok: true, cluster: found.superblock.cluster, id: found.superblock.corelet };
}
