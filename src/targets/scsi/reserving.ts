import { joined } from '../../base/bytes.ts';
import type { HostReservations, ReservationResult } from '../../volume/block-device.ts';
import type { ReservationAction } from '../../volume/reservation-actions.ts';
import { isHolder, noKey, type Reservations, type ReservationType } from '../../volume/reservations.ts';
import { readU16, readU32 } from '../../wire/big-endian.ts';
import { senseCodes, serviceActions } from '../../wire/scsi/codes.ts';
import { encodeCapabilities, encodeFullStatus, encodeKeys, encodeReservation } from '../../wire/scsi/persistent-in.ts';
import { decodeReserveOut, reserveOutBytes } from '../../wire/scsi/persistent-out.ts';
import type { Sense } from '../../wire/scsi/sense.ts';
import type { Call, Plan } from './command.ts';
import {
  conflict,
  data,
  failed,
  good,
  illegal,
  invalidCdb,
  invalidParameter,
  moved,
  refused,
  type Reply,
} from './reply.ts';

// PERSISTENT RESERVE IN and OUT (SPC-4 §6.15, §6.16), RESERVE (6) and RELEASE (6) (SPC-2 §7.21, §7.16). What they change is the volume's, everywhere.

/** SPC-4 table 234. */
const typeNumbers: Readonly<Record<ReservationType, number>> = {
  writeExclusive: 1,
  exclusiveAccess: 3,
  writeExclusiveRegistrants: 5,
  exclusiveAccessRegistrants: 6,
  writeExclusiveAll: 7,
  exclusiveAccessAll: 8,
};

function typeOf(cdb: Uint8Array): ReservationType | undefined {
  const entries = Object.entries(typeNumbers) as [ReservationType, number][];
  return entries.find(([, number]) => number === cdb[2])?.[0]; // scope 0, the logical unit, in the high half
}

export function planReserveIn(cdb: Uint8Array): Plan | Sense {
  return { outBytes: 0, inBytesMax: readU16(cdb, 7) };
}

export async function reserveIn({ cdb, device }: Call): Promise<Reply> {
  const allocation = readU16(cdb, 7);
  const action = (cdb[1] as number) & 0x1f;
  if (action === serviceActions.reportCapabilities) return data(encodeCapabilities(), allocation);
  const state = await device.reservations?.state();
  if (state === undefined) return failed(invalidCdb(0));
  if (typeof state === 'string') return refused(state);
  return data(reserveInData(action, state), allocation);
}

function reserveInData(action: number, state: Reservations): Uint8Array {
  const { generation, registrants, held } = state;
  switch (action) {
    case serviceActions.readKeys:
      return encodeKeys(
        generation,
        registrants.map(({ key }) => key),
      );
    case serviceActions.readReservation: {
      if (held === undefined) return encodeReservation(generation, undefined);
      // Held by all registrants: no one key.
      const key = registrants.find(({ id }) => id === held.holder)?.key ?? noKey;
      return encodeReservation(generation, { key, type: typeNumbers[held.type] });
    }
    default:
      return encodeFullStatus(
        generation,
        registrants.map(({ id, key }) => ({
          key,
          holdsType: held !== undefined && isHolder(state, id) ? typeNumbers[held.type] : undefined,
          initiatorPort: id,
        })),
      );
  }
}

const takesType: ReadonlySet<number> = new Set([
  serviceActions.reserve,
  serviceActions.release,
  serviceActions.preempt,
  serviceActions.preemptAndAbort,
]);

export function planReserveOut(cdb: Uint8Array): Plan | Sense {
  if (takesType.has((cdb[1] as number) & 0x1f) && typeOf(cdb) === undefined) return invalidCdb(2);
  if (readU32(cdb, 5) !== reserveOutBytes) return illegal(senseCodes.parameterListLengthError);
  return { outBytes: reserveOutBytes, inBytesMax: 0 };
}

export async function reserveOut(call: Call): Promise<Reply> {
  const { cdb, dataOut, dataOutBytes, device, nexus, unit } = call;
  if (dataOutBytes !== reserveOutBytes) return failed(illegal(senseCodes.parameterListLengthError));
  const fields = decodeReserveOut(joined(dataOut));
  const service = (cdb[1] as number) & 0x1f;
  if (fields.names) return failed(invalidParameter(20, 3));
  const action = actionOf(service, cdb, nexus.registrant, fields);
  const result = await changed(device.reservations, action);
  if (!result.ok) return refusal(result.code);
  const aborts = service === serviceActions.preemptAndAbort;
  await unit.reservationsChanged(result.before, result.after, nexus.registrant, aborts);
  return moved(reserveOutBytes);
}

function actionOf(
  service: number,
  cdb: Uint8Array,
  id: string,
  { key, actionKey }: { readonly key: string; readonly actionKey: string },
): ReservationAction {
  // Asked for by `planReserveOut` where it is needed.
  const type = typeOf(cdb) ?? 'writeExclusive';
  switch (service) {
    case serviceActions.register:
      return { kind: 'register', id, key, newKey: actionKey, ignoreKey: false };
    case serviceActions.registerAndIgnore:
      return { kind: 'register', id, key, newKey: actionKey, ignoreKey: true };
    case serviceActions.reserve:
      return { kind: 'reserve', id, key, type };
    case serviceActions.release:
      return { kind: 'release', id, key, type };
    case serviceActions.clear:
      return { kind: 'clear', id, key };
    default:
      return { kind: 'preempt', id, key, victim: actionKey, type };
  }
}

async function changed(
  reservations: HostReservations | undefined,
  action: ReservationAction,
): Promise<ReservationResult> {
  return reservations === undefined ? { ok: false, code: 'GONE' } : reservations.change(action);
}

function refusal(code: Exclude<ReservationResult, { ok: true }>['code']): Reply {
  switch (code) {
    case 'CONFLICT':
      return conflict;
    case 'INVALID_KEY':
      return failed(invalidParameter(8));
    case 'INVALID_TYPE':
      return failed(illegal(senseCodes.invalidRelease));
    case 'FULL':
      return failed(illegal(senseCodes.insufficientRegistrationResources));
    case 'RETRYABLE':
    case 'GONE':
    case 'UNKNOWN':
      return refused(code);
  }
}

export function planSession(cdb: Uint8Array): Plan | Sense {
  // Third parties and extents, both obsolete.
  return ((cdb[1] as number) & 0x1f) === 0 ? { outBytes: 0, inBytesMax: 0 } : invalidCdb(1, 4);
}

export async function reserveSession({ device, nexus }: Call): Promise<Reply> {
  const result = await changed(device.reservations, { kind: 'sessionReserve', id: nexus.registrant });
  if (!result.ok) return refusal(result.code);
  nexus.holdsSession(true);
  return good;
}

/** Whoever holds nothing gives nothing back, and that is fine (SPC-2 §5.5.1). */
export async function releaseSession({ device, nexus }: Call): Promise<Reply> {
  const result = await changed(device.reservations, { kind: 'sessionRelease', id: nexus.registrant });
  if (!result.ok) return refusal(result.code);
  nexus.holdsSession(false);
  return good;
}
