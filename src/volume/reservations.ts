import type { Reader, Writer } from '../base/bytes.ts';
import { hexText } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';

/**
 * Persistent reservations of a volume, as SCSI (SPC-4 §5.13) and NVMe (base §8.1.22) both know them. They belong to the volume, not to a
 * Corelet: kept in its record, so they hold through every gateway and outlive every restart.
 */

/** 8 bytes as 16 lower-case hex digits. They mean nothing but themselves. */
export type ReservationKey = string;
export const noKey: ReservationKey = '0'.repeat(16);

export const reservationTypes = [
  'writeExclusive',
  'exclusiveAccess',
  'writeExclusiveRegistrants',
  'exclusiveAccessRegistrants',
  'writeExclusiveAll',
  'exclusiveAccessAll',
] as const;
export type ReservationType = (typeof reservationTypes)[number];

/** `id`: who a protocol says it is: an initiator port (iSCSI name and ISID), an NVMe host identifier. */
export interface Registrant {
  readonly id: string;
  readonly key: ReservationKey;
}

export interface Reservations {
  /** PRGENERATION: u32, counts changes of registrations. */
  readonly generation: number;
  readonly registrants: readonly Registrant[];
  /** `holder` undefined: every registrant holds it (the `…All` types). */
  readonly held: { readonly type: ReservationType; readonly holder: string | undefined } | undefined;
  /** Holds RESERVE (6) (SPC-2 §5.5): ends with its session. */
  readonly sessionHolder: string | undefined;
  /** u32, counts resets of the volume as a whole: whoever sees it grow knows that what he had under way is over. */
  readonly resets: number;
}

export const noReservations: Reservations = {
  generation: 0,
  registrants: [],
  held: undefined,
  sessionHolder: undefined,
  resets: 0,
};

export const registrantIdBytesMax = 256;
/** Of one volume's registrations, encoded: two of them fit into a record with room to spare. */
export const reservationsBytesMax = 24 * 1024;

/** `attend`: what moves no data. */
export type Right = 'read' | 'write' | 'attend';

/** Whether a host may; `id` undefined: one that can't register (NBD). */
export function allows(state: Reservations, id: string | undefined, right: Right): boolean {
  const { held, sessionHolder } = state;
  if (sessionHolder !== undefined) return sessionHolder === id;
  if (held === undefined || right === 'attend') return true;
  switch (held.type) {
    case 'writeExclusive':
      return right === 'read' || held.holder === id;
    case 'exclusiveAccess':
      return held.holder === id;
    case 'writeExclusiveRegistrants':
    case 'writeExclusiveAll':
      return right === 'read' || isRegistered(state, id);
    case 'exclusiveAccessRegistrants':
    case 'exclusiveAccessAll':
      return isRegistered(state, id);
  }
}

export function isRegistered(state: Reservations, id: string | undefined): boolean {
  return keyOf(state, id) !== undefined;
}

export function keyOf(state: Reservations, id: string | undefined): ReservationKey | undefined {
  return state.registrants.find((registrant) => registrant.id === id)?.key;
}

export function isHolder({ held, registrants }: Reservations, id: string): boolean {
  if (held === undefined) return false;
  return held.holder === undefined ? registrants.some((registrant) => registrant.id === id) : held.holder === id;
}

/** Whether anybody may do less afterwards, or something under way is to end: such a change needs a new epoch in every arc before it is answered (design §10.3). */
export function takesRight(before: Reservations, after: Reservations): boolean {
  if (before.resets !== after.resets) return true;
  const ids = new Set<string | undefined>([undefined, before.sessionHolder, before.held?.holder]);
  for (const { id } of before.registrants) ids.add(id);
  for (const { id } of after.registrants) ids.add(id);
  for (const id of ids) {
    for (const right of ['read', 'write'] as const)
      if (allows(before, id, right) && !allows(after, id, right)) return true;
  }
  return false;
}

// generation u32 · registrants u32, each: id text · key 8 bytes · held type u8 (0: nothing) · holder text (empty: all) · session holder text (empty: nobody) · resets u32
export function encodeReservations(writer: Writer, state: Reservations): void {
  writer.u32(state.generation);
  writer.u32(state.registrants.length);
  for (const { id, key } of state.registrants) {
    writer.text(id);
    for (let i = 0; i < 16; i += 2) writer.u8(Number.parseInt(key.slice(i, i + 2), 16));
  }
  writer.u8(state.held === undefined ? 0 : 1 + reservationTypes.indexOf(state.held.type));
  writer.text(state.held?.holder ?? '');
  writer.text(state.sessionHolder ?? '');
  writer.u32(state.resets);
}

const registrantBytesMin = 10;

/** @throws RemoteProtocolError */
export function decodeReservations(reader: Reader): Reservations {
  const generation = reader.u32();
  const registrants: Registrant[] = [];
  const countMax = Math.floor(reservationsBytesMax / registrantBytesMin);
  for (let left = reader.count(countMax, registrantBytesMin); left > 0; left--) {
    const id = reader.text(registrantIdBytesMax);
    registrants.push({ id, key: hexText(reader.raw(8)) });
  }
  const typeCode = reader.u8();
  const holder = reader.text(registrantIdBytesMax);
  const sessionHolder = reader.text(registrantIdBytesMax);
  const type = reservationTypes[typeCode - 1];
  if (typeCode !== 0 && type === undefined) throw new RemoteProtocolError(`reservation of type ${typeCode}`);
  return {
    generation,
    registrants,
    held: type === undefined ? undefined : { type, holder: holder === '' ? undefined : holder },
    sessionHolder: sessionHolder === '' ? undefined : sessionHolder,
    resets: reader.u32(),
  };
}
