import { place, type Places, type Sentence } from './grammar.ts';
import { Unfulfilled } from './problem.ts';
import { type Range, rangeOf } from './range.ts';
import type { Stage } from './stage.ts';
import type { Act } from './story.ts';
import { blockBytes } from '../../base/ids.ts';

const thinkMs = 4;
const drainMsMax = 60_000;
const openMsMax = 2000;
const writeShare = 0.6;

/** One host that writes and reads single blocks of the range, one command after the other, until traffic stops. */
async function drive(stage: Stage, host: number, slots: readonly number[], range: Range): Promise<void> {
  const draw = stage.random.stream(`traffic of h${host}`);
  const blocks = range.lengthBytes / blockBytes;
  const { engine, hosts, cluster } = stage;
  const pause = () =>
    new Promise<void>((resolve) => {
      engine.schedule(engine.world, engine.nowMs + thinkMs * (0.5 + draw.fraction()), resolve);
    });
  while (stage.trafficOn) {
    await pause();
    const slot = slots[draw.below(slots.length)] as number;
    if (cluster.state(slot) !== 'running') continue;
    const one = { ...range, offset: range.offset + draw.below(blocks) * blockBytes, lengthBytes: blockBytes };
    const kind = draw.chance(writeShare) ? 'write' : 'read';
    const device = hosts.device(slot, range.volume);
    const opened = await Promise.race([device, wait(stage, openMsMax)]);
    if (!stage.trafficOn) return;
    if (opened === undefined || opened === 'NOT_FOUND' || cluster.state(slot) !== 'running') continue;
    const task = hosts.send({ kind, host, slot, range: one }, opened);
    while (task.answer === '' && stage.trafficOn) await pause();
  }
}

function wait(stage: Stage, delayMs: number): Promise<undefined> {
  const { engine } = stage;
  return new Promise((resolve) => {
    engine.schedule(engine.world, engine.nowMs + delayMs, () => resolve(undefined));
  });
}

function begin(stage: Stage, places: Places): void {
  const slots = stage.slotsIn(place(places, 'slots'));
  const host = Number(place(places, 'host').slice(1));
  stage.trafficOn = true;
  void drive(stage, host, slots, rangeOf(place(places, 'range')));
}

export const trafficSentences: readonly Sentence<Act>[] = [
  { pattern: 'traffic <host:host> via <slots:slots> <range:range>', run: begin },
  {
    pattern: 'traffic stops',
    run: async (stage) => {
      stage.trafficOn = false;
      if (!(await stage.until(() => stage.hosts.open.size === 0, drainMsMax)))
        throw new Unfulfilled(`${stage.hosts.open.size} commands are never answered`);
    },
  },
];
