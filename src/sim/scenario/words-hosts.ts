import { chunkBytes } from '../../base/ids.ts';
import type { CoreletHandle, VolumeResult } from '../../corelet/types.ts';
import type { OperationKind } from '../history.ts';
import { place, type Places, type Sentence } from './grammar.ts';
import type { Asked, Task } from './hosts.ts';
import { Unfulfilled } from './problem.ts';
import { rangeOf } from './range.ts';
import type { Stage } from './stage.ts';
import type { Act } from './story.ts';

/** A host waits this long for an answer before the story counts it as hanging. */
const answerMsMax = 20_000;

/** What a host can do. */
interface Asking {
  readonly kind: OperationKind;
  readonly pattern: string;
}

const askings: readonly Asking[] = [
  { kind: 'write', pattern: 'write <host:host> via <slot:slot> <range:range> = <value:name>' },
  {
    kind: 'compare',
    pattern: 'compare <host:host> via <slot:slot> <range:range> with <expected:value> and write <value:name>',
  },
  { kind: 'zero', pattern: 'zero <host:host> via <slot:slot> <range:range>' },
  { kind: 'trim', pattern: 'trim <host:host> via <slot:slot> <range:range>' },
  { kind: 'read', pattern: 'read <host:host> via <slot:slot> <range:range>' },
];

async function ask(stage: Stage, kind: OperationKind, places: Places): Promise<Task> {
  const slot = stage.slot(place(places, 'slot'));
  const host = Number(place(places, 'host').slice(1));
  const range = rangeOf(place(places, 'range'));
  const { expected: name, value } = places;
  const expected = name === undefined ? {} : { expected: stage.value(name) };
  const task = await stage.hosts.begin({ kind, host, slot, range, ...expected }, answerMsMax);
  if (task === undefined) throw new Unfulfilled(`slot ${slot} (${stage.cluster.state(slot)}) doesn't take commands`);
  if (task === 'NOT_FOUND') throw new Unfulfilled(`slot ${slot} says that there is no such volume`);
  if (value !== undefined) {
    if (stage.values.has(value)) throw new Unfulfilled(`${value} is the name of an earlier write: each has its own`);
    stage.values.set(value, task.operation.number);
  }
  return task;
}

export async function answered(stage: Stage, task: Asked): Promise<void> {
  if (await stage.until(() => task.answer !== '', answerMsMax)) return;
  throw new Unfulfilled(`no answer within ${answerMsMax / 1000} s`);
}

/** `outcomes`: `ok`, or codes of volume/block-device.ts, or GATEWAY_DIED, joined by ` or `. */
export function compareOutcome(task: Asked, outcomes: string): void {
  if (!outcomes.split(' or ').includes(task.answer)) throw new Unfulfilled(`was told ${task.answer}`);
}

function compareValues(stage: Stage, task: Asked, names: string): void {
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
      const name = place(places, 'volume');
      const opened = await stage.engine.settle(stage.hosts.device(slot, name), answerMsMax);
      if (opened?.value === undefined || opened.value === 'NOT_FOUND') throw new Unfulfilled('it did not open');
      stage.volumes.set(name, opened.value.id);
    },
  },
  {
    pattern: 'give up <label:label>',
    run: (stage, places) => {
      const asked = stage.task(place(places, 'label'));
      const task = stage.hosts.asked.find((known) => known === asked);
      if (task === undefined) throw new Unfulfilled('that is no command of a host');
      const { process } = stage.cluster.slot(task.slot);
      if (process !== undefined) stage.engine.enter(process, () => task.abandonment.giveUp());
    },
  },
  {
    pattern: 'flush <host:host> via <slot:slot>',
    run: async (stage, places) => {
      const device = await stage.engine.settle(stage.hosts.device(stage.slot(place(places, 'slot')), 'v'), answerMsMax);
      if (device?.value === undefined || device.value === 'NOT_FOUND') throw new Unfulfilled('it is not open there');
      const flushed = await stage.engine.settle(device.value.flush(), answerMsMax);
      if (flushed?.value.ok !== true) throw new Unfulfilled('it did not flush');
    },
  },
  {
    pattern: 'create <volume:volume>',
    run: (stage, places) => stage.createVolume(place(places, 'volume')),
  },
  { pattern: 'create <volume:volume> via <slot:slot>', run: createNow },
  { pattern: 'create <volume:volume> via <slot:slot> -> <outcomes:outcomes>', run: createNow },
  {
    pattern: 'begin <label:label>: create <volume:volume> via <slot:slot>',
    run: (stage, places) => {
      stage.tasks.set(place(places, 'label'), create(stage, places));
    },
  },
  { pattern: 'delete <volume:volume> via <slot:slot>', run: removeNow },
  { pattern: 'delete <volume:volume> via <slot:slot> -> <outcomes:outcomes>', run: removeNow },
  {
    pattern: 'begin <label:label>: delete <volume:volume> via <slot:slot>',
    run: (stage, places) => {
      stage.tasks.set(place(places, 'label'), remove(stage, places));
    },
  },
];

async function createNow(stage: Stage, places: Places): Promise<void> {
  const task = create(stage, places);
  await answered(stage, task);
  compareOutcome(task, places['outcomes'] ?? 'ok');
}

/** Asks one Corelet for a volume. The story may use it once it was opened somewhere. */
function create(stage: Stage, places: Places): Asked {
  const { story } = stage;
  const name = place(places, 'volume');
  const request = { name, sizeBytes: story.chunks * chunkBytes, copies: story.shape.copies };
  return administer(stage, places, (volumes) => volumes.create(request));
}

async function removeNow(stage: Stage, places: Places): Promise<void> {
  const task = remove(stage, places);
  await answered(stage, task);
  compareOutcome(task, places['outcomes'] ?? 'ok');
}

/** Asks for a volume to be deleted. The story counts it as gone from here on. */
function remove(stage: Stage, places: Places): Asked {
  const name = place(places, 'volume');
  stage.volumes.delete(name);
  return administer(stage, places, (volumes) => volumes.delete(name));
}

/** What an administrator asks of one Corelet. */
function administer(
  stage: Stage,
  places: Places,
  ask: (volumes: CoreletHandle['volumes']) => Promise<VolumeResult<unknown>>,
): Asked {
  const slot = stage.slot(place(places, 'slot'));
  const handle = stage.cluster.handle(slot);
  if (handle === undefined) throw new Unfulfilled(`slot ${slot} does not run`);
  const task: Asked = { slot, answer: '', values: [] };
  const settle = (answer: string) => {
    if (task.answer === '') task.answer = answer;
  };
  stage.cluster.downListeners.push((down) => down === slot && settle('GATEWAY_DIED'));
  ask(handle.volumes).then(
    (result) => settle(result.ok ? 'ok' : result.code),
    () => settle('THREW'),
  );
  return task;
}
