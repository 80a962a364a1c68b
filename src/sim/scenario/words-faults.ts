import type { CoreletId } from '../../base/ids.ts';
import { codes } from '../../wire/peer/codes.ts';
import { listOf, place, type Places, type Sentence } from './grammar.ts';
import type { Hold } from './hardware.ts';
import { Unfulfilled } from './problem.ts';
import type { Stage } from './stage.ts';
import type { Act } from './story.ts';

const startMsMax = 30_000;

async function startSlots(stage: Stage, slots: readonly number[]): Promise<void> {
  const { cluster, engine } = stage;
  const idle = slots.find((slot) => cluster.state(slot) !== 'down');
  if (idle !== undefined) throw new Unfulfilled(`slot ${idle} is ${cluster.state(idle)}`);
  const started = await engine.settle(Promise.all(slots.map((slot) => cluster.start(slot))), startMsMax);
  if (started === undefined) throw new Unfulfilled('it did not start');
}

function crash(stage: Stage, slots: readonly number[], keepFraction?: number): void {
  for (const slot of slots) {
    if (keepFraction !== undefined) stage.medium(slot).keepFraction = keepFraction;
    stage.cluster.crash(slot);
  }
}

function pairsOf(stage: Stage, places: Places): readonly (readonly [number, number])[] {
  const from = stage.slotsIn(place(places, 'from'));
  const to = stage.slotsIn(place(places, 'to'));
  return from.flatMap((a) => to.filter((b) => b !== a).map((b): readonly [number, number] => [a, b]));
}

function idOf(stage: Stage, slot: number): CoreletId {
  return stage.cluster.slot(slot).id;
}

function hold(stage: Stage, places: Places): void {
  const types = listOf(place(places, 'types'));
  const unknown = types.find((type) => !Object.hasOwn(codes, type));
  if (unknown !== undefined) throw new Unfulfilled(`no message has the type ${unknown}`);
  for (const [from, to] of pairsOf(stage, places)) {
    stage.hardware.wires.holds.add({ from: idOf(stage, from), to: idOf(stage, to), types, held: [] });
  }
}

function holdsOn(stage: Stage, places: Places): readonly Hold[] {
  const pairs = pairsOf(stage, places).map(([from, to]) => `${idOf(stage, from)}>${idOf(stage, to)}`);
  const found = [...stage.hardware.wires.holds].filter(({ from, to }) => pairs.includes(`${from}>${to}`));
  if (found.length === 0) throw new Unfulfilled('nothing is held there');
  return found;
}

/** What was held goes out in order, and nothing is held any more. */
export function release(stage: Stage, holds: readonly Hold[]): void {
  for (const each of holds) {
    stage.hardware.wires.holds.delete(each);
    for (const { message, send } of each.held.splice(0)) send(message);
  }
}

function eachSlot(act: (stage: Stage, slot: number, places: Places) => void): Act {
  return (stage, places) => {
    for (const slot of stage.slotsIn(place(places, 'slots'))) act(stage, slot, places);
  };
}

const processes: readonly Sentence<Act>[] = [
  { pattern: 'crash <slots:slots>', run: (stage, places) => crash(stage, stage.slotsIn(place(places, 'slots'))) },
  {
    pattern: 'crash <slots:slots> losing writes',
    run: (stage, places) => crash(stage, stage.slotsIn(place(places, 'slots')), 0),
  },
  {
    pattern: 'crash <slots:slots> keeping writes',
    run: (stage, places) => crash(stage, stage.slotsIn(place(places, 'slots')), 1),
  },
  { pattern: 'power loss', run: (stage) => crash(stage, stage.slotsIn('all')) },
  { pattern: 'start <slots:slots>', run: (stage, places) => startSlots(stage, stage.slotsIn(place(places, 'slots'))) },
  { pattern: 'pause <slots:slots>', run: eachSlot((stage, slot) => stage.cluster.pause(slot)) },
  { pattern: 'resume <slots:slots>', run: eachSlot((stage, slot) => stage.cluster.resume(slot)) },
  {
    pattern: 'insert blank <slot:slot>',
    run: async (stage, places) => {
      stage.twins.delete(stage.slot(place(places, 'slot')));
      const started = await stage.engine.settle(
        stage.cluster.insertBlank(stage.slot(place(places, 'slot'))),
        startMsMax,
      );
      if (started === undefined) throw new Unfulfilled('it did not start');
    },
  },
];

