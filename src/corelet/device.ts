import type { ClusterId, CoreletId } from '../base/ids.ts';
import type { Flash } from '../ports/flash.ts';
import type { Random } from '../ports/random.ts';
import { Store } from '../store/store.ts';
import { readSuperblock, type SuperblockResult } from '../store/superblock.ts';
import { encodeFounding } from './founding.ts';
import type { Founding } from './types.ts';

/** Makes a device Corelet `id`'s; whatever was on it is gone. A blank module gets a founding record without members. @throws FlashError, RangeError when it is too small */
export async function formatDevice(flash: Flash, id: CoreletId, founding: Founding, random: Random): Promise<void> {
  const { cluster, arcs } = founding;
  await Store.format(flash, { cluster, corelet: id, arcs, founding: encodeFounding(founding) }, random);
}

export type OwnerResult =
  | { readonly ok: true; readonly cluster: ClusterId; readonly id: CoreletId }
  | { readonly ok: false; readonly code: UnownedCode; readonly message: string };
/** As the store says why a device isn't a Corelet's that could run. */
export type UnownedCode = Extract<SuperblockResult, { ok: false }>['code'];

/** Whose device this is. */
export async function ownerOf(flash: Flash): Promise<OwnerResult> {
  const found = await readSuperblock(flash);
  if (!found.ok) return { ok: false, code: found.code, message: found.message };
  return { ok: true, cluster: found.superblock.cluster, id: found.superblock.corelet };
}

/** What would be gone if the device were formatted. `blank`: zeros wherever it was looked at. */
export type DeviceContents =
  | { readonly kind: 'blank' }
  | { readonly kind: 'corelet'; readonly cluster: ClusterId; readonly id: CoreletId }
  | { readonly kind: 'other'; readonly message: string };

/** File systems, partition tables and arrays put their marks within this of the beginning or the end. */
const edgeBytes = 4 * 1024 * 1024;
/** Looks in between: one page each, evenly spread. */
const samples = 4096;

/** Looks what a device holds, without changing it. @throws FlashError also where it can't be read: that isn't blank */
export async function contentsOf(flash: Flash): Promise<DeviceContents> {
  const owner = await ownerOf(flash);
  if (owner.ok) return { kind: 'corelet', cluster: owner.cluster, id: owner.id };
  if (owner.code !== 'UNFORMATTED') return { kind: 'other', message: owner.message };
  const { sizeBytes, sectorBytes } = flash;
  const edge = new Uint8Array(Math.min(edgeBytes, sizeBytes));
  const page = new Uint8Array(sectorBytes);
  for (const at of [0, sizeBytes - edge.length]) {
    await flash.read(at, edge);
    const found = edge.findIndex((byte) => byte !== 0);
    if (found >= 0) return { kind: 'other', message: `it holds data, at byte ${at + found}` };
  }
  for (let sample = 1; sample < samples; sample++) {
    const at = Math.floor((sizeBytes / sectorBytes) * (sample / samples)) * sectorBytes;
    await flash.read(at, page);
    if (page.some((byte) => byte !== 0)) return { kind: 'other', message: `it holds data, at about byte ${at}` };
  }
  return { kind: 'blank' };
}
