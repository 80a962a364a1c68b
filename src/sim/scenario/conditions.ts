import type { ArcId } from '../../base/ids.ts';
import type { SlotStatus } from '../../corelet/types.ts';
import { place, type Places, type Sentence } from './grammar.ts';
import { rangeOf } from './range.ts';
import type { Stage } from './stage.ts';

/** True, or what is the case instead. */
export type Test = (stage: Stage, places: Places) => true | string;

function leaderSlot(stage: Stage, places: Places): number | undefined {
  const range = rangeOf(place(places, 'range'));
  return stage.leaderOf(stage.arcOf(range.chunk, range.volume))?.slot;
}

function tellSlot(slot: number | undefined): string {
  return slot === undefined ? 'nobody' : `slot ${slot}`;
}

function completeAt(stage: Stage, places: Places): true | string {
  const range = rangeOf(place(places, 'range'));
  const arc = stage.arcOf(range.chunk, range.volume);
  const slot = stage.slot(place(places, 'slot'));
  const held = stage.replicasOf(arc).find((replica) => replica.slot === slot);
  if (held === undefined) return `slot ${slot} holds no copy of arc ${arc}`;
  const voters = stage.leaderOf(arc)?.replica.voters ?? [];
  if (!voters.includes(`${held.id}.${held.replica.generation}`)) return `the copy on slot ${slot} isn't a voter`;
  return held.replica.complete ? true : `the copy on slot ${slot} isn't complete`;
}

function appliedAt(stage: Stage, places: Places): { readonly applied: number; readonly committed: number } | string {
  const range = rangeOf(place(places, 'range'));
  const arc = stage.arcOf(range.chunk, range.volume);
  const slot = stage.slot(place(places, 'slot'));
  const held = stage.replicasOf(arc).find((replica) => replica.slot === slot);
  const leader = stage.leaderOf(arc);
  if (held === undefined || leader === undefined) return `arc ${arc} has no leader, or slot ${slot} holds no copy`;
  return { applied: held.replica.appliedIndex, committed: leader.replica.commitIndex };
}

function viewOf(stage: Stage, places: Places): ReadonlyMap<number, string> | string {
  const { cluster } = stage;
  const witness = stage.slot(place(places, 'witness'));
  const handle = cluster.handle(witness);
  if (handle === undefined) return `slot ${witness} is ${cluster.state(witness)}`;
  return new Map(handle.status().slots.map(({ slot, state }) => [slot, state]));
}

/** An arc whose leader goes by a configuration with fewer complete copies now. */
function shortArc(stage: Stage, count: number): string | undefined {
  for (let number = 0; number < stage.story.shape.arcs; number++) {
    const arc = number as ArcId;
    const voters = stage.leaderOf(arc)?.replica.voters;
    if (voters === undefined) continue;
    const complete = stage
      .replicasOf(arc)
      .filter(({ id, replica }) => replica.complete && voters.includes(`${id}.${replica.generation}`)).length;
    if (complete < count) return `arc ${arc} has ${complete}`;
  }
  return undefined;
}

/** Of each device, as its own Corelet says it. */
function fillsOf({ cluster }: Stage): readonly SlotStatus[] {
  const fills: SlotStatus[] = [];
  for (let slot = 0; slot < cluster.slots.length; slot++) {
    const status = cluster.handle(slot)?.status();
    const own = status?.slots.find((row) => row.id === status.answeredBy.id);
    if (own !== undefined) fills.push(own);
  }
  return fills;
}

function waitingArcs(stage: Stage, places: Places): number {
  const witness = stage.slot(place(places, 'witness'));
  return stage.cluster.handle(witness)?.status().arcs.waitingForRoom ?? 0;
}

