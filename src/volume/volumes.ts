import type { ArcId, VolumeId } from '../base/ids.ts';
import type { Random } from '../ports/random.ts';
import { unreachable } from '../base/assert.ts';
import type { EpochAction } from '../wire/peer/types.ts';
import { type AccessRules, intersection, mayUse, openToAll } from './access.ts';
import type { RecordSource } from './authority.ts';
import type { BlockDevice, ReservationResult, VolumeCatalog, VolumeSummary } from './block-device.ts';
import { VolumeDevice } from './device.ts';
import type { Gateway } from './gateway.ts';
import {
  decodeNameValue,
  decodeRecord,
  encodeNameValue,
  encodeRecord,
  isInUse,
  nameKey,
  recordKey,
  recordKeyPrefix,
  type VolumeRecord,
} from './records.ts';
import { KeyRegister } from './register.ts';
import { applyReservation, type ReservationAction } from './reservation-actions.ts';
import { noReservations, takesRight } from './reservations.ts';

/** Arcs told of an epoch at a time. */
const arcsAtOnceMax = 64;
const arcTimeoutMs = 20_000;
/** Changes of one volume that come in between, before a further one gives up. */
const changeTriesMax = 5;
const attendedMax = 64;

const newRules = {
  access: openToAll,
  nextAccess: undefined,
  reservations: noReservations,
  nextReservations: undefined,
} as const;

const nothingNext = { nextAccess: undefined, nextReservations: undefined } as const;

export type ChangeResult =
  | { readonly ok: true; readonly record: VolumeRecord }
  | { readonly ok: false; readonly code: 'EXISTS' | 'NOT_FOUND' | 'UNAVAILABLE' };

interface Found {
  readonly record: VolumeRecord;
  readonly version: number;
}

/**
 * Volumes as records in the cluster's keys. Every change of who may do what goes through all arcs: record says so
 * (`creating`, `closing`, `deleting`), each arc is told by an epoch entry, record says done; whoever finds it halfway may finish it.
 */
