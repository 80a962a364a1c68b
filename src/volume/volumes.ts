import type { ArcId, VolumeId } from '../base/ids.ts';
import type { Random } from '../ports/random.ts';
import type { BlockDevice, VolumeCatalog, VolumeSummary } from './block-device.ts';
import { VolumeDevice } from './device.ts';
import type { Gateway } from './gateway.ts';
import {
  decodeNameValue,
  decodeRecord,
  encodeNameValue,
  encodeRecord,
  nameKey,
  recordKey,
  recordKeyPrefix,
  type VolumeRecord,
} from './records.ts';
import { KeyRegister } from './register.ts';

/** Arcs told of an epoch at a time. */
const arcsAtOnceMax = 64;
const arcTimeoutMs = 20_000;

export type ChangeResult =
  | { readonly ok: true; readonly record: VolumeRecord }
  | { readonly ok: false; readonly code: 'EXISTS' | 'NOT_FOUND' | 'UNAVAILABLE' };

interface Found {
  readonly record: VolumeRecord;
  readonly version: number;
}

/**
 * Volumes as records in the cluster's keys. Every change of who may do what goes through all arcs: record says so
 * (`creating`, `deleting`), each arc is told by an epoch entry, record says done; whoever finds it halfway may finish it.
 */
export class Volumes implements VolumeCatalog {
  readonly #gateway: Gateway;
  readonly #keys: KeyRegister;
  readonly #arcs: number;
  readonly #random: Random;

  constructor(gateway: Gateway, arcs: number, random: Random) {
    this.#gateway = gateway;
    this.#keys = new KeyRegister(gateway, arcs);
    this.#arcs = arcs;
    this.#random = random;
  }