/** What a story can wait for, or expect. */
export const conditions: readonly Sentence<Test>[] = [
  {
    pattern: 'leader of <range:range> is <slot:slot>',
    run: (stage, places) => {
      const leader = leaderSlot(stage, places);
      return leader === stage.slot(place(places, 'slot')) || `it is ${tellSlot(leader)}`;
    },
  },
  {
    pattern: 'leader of <range:range> is not <slot:slot>',
    run: (stage, places) => {
      const leader = leaderSlot(stage, places);
      return (leader !== undefined && leader !== stage.slot(place(places, 'slot'))) || `it is ${tellSlot(leader)}`;
    },
  },
  {
    pattern: '<range:range> has a leader',
    run: (stage, places) => leaderSlot(stage, places) !== undefined || 'nobody leads',
  },
  {
    pattern: '<range:range> has <count:count> complete copies',
    run: (stage, places) => {
      const range = rangeOf(place(places, 'range'));
      const arc = stage.arcOf(range.chunk, range.volume);
      const voters = stage.leaderOf(arc)?.replica.voters ?? [];
      const count = stage
        .replicasOf(arc)
        .filter(({ id, replica }) => replica.complete && voters.includes(`${id}.${replica.generation}`)).length;
      return count >= Number(place(places, 'count')) || `it has ${count}`;
    },
  },
  {
    pattern: '<slot:slot> holds <range:range>',
    run: completeAt,
  },
  {
    pattern: '<slot:slot> does not hold <range:range>',
    run: (stage, places) => completeAt(stage, places) !== true || 'it does',
  },
  {
    pattern: '<slot:slot> has applied all of <range:range>',
    run: (stage, places) => {
      const found = appliedAt(stage, places);
      if (typeof found === 'string') return found;
      return found.applied >= found.committed || `applied ${found.applied}, committed ${found.committed}`;
    },
  },
  {
    pattern: '<slot:slot> is behind on <range:range>',
    run: (stage, places) => {
      const found = appliedAt(stage, places);
      if (typeof found === 'string') return found;
      return found.applied < found.committed || `applied ${found.applied}, committed ${found.committed}`;
    },
  },
  {
    pattern: 'redundancy is full',
    run: (stage) => {
      const reasons = stage.whyNotWhole();
      return reasons.length === 0 || reasons.join('; ');
    },
  },
  {
    pattern: '<slot:slot> is <state:label>',
    run: (stage, places) => {
      const state = stage.cluster.state(stage.slot(place(places, 'slot')));
      return state === place(places, 'state') || `it is ${state}`;
    },
  },
  {
    pattern: '<witness:slot> sees <slot:slot> as <state:state>',
    run: (stage, places) => {
      const view = viewOf(stage, places);
      if (typeof view === 'string') return view;
      const state = view.get(stage.slot(place(places, 'slot'))) ?? 'unknown';
      return state === place(places, 'state') || `it is ${state}`;
    },
  },
  {
    pattern: '<witness:slot> says that <slot:slot> is safe to pull',
    run: (stage, places) => {
      const witness = stage.slot(place(places, 'witness'));
      const slot = stage.slot(place(places, 'slot'));
      const status = stage.cluster.handle(witness)?.status();
      const row = status?.slots.find((found) => found.slot === slot);
      return row?.safeToPull === true || (row?.why ?? `slot ${witness} doesn't answer`);
    },
  },
  {
    pattern: '<label:label> is answered',
    run: (stage, places) => stage.task(place(places, 'label')).answer !== '' || 'it is not',
  },
  {
    pattern: '<label:label> is unanswered',
    run: (stage, places) => {
      const { answer } = stage.task(place(places, 'label'));
      return answer === '' || `it was told ${answer}`;
    },
  },
  {
    pattern: 'event <event:event> of <slot:slot>',
    run: (stage, places) => {
      const slot = stage.slot(place(places, 'slot'));
      const kind = place(places, 'event');
      const found = stage.cluster.events.some((record) => record.slot === slot && record.event.kind === kind);
      return found || `slot ${slot} recorded no ${kind}`;
    },
  },
  {
    pattern: 'every arc has <count:count> complete copies',
    run: (stage, places) => shortArc(stage, Number(place(places, 'count'))) ?? true,
  },
  {
    pattern: '<slot:slot> holds no copies',
    run: (stage, places) => {
      const slot = stage.slot(place(places, 'slot'));
      const held = stage.cluster.inspections().find((one) => one.slot === slot)?.replicas.length ?? 0;
      return held === 0 || `it holds ${held}`;
    },
  },
  {
    pattern: 'no flash is above <percent:number> %',
    run: (stage, places) => {
      const share = Number(place(places, 'percent')) / 100;
      const fuller = fillsOf(stage).find(({ usedBytes, sizeBytes }) => usedBytes > share * sizeBytes);
      return fuller === undefined || `slot ${fuller.slot} holds ${fuller.usedBytes} of ${fuller.sizeBytes} bytes`;
    },
  },
  {
    pattern: '<witness:slot> says that arcs wait for room',
    run: (stage, places) => waitingArcs(stage, places) > 0 || 'none waits',
  },
  {
    pattern: '<witness:slot> says that no arc waits for room',
    run: (stage, places) => {
      const waiting = waitingArcs(stage, places);
      return waiting === 0 || `${waiting} wait`;
    },
  },
  {
    pattern: '<count:count> messages are held',
    run: (stage, places) => {
      let count = 0;
      for (const hold of stage.hardware.wires.holds) count += hold.held.length;
      return count >= Number(place(places, 'count')) || `${count} are`;
    },
  },
];
