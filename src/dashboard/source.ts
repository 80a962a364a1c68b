import type { ChassisAnswer, CoreletStatus, EventsAnswer, VolumesAnswer } from '../admin/types.ts';

/** An answer that takes longer counts as none: the next Corelet is asked. */
const answerMs = 1_500;

export interface Snapshot {
  readonly status: CoreletStatus;
  /** What the others said last, of what each knows of itself only. One is asked per reading, in turn. */
  readonly others: readonly CoreletStatus[];
  readonly volumes: VolumesAnswer;
  readonly events: EventsAnswer;
}

/** The chassis, through whichever Corelet answers: the one that served the page first, then the others in turn. */
export class ChassisSource {
  #addresses: string[] = [location.origin];
  #current = 0;
  #chassisDue = true;
  #slots: ChassisAnswer['slots'] = [];
  readonly #others = new Map<string, CoreletStatus>();
  #turn = 0;

  get address(): string {
    return this.#addresses[this.#current] ?? location.origin;
  }

  /** A line to paste. */
  connectText(slot: number, volume: string): string {
    const nbd = this.#slots.find((one) => one.slot === slot)?.nbd;
    return nbd === undefined ? '' : `qemu-img info nbd://${nbd}/${encodeURIComponent(volume)}`;
  }

  /** undefined: the one asked doesn't answer; the next call asks another. */
  async read(): Promise<Snapshot | undefined> {
    try {
      if (this.#chassisDue) await this.#learnAddresses();
      const status = await this.#get<CoreletStatus>('/api/status');
      const events = await this.#get<EventsAnswer>('/api/events?limit=100');
      return { status, events, volumes: await this.#volumes(), others: this.#heard() };
    } catch {
      this.#current = (this.#current + 1) % this.#addresses.length;
      this.#chassisDue = true;
      return undefined;
    }
  }

  /** Nobody waits for the one that is asked now: it may stand still. */
  #heard(): readonly CoreletStatus[] {
    const others = this.#addresses.filter((_, index) => index !== this.#current);
    for (const known of this.#others.keys()) if (!others.includes(known)) this.#others.delete(known);
    const next = others[this.#turn++ % Math.max(1, others.length)];
    if (next !== undefined) void this.#askAnother(next);
    return [...this.#others.values()];
  }

  async #askAnother(address: string): Promise<void> {
    try {
      this.#others.set(address, await this.#get<CoreletStatus>('/api/status', address));
    } catch {
      this.#others.delete(address);
    }
  }

  /** The list needs a quorum of the metadata's arc; the page goes on without it. */
  async #volumes(): Promise<VolumesAnswer> {
    try {
      return await this.#get<VolumesAnswer>('/api/volumes');
    } catch {
      return { schemaVersion: 1, volumes: [] };
    }
  }

  async #learnAddresses(): Promise<void> {
    const chassis = await this.#get<ChassisAnswer>('/api/chassis');
    this.#slots = chassis.slots;
    const here = this.address;
    const others = chassis.slots.map((slot) => slot.admin).filter((address) => address !== here);
    this.#addresses = [here, ...others];
    this.#current = 0;
    this.#chassisDue = false;
  }

  async #get<T>(path: string, address = this.address): Promise<T> {
    const response = await fetch(address + path, { signal: AbortSignal.timeout(answerMs), cache: 'no-store' });
    if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
    return (await response.json()) as T;
  }
}
