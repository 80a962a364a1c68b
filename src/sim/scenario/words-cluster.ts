import { conditions, type Test } from './conditions.ts';
import { listOf, milliseconds, place, type Places, type Sentence } from './grammar.ts';
import { Unfulfilled } from './problem.ts';
import { rangeOf } from './range.ts';
import type { Stage } from './stage.ts';
import type { Act } from './story.ts';

const waitMsMax = 30_000;

function give(stage: Stage, names: string, slots: readonly number[]): void {
  const wanted = listOf(names);
  if (slots.length < wanted.length) throw new Unfulfilled(`there are only ${slots.length}`);
  wanted.forEach((name, at) => {
    stage.slotNames.set(name, slots[at] as number);
    stage.note(`${name} is slot ${slots[at]}`);
  });
}

async function leaderNow(stage: Stage, places: Places): Promise<number> {
  const range = rangeOf(place(places, 'range'));
  const arc = stage.arcOf(range.chunk, range.volume);
  if (!(await stage.until(() => stage.leaderOf(arc) !== undefined, waitMsMax))) throw new Unfulfilled('nobody leads');
  return stage.leaderOf(arc)?.slot as number;
}

/** Voters of the leader's configuration that run, without the leader, by slot. */
async function followersNow(stage: Stage, places: Places): Promise<readonly number[]> {
  const leader = await leaderNow(stage, places);
  const range = rangeOf(place(places, 'range'));
  const held = stage.replicasOf(stage.arcOf(range.chunk, range.volume));
  const voters = held.find(({ slot }) => slot === leader)?.replica.voters ?? [];
  return held
    .filter(({ slot, id, replica }) => slot !== leader && voters.includes(`${id}.${replica.generation}`))
    .map(({ slot }) => slot);
}

function conditionSentences({ pattern, run: test }: Sentence<Test>): readonly Sentence<Act>[] {
  const wait: Act = async (stage, places) => {
    const limitMs = places['limit'] === undefined ? waitMsMax : milliseconds(places['limit']);
    if (await stage.until(() => test(stage, places) === true, limitMs)) return;
    throw new Unfulfilled(`not within ${limitMs / 1000} s: ${test(stage, places)}`);
  };
  return [
    { pattern: `wait until ${pattern} within <limit:time>`, run: wait },
    { pattern: `wait until ${pattern}`, run: wait },
    {
      pattern: `expect ${pattern} for <span:time>`,
      run: async (stage, places) => {
        const changed = await stage.until(() => test(stage, places) !== true, milliseconds(place(places, 'span')));
        if (changed) throw new Unfulfilled(`no longer: ${test(stage, places)}`);
      },
    },
    {
      pattern: `expect ${pattern}`,
      run: (stage, places) => {
        const found = test(stage, places);
        if (found !== true) throw new Unfulfilled(found);
      },
    },
  ];
}

export const clusterSentences: readonly Sentence<Act>[] = [
  {
    pattern: 'let <name:name> = leader of <range:range>',
    run: async (stage, places) => give(stage, place(places, 'name'), [await leaderNow(stage, places)]),
  },
  {
    pattern: 'let <names:names> = followers of <range:range>',
    run: async (stage, places) => give(stage, place(places, 'names'), await followersNow(stage, places)),
  },
  {
    pattern: 'let <names:names> = slots without <range:range>',
    run: async (stage, places) => {
      const holders = new Set([...(await followersNow(stage, places)), await leaderNow(stage, places)]);
      const { slots } = stage.cluster;
      const others = slots.map(({ index }) => index).filter((index) => !holders.has(index));
      give(stage, place(places, 'names'), others);
    },
  },
  {
    pattern: 'let <name:name> = slot <slot:slot>',
    run: (stage, places) => give(stage, place(places, 'name'), [stage.slot(place(places, 'slot'))]),
  },
  ...conditions.flatMap(conditionSentences),
  {
    pattern: 'drain <slot:slot>',
    run: (stage, places) => {
      const slot = stage.slot(place(places, 'slot'));
      const asked = stage.cluster.handle(slot)?.setMemberState(stage.cluster.slot(slot).id, 'draining');
      if (asked?.ok !== true) throw new Unfulfilled(`slot ${slot} is ${stage.cluster.state(slot)}, or no member`);
    },
  },
  {
    pattern: 'weigh <slots:slots> x<factor:number>',
    run: (stage, places) => {
      for (const slot of stage.slotsIn(place(places, 'slots'))) {
        stage.cluster.steering.setWeight(stage.cluster.slot(slot).id, Number(place(places, 'factor')));
      }
    },
  },
  {
    pattern: 'wait <span:time>',
    run: async (stage, places) => {
      const { engine } = stage;
      await engine.run(engine.nowMs + milliseconds(place(places, 'span')), () => stage.broken());
    },
  },
  {
    pattern: 'it ends broken',
    run: (stage) => {
      stage.endsBroken = true;
    },
  },
];
