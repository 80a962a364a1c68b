import {
  type ChassisHardware,
  changesBetween,
  hardwareStamp,
  isBrownOut,
  readHardware,
  readingsOf,
  soundHardware,
} from '../chassis/hardware.ts';
import type { Events } from '../ports/events.ts';
import type { DeviceSensors } from '../store/health.ts';

const pollMs = 1_000;

/** The chassis's simulated hardware, as the module in one slot sees it. It doesn't keep the process from ending. */
export class HardwareWatch {
  readonly #dir: string | undefined;
  readonly #slot: number;
  readonly #events: Events;
  #now: ChassisHardware = soundHardware;
  #stamp = '';
  #gasp: (reason: string) => void = () => undefined;
  /** Resolves when the power goes: there is time for a word to the others, no more. */
  readonly brownOut: Promise<string>;

  constructor(dir: string | undefined, slot: number, events: Events) {
    this.#dir = dir;
    this.#slot = slot;
    this.#events = events;
    this.brownOut = new Promise((resolve) => {
      this.#gasp = resolve;
    });
    if (dir === undefined) return;
    this.#stamp = hardwareStamp(dir);
    this.#now = readHardware(dir);
    this.#lookLater(dir);
    if (isBrownOut(this.#now)) this.#gasp('no power supply is left');
  }

  /** How many times slower this module's flash answers. */
  readonly slowness = (): number => this.#now.slowness[String(this.#slot)] ?? 1;

  /** Over what the machine itself knows: nothing where there is no chassis folder. */
  readings(machine: DeviceSensors): DeviceSensors {
    return this.#dir === undefined ? machine : { ...readingsOf(this.#now), ...machine };
  }

  /** On whole multiples of this process's clock, as all that looks around at rest: one wake-up for all. */
  #lookLater(dir: string): void {
    setTimeout(
      () => {
        this.#look(dir);
        this.#lookLater(dir);
      },
      pollMs + 2 - (performance.now() % pollMs),
    ).unref();
  }

  #look(dir: string): void {
    const stamp = hardwareStamp(dir);
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    const before = this.#now;
    this.#now = readHardware(dir);
    for (const text of changesBetween(before, this.#now)) this.#events.record({ kind: 'chassis.sensor', text });
    const slot = this.#slot;
    const slowness = this.slowness();
    if (slowness !== (before.slowness[String(slot)] ?? 1)) {
      const text = `The flash in slot ${slot} answers ${slowness === 1 ? 'as fast as it can' : `${slowness} times slower`} from now on: somebody tries how that is.`;
      this.#events.record({ kind: 'chassis.slowed', slot, text });
    }
    if (isBrownOut(this.#now)) this.#gasp('no power supply is left');
  }
}