  async open(name: string): Promise<BlockDevice | 'NOT_FOUND' | 'RETRYABLE'> {
    const found = await this.#find(name);
    if (found === 'unavailable') return 'RETRYABLE';
    if (found === undefined || found.record.state !== 'open') return 'NOT_FOUND';
    this.#gateway.hosts.came();
    await this.#gateway.hosts.ready();
    return new VolumeDevice(this.#gateway, this.#arcs, found.record, (id) => this.#reauthorize(id));
  }

  async list(): Promise<readonly VolumeSummary[]> {
    const records = await this.records();
    return records === 'unavailable' ? [] : records.filter((record) => record.state === 'open');
  }

  /** All volumes that exist or are on their way in or out, by name. */
  async records(): Promise<readonly VolumeRecord[] | 'unavailable'> {
    const entries = await this.#keys.list(recordKeyPrefix);
    if (entries === 'unavailable') return entries;
    const records = entries.map((entry) => decodeRecord(entry.value));
    return records.filter((record) => record.state !== 'deleted').sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async show(name: string): Promise<ChangeResult> {
    const found = await this.#find(name);
    if (found === 'unavailable') return { ok: false, code: 'UNAVAILABLE' };
    if (found === undefined || found.record.state === 'deleted') return { ok: false, code: 'NOT_FOUND' };
    return { ok: true, record: found.record };
  }

  async create(name: string, sizeBytes: number, copies: number): Promise<ChangeResult> {
    const taken = await this.#keys.get(nameKey(name));
    if (taken === 'unavailable') return { ok: false, code: 'UNAVAILABLE' };
    if (taken !== undefined) {
      const found = await this.#find(name);
      if (found === 'unavailable') return { ok: false, code: 'UNAVAILABLE' };
      if (found?.record.state === 'creating') await this.#finishCreate(found);
      if (found !== undefined && found.record.state !== 'deleted') return { ok: false, code: 'EXISTS' };
    }
    const id = this.#random.u48() as VolumeId;
    const record: VolumeRecord = { id, name, sizeBytes, copies, epoch: 1, state: 'creating' };
    if ((await this.#keys.set(recordKey(id), 0, encodeRecord(record))) !== 'ok')
      return { ok: false, code: 'UNAVAILABLE' };
    const named = await this.#keys.set(nameKey(name), taken?.version ?? 0, encodeNameValue(id));
    const version = await this.#versionOf(id);
    if (version === undefined) return { ok: false, code: 'UNAVAILABLE' };
    if (named === 'mismatch') {
      await this.#keys.set(recordKey(id), version, encodeRecord({ ...record, state: 'deleted' }));
      return { ok: false, code: 'EXISTS' };
    }
    if (named !== 'ok') return { ok: false, code: 'UNAVAILABLE' };
    return this.#finishCreate({ record, version });
  }

  /** Every arc knows the volume's epoch before anyone may write to it (design §10.3). */
  async #finishCreate(found: Found): Promise<ChangeResult> {
    const { record } = found;
    if (!(await this.#tellArcs(record.id, record.epoch, 'raise'))) return { ok: false, code: 'UNAVAILABLE' };
    return this.#put(found, { ...record, state: 'open' });
  }

  async delete(name: string): Promise<ChangeResult> {
    let found = await this.#find(name);
    if (found === 'unavailable') return { ok: false, code: 'UNAVAILABLE' };
    if (found === undefined || found.record.state === 'deleted') return { ok: false, code: 'NOT_FOUND' };
    if (found.record.state !== 'deleting') {
      const closing: VolumeRecord = { ...found.record, epoch: found.record.epoch + 1, state: 'deleting' };
      const put = await this.#put(found, closing);
      if (!put.ok) return put;
      found = await this.#find(name);
      if (found === 'unavailable' || found === undefined) return { ok: false, code: 'UNAVAILABLE' };
    }
    const { record } = found;
    // An arc that has dropped the volume refuses whoever still holds it open: it doesn't know it any more.
    if (!(await this.#tellArcs(record.id, record.epoch, 'drop'))) return { ok: false, code: 'UNAVAILABLE' };
    const marker = await this.#put(found, { ...record, state: 'deleted' });
    if (!marker.ok) return marker;
    const named = await this.#keys.get(nameKey(name));
    if (named === 'unavailable') return { ok: false, code: 'UNAVAILABLE' };
    if (named !== undefined && decodeNameValue(named.value) === record.id) {
      await this.#keys.set(nameKey(name), named.version, new Uint8Array(0));
    }
    return { ok: true, record };
  }

  async #reauthorize(id: VolumeId): Promise<VolumeRecord | 'NOT_FOUND' | 'RETRYABLE'> {
    const entry = await this.#keys.get(recordKey(id));
    if (entry === 'unavailable') return 'RETRYABLE';
    return entry === undefined ? 'NOT_FOUND' : decodeRecord(entry.value);
  }

  async #find(name: string): Promise<Found | undefined | 'unavailable'> {
    const named = await this.#keys.get(nameKey(name));
    if (named === undefined || named === 'unavailable') return named;
    const entry = await this.#keys.get(recordKey(decodeNameValue(named.value)));
    if (entry === undefined || entry === 'unavailable') return entry;
    return { record: decodeRecord(entry.value), version: entry.version };
  }

  async #versionOf(id: VolumeId): Promise<number | undefined> {
    const entry = await this.#keys.get(recordKey(id));
    return entry === undefined || entry === 'unavailable' ? undefined : entry.version;
  }

  async #put(found: Found, record: VolumeRecord): Promise<ChangeResult> {
    const set = await this.#keys.set(recordKey(record.id), found.version, encodeRecord(record));
    if (set === 'ok') return { ok: true, record };
    const now = set === 'mismatch' ? await this.#reauthorize(record.id) : 'RETRYABLE';
    // Somebody else took the same step: as good as ours.
    if (typeof now !== 'string' && now.state === record.state) return { ok: true, record: now };
    return { ok: false, code: 'UNAVAILABLE' };
  }

  async #tellArcs(volume: VolumeId, epoch: number, action: 'raise' | 'drop'): Promise<boolean> {
    for (let first = 0; first < this.#arcs; first += arcsAtOnceMax) {
      const count = Math.min(arcsAtOnceMax, this.#arcs - first);
      const told = Array.from({ length: count }, (_, i) =>
        this.#gateway.operate(
          (first + i) as ArcId,
          { kind: 'epoch', volume, epoch, action },
          { timeoutMs: arcTimeoutMs },
        ),
      );
      for (const outcome of await Promise.all(told)) if (outcome.code !== 'ok') return false;
    }
    return true;
  }
}