export class Volumes implements VolumeCatalog {
  readonly #gateway: Gateway;
  readonly #keys: KeyRegister;
  readonly #arcs: number;
  readonly #random: Random;
  /** Volumes whose half done change is being finished from here. */
  readonly #attended = new Set<VolumeId>();
  readonly #source: RecordSource = {
    reauthorize: (id) => this.#reauthorize(id),
    reserve: (id, action) => this.#reserve(id, action),
  };

  constructor(gateway: Gateway, arcs: number, random: Random) {
    this.#gateway = gateway;
    this.#keys = new KeyRegister(gateway, arcs);
    this.#arcs = arcs;
    this.#random = random;
  }

  async open(name: string, host?: string, registrant?: string): Promise<BlockDevice | 'NOT_FOUND' | 'RETRYABLE'> {
    const found = await this.#find(name);
    if (found === 'unavailable') return 'RETRYABLE';
    if (found !== undefined) this.#attend(found);
    if (found === undefined || !isInUse(found.record) || !mayUse(found.record.access, host)) return 'NOT_FOUND';
    this.#gateway.hosts.came();
    await this.#gateway.hosts.ready();
    return new VolumeDevice(this.#gateway, this.#arcs, found.record, { host, registrant }, this.#source);
  }

  async list(): Promise<readonly VolumeSummary[]> {
    const records = await this.records();
    return records === 'unavailable' ? [] : records.filter(isInUse);
  }

  /** What a volume says to hosts that come, as a linearizable answer. While rules change: those of both. */
  async rules(name: string): Promise<AccessRules | 'NOT_FOUND' | 'RETRYABLE'> {
    const found = await this.#find(name);
    if (found === 'unavailable') return 'RETRYABLE';
    return found === undefined || !isInUse(found.record) ? 'NOT_FOUND' : found.record.access;
  }

  /** Names of the volumes that a host may use. */
  async namesFor(host: string): Promise<readonly string[] | 'RETRYABLE'> {
    const records = await this.records();
    if (records === 'unavailable') return 'RETRYABLE';
    return records.filter((record) => isInUse(record) && mayUse(record.access, host)).map(({ name }) => name);
  }

  /** All volumes that exist or are on their way in or out, by name. */
  async records(): Promise<readonly VolumeRecord[] | 'unavailable'> {
    const entries = await this.#keys.list(recordKeyPrefix);
    if (entries === 'unavailable') return entries;
    const records = entries.map(({ value }) => decodeRecord(value)).filter(({ state }) => state !== 'deleted');
    return records.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async show(name: string): Promise<ChangeResult> {
    const found = await this.#find(name);
    if (found === 'unavailable') return { ok: false, code: 'UNAVAILABLE' };
    if (found === undefined || found.record.state === 'deleted') return { ok: false, code: 'NOT_FOUND' };
    return { ok: true, record: found.record };
  }

  async create(name: string, sizeBytes: number, copies: number): Promise<ChangeResult> {
    for (let tries = 0; tries < changeTriesMax; tries++) {
      const made = await this.#create(name, sizeBytes, copies);
      if (made !== 'again') return made;
    }
    return { ok: false, code: 'UNAVAILABLE' };
  }

  /** `again`: somebody else was first, with the name or with the record. */
  async #create(name: string, sizeBytes: number, copies: number): Promise<ChangeResult | 'again'> {
    const taken = await this.#keys.get(nameKey(name));
    if (taken === 'unavailable') return { ok: false, code: 'UNAVAILABLE' };
    const leadsTo = taken === undefined ? undefined : decodeNameValue(taken.value);
    const found = leadsTo === undefined ? undefined : await this.#byId(leadsTo);
    if (found === 'unavailable') return { ok: false, code: 'UNAVAILABLE' };
    if (found?.record.state === 'creating') await this.#finish(found);
    if (found !== undefined && found.record.state !== 'deleted') return { ok: false, code: 'EXISTS' };
    // A name that leads to no record yet stays: who took it died, or makes the record at this moment. There can be one record of that id only, so
    // one maker. Were it another id, both would make one, and each be told that the name is its own.
    let id = found === undefined ? leadsTo : undefined;
    if (id === undefined) {
      id = this.#random.u48() as VolumeId;
      // The name first: a record that no name leads to would stay half made for ever.
      const named = await this.#keys.set(nameKey(name), taken?.version ?? 0, encodeNameValue(id));
      if (named === 'mismatch') return 'again';
      if (named === 'unavailable') return { ok: false, code: 'UNAVAILABLE' };
    }
    const record: VolumeRecord = { id, name, sizeBytes, copies, epoch: 1, state: 'creating', ...newRules };
    const version = await this.#keys.set(recordKey(id), 0, encodeRecord(record));
    if (version === 'mismatch') return 'again';
    if (version === 'unavailable') return { ok: false, code: 'UNAVAILABLE' };
    return this.#finish({ record, version });
  }

  /** Other rules for hosts. After `ok` they hold everywhere: no write of a host that lost its right can land any more. */
  async setAccess(name: string, rules: AccessRules): Promise<ChangeResult> {
    for (let tries = 0; tries < changeTriesMax; tries++) {
      const found = await this.#settled(() => this.#find(name));
      if (typeof found === 'string') return { ok: false, code: found };
      const { record } = found;
      if (record.state !== 'open') return { ok: false, code: 'NOT_FOUND' };
      const access = intersection(record.access, rules);
      const state = { state: 'closing', access, nextAccess: rules, nextReservations: record.reservations } as const;
      const closing = { ...record, ...state, epoch: record.epoch + 1 };
      const version = await this.#keys.set(recordKey(record.id), found.version, encodeRecord(closing));
      if (version === 'unavailable') return { ok: false, code: 'UNAVAILABLE' };
      if (version === 'mismatch') continue; // another change came first: ours follows it
      return this.#finish({ record: closing, version });
    }
    return { ok: false, code: 'UNAVAILABLE' };
  }

  async delete(name: string): Promise<ChangeResult> {
    for (let tries = 0; tries < changeTriesMax; tries++) {
      const found = await this.#settled(() => this.#find(name));
      if (typeof found === 'string') return { ok: false, code: found };
      const { record } = found;
      const deleting = { ...record, epoch: record.epoch + 1, state: 'deleting', ...nothingNext } as const;
      const version = await this.#keys.set(recordKey(record.id), found.version, encodeRecord(deleting));
      if (version === 'unavailable') return { ok: false, code: 'UNAVAILABLE' };
      if (version === 'mismatch') continue;
      return this.#finish({ record: deleting, version });
    }
    return { ok: false, code: 'UNAVAILABLE' };
  }

  /**
   * A change of the volume's reservations. Where it takes a right from anyone, every arc has heard of the new epoch when it is answered: nothing that
   * the state before allowed can land any more.
   */
  async #reserve(id: VolumeId, action: ReservationAction): Promise<ReservationResult> {
    for (let tries = 0; tries < changeTriesMax; tries++) {
      const found = await this.#settled(() => this.#byId(id));
      if (found === 'NOT_FOUND') return { ok: false, code: 'GONE' };
      if (found === 'UNAVAILABLE') return { ok: false, code: 'RETRYABLE' };
      const { record } = found;
      const before = record.reservations;
      const after = applyReservation(before, action);
      if (typeof after === 'string') return { ok: false, code: after };
      if (after === before) return { ok: true, before, after };
      const closes = takesRight(before, after);
      const next: VolumeRecord = closes
        ? { ...record, epoch: record.epoch + 1, state: 'closing', nextAccess: record.access, nextReservations: after }
        : { ...record, reservations: after };
      const version = await this.#keys.set(recordKey(id), found.version, encodeRecord(next));
      if (version === 'mismatch') continue; // another change came first: ours follows it
      if (version === 'unavailable') return { ok: false, code: 'UNKNOWN' };
      if (!closes) return { ok: true, before, after };
      const finished = await this.#finish({ record: next, version });
      return finished.ok ? { ok: true, before, after } : { ok: false, code: 'UNKNOWN' };
    }
    return { ok: false, code: 'RETRYABLE' };
  }

  async #byId(id: VolumeId): Promise<Found | undefined | 'unavailable'> {
    const found = await this.#read(id);
    return found === 'RETRYABLE' ? 'unavailable' : found === 'NOT_FOUND' ? undefined : found;
  }

  /** The volume, with whatever somebody left half done brought to its end first. */
  async #settled(find: () => Promise<Found | undefined | 'unavailable'>): Promise<Found | 'NOT_FOUND' | 'UNAVAILABLE'> {
    for (let tries = 0; tries < changeTriesMax; tries++) {
      const found = await find();
      if (found === 'unavailable') return 'UNAVAILABLE';
      if (found === undefined || found.record.state === 'deleted') return 'NOT_FOUND';
      if (found.record.state === 'open') return found;
      const isDeleting = found.record.state === 'deleting';
      const finished = await this.#finish(found);
      if (!finished.ok) return 'UNAVAILABLE';
      if (isDeleting) return 'NOT_FOUND';
    }
    return 'UNAVAILABLE';
  }

  /** A change that its driver left half done is finished on the side, by whoever meets it. */
  #attend(found: Found): void {
    const { id, state } = found.record;
    if (state === 'open' || state === 'deleted' || this.#attended.has(id) || this.#attended.size >= attendedMax) return;
    this.#attended.add(id);
    void this.#finish(found).finally(() => this.#attended.delete(id));
  }

  /** Every arc is told, then the record says so: no step does harm when it is taken twice, by anyone (design §4). */
  async #finish(found: Found): Promise<ChangeResult> {
    const { record } = found;
    switch (record.state) {
      case 'creating':
        // Every arc knows the volume before anyone may write to it (design §10.3).
        if (!(await this.#tellArcs(record, 'create'))) return { ok: false, code: 'UNAVAILABLE' };
        return this.#put(found, { ...record, state: 'open' });
      case 'closing':
        // From here on no arc takes anything that the rules before allowed and the new ones don't.
        if (!(await this.#tellArcs(record, 'raise'))) return { ok: false, code: 'UNAVAILABLE' };
        return this.#put(found, {
          ...record,
          state: 'open',
          access: record.nextAccess ?? record.access,
          nextAccess: undefined,
          reservations: record.nextReservations ?? record.reservations,
          nextReservations: undefined,
        });
      case 'deleting':
        return this.#finishDelete(found);
      case 'open':
      case 'deleted':
        return { ok: true, record };
      default:
        return unreachable(record.state);
    }
  }

  async #finishDelete(found: Found): Promise<ChangeResult> {
    const { record } = found;
    // An arc that has dropped the volume refuses whoever still holds it open: it doesn't know it any more.
    if (!(await this.#tellArcs(record, 'drop'))) return { ok: false, code: 'UNAVAILABLE' };
    const marker = await this.#put(found, { ...record, state: 'deleted' });
    if (!marker.ok) return marker;
    const named = await this.#keys.get(nameKey(record.name));
    if (named === 'unavailable') return { ok: false, code: 'UNAVAILABLE' };
    if (named !== undefined && decodeNameValue(named.value) === record.id) {
      await this.#keys.set(nameKey(record.name), named.version, new Uint8Array(0));
    }
    return { ok: true, record };
  }

  async #reauthorize(id: VolumeId): Promise<VolumeRecord | 'NOT_FOUND' | 'RETRYABLE'> {
    const found = await this.#read(id);
    if (typeof found === 'string') return found;
    this.#attend(found);
    return found.record;
  }

  async #read(id: VolumeId): Promise<Found | 'NOT_FOUND' | 'RETRYABLE'> {
    const entry = await this.#keys.get(recordKey(id));
    if (entry === 'unavailable') return 'RETRYABLE';
    return entry === undefined ? 'NOT_FOUND' : { record: decodeRecord(entry.value), version: entry.version };
  }

  async #find(name: string): Promise<Found | undefined | 'unavailable'> {
    const named = await this.#keys.get(nameKey(name));
    if (named === undefined || named === 'unavailable') return named;
    const entry = await this.#keys.get(recordKey(decodeNameValue(named.value)));
    if (entry === undefined || entry === 'unavailable') return entry;
    return { record: decodeRecord(entry.value), version: entry.version };
  }

  async #put(found: Found, record: VolumeRecord): Promise<ChangeResult> {
    const set = await this.#keys.set(recordKey(record.id), found.version, encodeRecord(record));
    if (typeof set === 'number') return { ok: true, record };
    const now = set === 'mismatch' ? await this.#read(record.id) : 'RETRYABLE';
    // Somebody else took the same step, and perhaps more since: as good as ours.
    if (typeof now !== 'string' && isBeyond(now.record, record)) return { ok: true, record: now.record };
    return { ok: false, code: 'UNAVAILABLE' };
  }

  async #tellArcs({ id: volume, epoch }: VolumeRecord, action: EpochAction): Promise<boolean> {
    for (let first = 0; first < this.#arcs; first += arcsAtOnceMax) {
      const count = Math.min(arcsAtOnceMax, this.#arcs - first);
      const body = { kind: 'epoch', volume, epoch, action } as const;
      const told = Array.from({ length: count }, (_, i) =>
        this.#gateway.operate((first + i) as ArcId, body, { timeoutMs: arcTimeoutMs }),
      );
      // An arc that doesn't know the volume has dropped it: somebody went further meanwhile, as the record will tell.
      for (const outcome of await Promise.all(told))
        if (outcome.code !== 'ok' && outcome.code !== 'fenced') return false;
    }
    return true;
  }
}

/** Whether a record has taken the step to `step`, or went on from there. */
function isBeyond(now: VolumeRecord, step: VolumeRecord): boolean {
  if (now.epoch !== step.epoch) return now.epoch > step.epoch;
  return now.state === step.state;
}
