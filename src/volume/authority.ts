import type { VolumeId } from '../base/ids.ts';
import { mayUse } from './access.ts';
import type { HostReservations, IoErrorCode, ReservationResult } from './block-device.ts';
import { isInUse, type VolumeRecord } from './records.ts';
import type { ReservationAction } from './reservation-actions.ts';
import { allows, noReservations, type Reservations, type Right } from './reservations.ts';

/** What a device asks of its catalog. */
export interface RecordSource {
  /** The record as it is now: when an epoch was refused, or rights are missing. */
  reauthorize(id: VolumeId): Promise<VolumeRecord | 'NOT_FOUND' | 'RETRYABLE'>;
  reserve(id: VolumeId, action: ReservationAction): Promise<ReservationResult>;
}

/** For whom a device is open. */
export interface HostIdentity {
  /** By the rules of access. */
  readonly host: string | undefined;
  /** By reservations; undefined: it can't have any. */
  readonly registrant: string | undefined;
}

/**
 * What a host may do with a volume, by the record under whose epoch its I/O goes. Within one epoch rights only grow (design §10.3): a
 * refusal from here may be out of date and is looked up once more, a permission never is: the arcs refuse its epoch.
 */
export class Authority implements HostReservations {
  readonly #source: RecordSource;
  readonly #identity: HostIdentity;
  readonly #learners = new Set<(state: Reservations) => void>();
  #record: VolumeRecord;
  readonly #may = { read: true, write: true, attend: true };

  constructor(source: RecordSource, identity: HostIdentity, record: VolumeRecord) {
    this.#source = source;
    this.#identity = identity;
    this.#record = record;
    this.#judge();
  }

  get record(): VolumeRecord {
    return this.#record;
  }

  /** Grows when the volume is reset: a command that began before is over then, unless it has taken effect. */
  get resets(): number {
    return (this.#record.nextReservations ?? this.#record.reservations).resets;
  }

  /** Why I/O is refused as far as is known here. */
  refusal(right: Right): 'READ_ONLY' | 'CONFLICT' | undefined {
    if (right === 'write' && this.#record.access.readOnly) return 'READ_ONLY';
    return this.#may[right] ? undefined : 'CONFLICT';
  }

  /** By the record as it is now. */
  async renewed(right: Right): Promise<IoErrorCode | undefined> {
    return (await this.#renew()) ?? this.refusal(right);
  }

  async state(): Promise<Reservations | 'RETRYABLE' | 'GONE'> {
    const gone = await this.#renew();
    return gone ?? this.#record.reservations;
  }

  async change(action: ReservationAction): Promise<ReservationResult> {
    const result = await this.#source.reserve(this.#record.id, action);
    // What changed is known here before the next command.
    if (result.ok) await this.#renew();
    return result;
  }

  async refused(right: Right): Promise<IoErrorCode | undefined> {
    const refusal = this.refusal(right);
    return refusal === undefined || refusal === 'READ_ONLY' ? undefined : this.renewed(right);
  }

  learn(learner: (state: Reservations) => void): void {
    this.#learners.add(learner);
  }

  /** Nobody listens any more. */
  close(): void {
    this.#learners.clear();
  }

  async #renew(): Promise<'RETRYABLE' | 'GONE' | undefined> {
    const record = await this.#source.reauthorize(this.#record.id);
    if (record === 'RETRYABLE') return 'RETRYABLE';
    if (record === 'NOT_FOUND' || !isInUse(record) || !mayUse(record.access, this.#identity.host)) return 'GONE';
    this.#record = record;
    this.#judge();
    for (const learner of this.#learners) learner(record.reservations);
    return undefined;
  }

  /** While a change is under way, what the states before and after it both allow (design §10.14). */
  #judge(): void {
    const { reservations, nextReservations } = this.#record;
    const { registrant } = this.#identity;
    const states = [reservations, nextReservations ?? noReservations];
    for (const right of ['read', 'write', 'attend'] as const)
      this.#may[right] = states.every((state) => allows(state, registrant, right));
  }
}
