import { Reader, Writer } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { ClusterId, CoreletId } from '../base/ids.ts';
import { type Member, membersMax } from '../ring/view.ts';
import type { Founding } from './types.ts';

const foundingFormat = 1;
const addressMax = 256;
const zoneMax = 64;
const roles = ['active', 'spare'] as const;

// format u8 · cluster 16 · arcs u32 · copies u8 · count u32 × (id 16 · slot u32 · weight f64 · place u32 · role u8 · address text · zone text)
export function encodeFounding(founding: Founding): Uint8Array {
  const writer = new Writer(1024);
  writer.u8(foundingFormat);
  writer.id(founding.cluster);
  writer.u32(founding.arcs);
  writer.u8(founding.copies);
  writer.u32(founding.members.length);
  for (const member of founding.members) {
    writer.id(member.id);
    writer.u32(member.slot);
    writer.f64(member.weight);
    writer.u32(member.place);
    writer.u8(roles.indexOf(member.role));
    writer.text(member.address);
    writer.text(member.zone);
  }
  return writer.copy();
}

/** @throws RemoteProtocolError */
export function decodeFounding(bytes: Uint8Array): Founding {
  const reader = new Reader(bytes);
  const format = reader.u8();
  if (format !== foundingFormat) throw new RemoteProtocolError(`founding record of format ${format}`);
  const cluster = reader.id() as ClusterId;
  const arcs = reader.u32();
  const copies = reader.u8();
  const members: Member[] = [];
  for (let left = reader.count(membersMax, 37); left > 0; left--) {
    const id = reader.id() as CoreletId;
    const slot = reader.u32();
    const weight = reader.f64();
    const place = reader.u32();
    const role = roles[reader.u8()];
    if (role === undefined) throw new RemoteProtocolError('unknown role of a member');
    members.push({ id, slot, weight, place, role, address: reader.text(addressMax), zone: reader.text(zoneMax) });
  }
  reader.done();
  return { cluster, arcs, copies, members };
}
