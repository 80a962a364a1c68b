import { Reader, Writer } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { VolumeId } from '../base/ids.ts';
import { type AccessRules, decodeAccess, encodeAccess, openToAll } from './access.ts';
import { decodeReservations, encodeReservations, noReservations, type Reservations } from './reservations.ts';

/**
 * A volume as its record says. `creating`, `closing`, `deleting`: every arc is being told; whoever finds it so may finish it.
 * While `closing`, `access` is what the rules before and after both allow, and I/O goes on under it at the new epoch; of the
 * reservations, both states have to allow it.
 */
export interface VolumeRecord {
  readonly id: VolumeId;
  readonly name: string;
  readonly sizeBytes: number;
  readonly copies: number;
  readonly epoch: number;
  readonly state: 'creating' | 'open' | 'closing' | 'deleting' | 'deleted';
  readonly access: AccessRules;
  /** Only while `closing`: the rules from `open` on. */
  readonly nextAccess: AccessRules | undefined;
  readonly reservations: Reservations;
  /** Only while `closing`. */
  readonly nextReservations: Reservations | undefined;
}

const states = ['creating', 'open', 'deleting', 'deleted', 'closing'] as const;
const recordFormat = 3;
/** Without access rules (open to all), and without reservations. */
const formatWithoutAccess = 1;
const formatWithoutReservations = 2;

export const volumeNameMax = 64;
const namePattern = /^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/;

/** 1 to 64 of a–z, 0–9, '.', '_', '-', beginning and ending with a letter or digit: safe in every protocol's names. */
export function isVolumeName(name: string): boolean {
  return name.length <= volumeNameMax && namePattern.test(name);
}

/** Whether hosts may have it open. */
export function isInUse({ state }: VolumeRecord): boolean {
  return state === 'open' || state === 'closing';
}

/** A name's key holds the id (u64) that it stands for; the record is under the id, which is never used again. */
export function nameKey(name: string): string {
  return `name/${name}`;
}
export const recordKeyPrefix = 'volume/';
export function recordKey(id: VolumeId): string {
  return `${recordKeyPrefix}${id}`;
}

export function encodeNameValue(id: VolumeId): Uint8Array {
  const writer = new Writer(8);
  writer.u64(id);
  return writer.copy();
}

/** @throws RemoteProtocolError */
export function decodeNameValue(bytes: Uint8Array): VolumeId {
  return new Reader(bytes).u64() as VolumeId;
}

// format u8 · state u8 · copies u8 · id u64 · size u64 · epoch u64 · name text · access · nextAccess boolean and rules ·
// reservations · nextReservations boolean and state
export function encodeRecord(record: VolumeRecord): Uint8Array {
  const writer = new Writer(128);
  writer.u8(recordFormat);
  writer.u8(states.indexOf(record.state));
  writer.u8(record.copies);
  writer.u64(record.id);
  writer.u64(record.sizeBytes);
  writer.u64(record.epoch);
  writer.text(record.name);
  encodeAccess(writer, record.access);
  writer.boolean(record.nextAccess !== undefined);
  if (record.nextAccess !== undefined) encodeAccess(writer, record.nextAccess);
  encodeReservations(writer, record.reservations);
  writer.boolean(record.nextReservations !== undefined);
  if (record.nextReservations !== undefined) encodeReservations(writer, record.nextReservations);
  return writer.copy();
}

/** @throws RemoteProtocolError */
export function decodeRecord(bytes: Uint8Array): VolumeRecord {
  const reader = new Reader(bytes);
  const format = reader.u8();
  if (format < formatWithoutAccess || format > recordFormat)
    throw new RemoteProtocolError(`volume record of format ${format}`);
  const state = states[reader.u8()];
  if (state === undefined) throw new RemoteProtocolError('unknown volume state');
  const copies = reader.u8();
  const id = reader.u64() as VolumeId;
  const sizeBytes = reader.u64();
  const epoch = reader.u64();
  const name = reader.text(volumeNameMax);
  const hasAccess = format > formatWithoutAccess;
  const access = hasAccess ? decodeAccess(reader, format) : openToAll;
  const nextAccess = hasAccess && reader.boolean() ? decodeAccess(reader, format) : undefined;
  const hasReservations = format > formatWithoutReservations;
  const reservations = hasReservations ? decodeReservations(reader) : noReservations;
  const nextReservations = hasReservations && reader.boolean() ? decodeReservations(reader) : undefined;
  if ((state === 'closing') !== (nextAccess !== undefined))
    throw new RemoteProtocolError('rules to come without a change');
  return { id, name, sizeBytes, copies, epoch, state, access, nextAccess, reservations, nextReservations };
}
