import { type DemoChassis, isRunning } from './chassis.ts';
import { eventually, rest } from './commands.ts';

/** Faults one after the other: the next only when every arc has all its copies again, so that a quorum is always there. */
export class HistoryFaults {
  readonly kinds = { killed: 0, stopped: 0, longStopped: 0 };
  readonly #chassis: DemoChassis;
  #stopping = false;
  #done: Promise<void> | undefined;

  constructor(chassis: DemoChassis) {
    this.#chassis = chassis;
  }

  start(): void {
    this.#done = this.#run();
  }

  /** Ends with everything running, and full. Rejects when the chassis doesn't get there. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#done;
    await this.#chassis.full();
  }

  async #run(): Promise<void> {
    for (let turn = 0; !this.#stopping; turn++) {
      await rest(300 + Math.random() * 700);
      const slot = Math.floor(Math.random() * this.#chassis.slotCount);
      // A short pause that nobody needs to notice, a death, a pause that costs the paused one its leaderships.
      if (turn % 3 === 0) await this.#pause(slot, 50 + Math.random() * 250, 'stopped');
      else if (turn % 3 === 1) await this.#kill(slot);
      else await this.#pause(slot, 1000 + Math.random() * 1500, 'longStopped');
      await this.#chassis.full();
    }
  }

  #pidOf(slot: number): number {
    const pid = this.#chassis.slots().find((record) => record.slot === slot)?.pid;
    if (pid === undefined || !isRunning(pid)) throw new Error(`slot ${slot} runs nothing`);
    return pid;
  }

  async #pause(slot: number, forMs: number, kind: 'stopped' | 'longStopped'): Promise<void> {
    const pid = this.#pidOf(slot);
    process.kill(pid, 'SIGSTOP');
    this.kinds[kind]++;
    try {
      await rest(forMs);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  }

  async #kill(slot: number): Promise<void> {
    process.kill(this.#pidOf(slot), 'SIGKILL');
    this.kinds.killed++;
    await rest(Math.random() * 1000);
    // The chassis looks at its slots now and then: until it has seen the death, the slot isn't empty.
    await eventually(`slot ${slot} inserted again`, 30_000, async () =>
      (await this.#chassis.corelet(['slot', 'insert', String(slot)])).code === 0 ? true : undefined,
    );
  }
}
