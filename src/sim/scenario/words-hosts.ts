import type { OperationKind } from '../history.ts';
import { place, type Places, type Sentence } from './grammar.ts';
import type { Task } from './hosts.ts';
import { Unfulfilled } from './problem.ts';
import { rangeOf } from './range.ts';
import type { Stage } from './stage.ts';
import type { Act } from './story.ts';

/** A host waits this long for an answer before the story counts it as hanging. */
const answerMsMax = 20_000;

interface Asking {
  readonly kind: OperationKind;
  readonly pattern: string;
}

/** What a host can do. */
export const askings: readonly Asking[] = [
  { kind: 'write', pattern: 'write <host:host> via <slot:slot> <range:range> = <value:name>' },
  { kind: 'zero', pattern: 'zero <host:host> via <slot:slot> <range:range>' },
  { kind: 'trim', pattern: 'trim <host:host> via <slot:slot> <range:range>' },
  { kind: 'read', pattern: 'read <host:host> via <slot:slot> <range:range>' },
];

async function ask(stage: Stage, kind: OperationKind, places: Places): Promise<Task> {
  const slot = stage.slot(place(places, 'slot'));
  const host = Number(place(places, 'host').slice(1));
  const range = rangeOf(place(places, 'range'));
  const task = await stage.hosts.begin({ kind, host, slot, range }, answerMsMax);
  if (task === undefined) throw new Unfulfilled(`slot ${slot} (${stage.cluster.state(slot)}) doesn't take commands`);
  if (task === 'NOT_FOUND') throw new Unfulfilled(`slot ${slot} says that there is no such volume`);
  const value = places['value'];
  if (value !== undefined) {
    if (stage.values.has(value)) throw new Unfulfilled(`${value} is the name of an earlier write: each has its own`);
    stage.values.set(value, task.operation.number);
  }
  return task;
}

async function answered(stage: Stage, task: Task): Promise<void> {
  if (await stage.until(() => task.answer !== '', answerMsMax)) return;
  throw new Unfulfilled(`no answer within ${answerMsMax / 1000} s`);
}

/** `outcomes`: `ok`, or codes of volume/block-device.ts, or GATEWAY_DIED, joined by ` or `. */
function compareOutcome(task: Task, outcomes: string): void {
  if (!outcomes.split(' or ').includes(task.answer)) throw new Unfulfilled(`was told ${task.answer}`);
}

function compareValues(stage: Stage, task: Task, names: string): void {
  compareOutcome(task, 'ok');
  const wanted = new Set(names.split(' or ').map((name) => stage.value(name)));
  const [first = -1] = task.values;
  const other = task.values.find((value) => !wanted.has(value) || value !== first);
  if (other !== undefined) {
    throw new Unfulfilled(`read ${task.values.map((value) => stage.nameOfValue(value)).join(', ')}`);
  }
}

function sentencesOf({ kind, pattern }: Asking): readonly Sentence<Act>[] {
  const now: Act = async (stage, places) => {
    const task = await ask(stage, kind, places);
    await answered(stage, task);
    compareOutcome(task, places['outcomes'] ?? 'ok');
  };
  const sentences: Sentence<Act>[] = [
    { pattern, run: now },
    { pattern: `${pattern} -> <outcomes:outcomes>`, run: now },
    {
      pattern: `begin <label:label>: ${pattern}`,
      run: async (stage, places) => {
        const label = place(places, 'label');
        if (stage.tasks.has(label)) throw new Unfulfilled(`${label} was begun before`);
        stage.tasks.set(label, await ask(stage, kind, places));
      },
    },
  ];
  if (kind === 'read') {
    sentences.push({
      pattern: `${pattern} = <values:values>`,
      run: async (stage, places) => {
        const task = await ask(stage, kind, places);
        await answered(stage, task);
        compareValues(stage, task, place(places, 'values'));
      },
    });
  }
  return sentences;
}

export const hostSentences: readonly Sentence<Act>[] = [
  ...askings.flatMap(sentencesOf),
  {
    pattern: 'finish <label:label>',
    run: async (stage, places) => {
      const task = stage.task(place(places, 'label'));
      await answered(stage, task);
      compareOutcome(task, 'ok');
    },
  },
  {
    pattern: 'finish <label:label> -> <outcomes:outcomes>',
    run: async (stage, places) => {
      const task = stage.task(place(places, 'label'));
      await answered(stage, task);
      compareOutcome(task, place(places, 'outcomes'));
    },
  },
  {
    pattern: 'finish <label:label> = <values:values>',
    run: async (stage, places) => {
      const task = stage.task(place(places, 'label'));
      await answered(stage, task);
      compareValues(stage, task, place(places, 'values'));
    },
  },
  {
    pattern: 'open <volume:volume> at <slot:slot>',
    run: async (stage, places) => {
      const slot = stage.slot(place(places, 'slot'));
      const opened = await stage.engine.settle(stage.hosts.device(slot, place(places, 'volume')), answerMsMax);
      if (opened?.value === undefined || opened.value === 'NOT_FOUND') throw new Unfulfilled('it did not open');
    },
  },
  {
    pattern: 'create <volume:volume>',
    run: (stage, places) => stage.createVolume(place(places, 'volume')),
  },
  {
    pattern: 'delete <volume:volume> via <slot:slot>',
    run: async (stage, places) => {
      const name = place(places, 'volume');
      const handle = stage.cluster.handle(stage.slot(place(places, 'slot')));
      if (handle === undefined) throw new Unfulfilled('that slot does not run');
      const result = await stage.engine.settle(handle.volumes.delete(name), answerMsMax);
      if (result?.value.ok !== true) throw new Unfulfilled(`it answered ${JSON.stringify(result?.value)}`);
      stage.volumes.delete(name);
    },
  },
];
