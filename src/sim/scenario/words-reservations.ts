import type { ReservationAction } from '../../volume/reservation-actions.ts';
import { place, type Places, type Sentence } from './grammar.ts';
import type { Asked } from './hosts.ts';
import { Unfulfilled } from './problem.ts';
import type { Stage } from './stage.ts';
import type { Act } from './story.ts';
import { answered, compareOutcome } from './words-hosts.ts';

const openMsMax = 20_000;
const none = '0'.repeat(16);

interface Wanting {
  readonly pattern: string;
  readonly action: (id: string, places: Places) => ReservationAction;
}

/** A host is registered under its own name, with a key that is its number. */
function keyOf(host: string): string {
  return host.slice(1).padStart(16, '0');
}

const wantings: readonly Wanting[] = [
  {
    pattern: 'register <host:host> via <slot:slot>',
    action: (id) => ({ kind: 'register', id, key: none, newKey: keyOf(id), ignoreKey: true }),
  },
  {
    pattern: 'reserve <host:host> via <slot:slot>',
    action: (id) => ({ kind: 'reserve', id, key: keyOf(id), type: 'writeExclusiveRegistrants' }),
  },
  {
    pattern: 'preempt <host:host> via <slot:slot> of <other:host>',
    action: (id, places) => ({
      kind: 'preempt',
      id,
      key: keyOf(id),
      victim: keyOf(place(places, 'other')),
      type: 'writeExclusiveRegistrants',
    }),
  },
  { pattern: 'reset <host:host> via <slot:slot>', action: () => ({ kind: 'reset' }) },
];

/** Asks for a change of the reservations of `v`. */
async function want(stage: Stage, { action }: Wanting, places: Places): Promise<Asked> {
  const slot = stage.slot(place(places, 'slot'));
  const host = place(places, 'host');
  const { engine, hosts, cluster } = stage;
  hosts.registrants.add(Number(host.slice(1)));
  const opened = await engine.settle(hosts.device(slot, 'v', Number(host.slice(1))), openMsMax);
  const device = opened?.value;
  if (device === undefined || device === 'NOT_FOUND') throw new Unfulfilled(`it is not open at slot ${slot}`);
  const { reservations } = device;
  const { process } = cluster.slot(slot);
  if (reservations === undefined || process === undefined) throw new Unfulfilled(`slot ${slot} does not run`);
  const task: Asked = { slot, answer: '', values: [] };
  const settle = (answer: string) => {
    if (task.answer === '') task.answer = answer;
  };
  cluster.downListeners.push((down) => down === slot && settle('GATEWAY_DIED'));
  engine.enter(process, () => {
    reservations.change(action(host, places)).then(
      (result) => settle(result.ok ? 'ok' : result.code),
      () => settle('THREW'),
    );
  });
  return task;
}

export const reservationSentences: readonly Sentence<Act>[] = wantings.flatMap((wanting) => {
  const now: Act = async (stage, places) => {
    const task = await want(stage, wanting, places);
    await answered(stage, task);
    compareOutcome(task, places['outcomes'] ?? 'ok');
  };
  const { pattern } = wanting;
  return [
    { pattern, run: now },
    { pattern: `${pattern} -> <outcomes:outcomes>`, run: now },
    {
      pattern: `begin <label:label>: ${pattern}`,
      run: async (stage, places) => {
        stage.tasks.set(place(places, 'label'), await want(stage, wanting, places));
      },
    },
  ];
});
