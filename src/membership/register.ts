import { Reader, Writer } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { CoreletId } from '../base/ids.ts';
import { decodeAcceptedValue, encodeAcceptedValue } from '../wire/membership/agreement.ts';
import { decodeBallot, encodeBallot } from '../wire/membership/parts.ts';
import type { AcceptedValue, Ballot } from '../wire/membership/types.ts';
import type { Flap } from './joins.ts';
import { flapsMax } from './types.ts';

const registerFormat = 1;

/** What a Corelet must not forget of the agreement: the newest view, and its word about the next. */
export interface Register {
  /** Undefined on a Corelet that was never told a view. */
  readonly newest: AcceptedValue | undefined;
  readonly promised: Ballot | undefined;
  readonly accepted: AcceptedValue | undefined;
  readonly flaps: readonly Flap[];
}

// format u8, newest (as an accepted value), promised: present u8 + ballot, accepted value,
// flaps: count u32, each id 16, score f64
export function encodeRegister(register: Register): Uint8Array {
  const to = new Writer(4096);
  to.u8(registerFormat);
  encodeAcceptedValue(to, register.newest);
  to.boolean(register.promised !== undefined);
  if (register.promised !== undefined) encodeBallot(to, register.promised);
  encodeAcceptedValue(to, register.accepted);
  to.u32(register.flaps.length);
  for (const flap of register.flaps) {
    to.id(flap.id);
    to.f64(flap.score);
  }
  return to.copy();
}

/** @throws RemoteProtocolError when these bytes aren't a register: the store's checksum has vouched for them, so another version wrote them. */
export function decodeRegister(bytes: Uint8Array): Register {
  const from = new Reader(bytes);
  const format = from.u8();
  if (format !== registerFormat) throw new RemoteProtocolError(`membership register of format ${format}`);
  const newest = decodeAcceptedValue(from);
  const promised = from.boolean() ? decodeBallot(from) : undefined;
  const accepted = decodeAcceptedValue(from);
  const count = from.count(flapsMax, 24);
  const flaps: Flap[] = [];
  for (let i = 0; i < count; i++) flaps.push({ id: from.id() as CoreletId, score: from.f64() });
  from.done();
  return { newest, promised, accepted, flaps };
}
