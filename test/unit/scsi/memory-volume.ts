import type { VolumeId } from '../../../src/base/ids.ts';
import type {
  BlockDevice,
  CompareResult,
  ExtentsResult,
  HostCommand,
  HostReservations,
  IoErrorCode,
  IoResult,
  ReadResult,
  ReservationResult,
  VolumeCatalog,
  VolumeSummary,
} from '../../../src/volume/block-device.ts';
import { applyReservation, type ReservationAction } from '../../../src/volume/reservation-actions.ts';
import { allows, noReservations, type Reservations, type Right } from '../../../src/volume/reservations.ts';
import { MemoryDevice } from '../nbd/memory-device.ts';

/** A volume in memory with reservations, as many hosts see it. */
export class MemoryVolume {
  readonly store: MemoryDevice;
  readonly devices = new Set<HostDevice>();
  state: Reservations = noReservations;
  /** What a change of reservations is told, instead of being carried out. */
  refuse: 'RETRYABLE' | 'UNKNOWN' | undefined;
  readOnly = false;
  /** As its record says now. */
  sizeBytes: number;

  constructor(name: string, sizeBytes: number) {
    this.sizeBytes = sizeBytes;
    this.store = new MemoryDevice({ name, sizeBytes });
  }
}

/** One host's view of it. Learns of others' changes only when it asks, as a gateway does. */
class HostDevice implements BlockDevice, HostReservations {
  readonly #volume: MemoryVolume;
  readonly #registrant: string | undefined;
  #learner: ((state: Reservations) => void) | undefined;

  constructor(volume: MemoryVolume, registrant: string | undefined) {
    this.#volume = volume;
    this.#registrant = registrant;
    volume.devices.add(this);
  }

  get id(): VolumeId {
    return this.#volume.store.id;
  }
  get name(): string {
    return this.#volume.store.name;
  }
  get sizeBytes(): number {
    return this.#volume.sizeBytes;
  }
  get readOnly(): boolean {
    return this.#volume.readOnly;
  }
  get reservations(): HostReservations {
    return this;
  }

  async state(): Promise<Reservations> {
    const { state } = this.#volume;
    this.#learner?.(state);
    return state;
  }

  async change(action: ReservationAction): Promise<ReservationResult> {
    const volume = this.#volume;
    if (volume.refuse !== undefined) return { ok: false, code: volume.refuse };
    const before = volume.state;
    const after = applyReservation(before, action);
    if (typeof after === 'string') return { ok: false, code: after };
    volume.state = after;
    this.#learner?.(after);
    return { ok: true, before, after };
  }

  async refused(right: Right): Promise<IoErrorCode | undefined> {
    return this.#forbidden(right);
  }

  learn(learner: (state: Reservations) => void): void {
    this.#learner = learner;
  }

  #forbidden(right: Right): IoErrorCode | undefined {
    if (right === 'write' && this.readOnly) return 'READ_ONLY';
    return allows(this.#volume.state, this.#registrant, right) ? undefined : 'CONFLICT';
  }

  async #as<Result>(right: Right, work: () => Promise<Result>): Promise<Result | { ok: false; code: IoErrorCode }> {
    const code = this.#forbidden(right);
    return code === undefined ? work() : { ok: false, code };
  }

  read(offset: number, lengthBytes: number): Promise<ReadResult> {
    return this.#as('read', () => this.#volume.store.read(offset, lengthBytes));
  }
  write(offset: number, data: readonly Uint8Array[], command?: HostCommand): Promise<IoResult> {
    return this.#as('write', () => this.#volume.store.write(offset, data, command));
  }
  compareAndWrite(offset: number, expected: Uint8Array, data: Uint8Array): Promise<CompareResult> {
    return this.#as('write', () => this.#volume.store.compareAndWrite(offset, expected, data));
  }
  writeSame(offset: number, lengthBytes: number, block: Uint8Array): Promise<IoResult> {
    return this.#as('write', () => this.#volume.store.writeSame(offset, lengthBytes, block));
  }
  zero(offset: number, lengthBytes: number, options: { readonly mayPunch: boolean }): Promise<IoResult> {
    return this.#as('write', () => this.#volume.store.zero(offset, lengthBytes, options));
  }
  trim(offset: number, lengthBytes: number): Promise<IoResult> {
    return this.#as('write', () => this.#volume.store.trim(offset, lengthBytes));
  }
  flush(): Promise<IoResult> {
    return this.#volume.store.flush();
  }
  extents(offset: number, lengthBytes: number): Promise<ExtentsResult> {
    return this.#as('read', () => this.#volume.store.extents(offset, lengthBytes));
  }
  close(): void {
    this.#volume.devices.delete(this);
  }
}

export class MemoryVolumes implements VolumeCatalog {
  readonly #volumes: readonly MemoryVolume[];

  constructor(...volumes: MemoryVolume[]) {
    this.#volumes = volumes;
  }

  async open(name: string, _host?: string, registrant?: string): Promise<BlockDevice | 'NOT_FOUND' | 'RETRYABLE'> {
    const volume = this.#volumes.find(({ store }) => store.name === name);
    return volume === undefined ? 'NOT_FOUND' : new HostDevice(volume, registrant);
  }

  async list(): Promise<readonly VolumeSummary[]> {
    return this.#volumes.map(({ store: { id, name, sizeBytes } }) => ({ id, name, sizeBytes }));
  }
}