const links: readonly Sentence<Act>[] = [
  {
    pattern: 'cut <from:slots> > <to:slots>',
    run: (stage, places) => {
      for (const [from, to] of pairsOf(stage, places)) stage.cluster.cut(from, to);
    },
  },
  {
    pattern: 'cut <from:slots> - <to:slots>',
    run: (stage, places) => {
      for (const [from, to] of pairsOf(stage, places)) {
        stage.cluster.cut(from, to);
        stage.cluster.cut(to, from);
      }
    },
  },
  {
    pattern: 'partition <groups:groups>',
    run: (stage, places) => {
      const groups = place(places, 'groups')
        .split(' | ')
        .map((group) => stage.slotsIn(group).map((slot) => idOf(stage, slot)));
      stage.hardware.wires.network.partition(groups);
    },
  },
  { pattern: 'mend', run: (stage) => stage.hardware.wires.network.mend() },
  {
    pattern: 'mend <from:slots> > <to:slots>',
    run: (stage, places) => {
      for (const [from, to] of pairsOf(stage, places)) stage.cluster.mend(from, to);
    },
  },
  {
    pattern: 'reset <from:slots> - <to:slots>',
    run: (stage, places) => {
      for (const [from, to] of pairsOf(stage, places)) {
        stage.hardware.wires.reset(idOf(stage, from), idOf(stage, to));
      }
    },
  },
  { pattern: 'hold <types:types> from <from:slots> to <to:slots>', run: hold },
  {
    pattern: 'release from <from:slots> to <to:slots>',
    run: (stage, places) => release(stage, holdsOn(stage, places)),
  },
  {
    pattern: 'drop from <from:slots> to <to:slots>',
    run: (stage, places) => {
      for (const each of holdsOn(stage, places)) {
        stage.hardware.wires.holds.delete(each);
        each.held.length = 0;
      }
    },
  },
  {
    pattern: 'slow link <slots:slots> x<factor:number>',
    run: eachSlot((stage, slot, places) => stage.cluster.slowLink(slot, Number(place(places, 'factor')))),
  },
  {
    pattern: 'slow path <from:slots> - <to:slots> x<factor:number>',
    run: (stage, places) => {
      for (const [from, to] of pairsOf(stage, places)) {
        stage.hardware.wires.network.slowPath(idOf(stage, from), idOf(stage, to), Number(place(places, 'factor')));
      }
    },
  },
  {
    pattern: 'forge next blocks from <from:slot> to <to:slot>',
    run: (stage, places) => {
      const [from, to] = [place(places, 'from'), place(places, 'to')].map((name) => idOf(stage, stage.slot(name)));
      if (from === undefined || to === undefined) return;
      stage.hardware.wires.forgeries.add({ from, to, done: (arc) => stage.forgedArcs.add(arc) });
    },
  },
  {
    pattern: 'lose <percent:number> % of messages of <slots:slots>',
    run: eachSlot((stage, slot, places) => stage.cluster.loseMessages(slot, Number(place(places, 'percent')) / 100)),
  },
];

export const faultSentences: readonly Sentence<Act>[] = [...processes, ...links];

/** Everything that a story can do to a cluster is undone, and every slot runs. */
export async function mendAll(stage: Stage): Promise<void> {
  const { cluster, hardware } = stage;
  release(stage, [...hardware.wires.holds]);
  hardware.wires.network.mend();
  for (const { index } of cluster.slots) {
    const medium = stage.medium(index);
    medium.setMood('well');
    medium.failNextWrite = false;
    medium.flash.fullAtBytes = Number.POSITIVE_INFINITY;
    medium.flash.healRanges();
    medium.flash.broken = false;
    cluster.slowFlash(index, 1);
    cluster.slowLink(index, 1);
    cluster.loseMessages(index, 0);
    cluster.resume(index);
  }
  await startSlots(
    stage,
    cluster.slots.map(({ index }) => index).filter((index) => cluster.state(index) === 'down'),
  );
}
