import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { conditions } from '../../src/sim/scenario/conditions.ts';
import { language } from '../../src/sim/scenario/language.ts';
import { play, storyOf, tellPlay } from '../../src/sim/scenario/play.ts';
import { StoryProblem } from '../../src/sim/scenario/problem.ts';
import { headSentences } from '../../src/sim/scenario/story.ts';

// Each story is a schedule that has broken a real system, or a draft of this one (docs/protocol.md). Whoever makes one fail
// loses an acknowledged write, brings one back, or leaves a host or an arc hanging. After its last line everything is mended,
// and every checker of the simulator judges.

const folder = 'test/scenarios';
const seeds = [1, 2, 3, 4, 5];
/** Seeds that showed something once. */
const oldSeeds: Readonly<Record<string, readonly number[]>> = {
  // The cleaner waited for garbage that never came, and a full device refused every copy.
  '14-cleaning-checkpoint-crash-replay': [9, 38],
};

const files = readdirSync(folder)
  .filter((name) => name.endsWith('.txt'))
  .sort();

for (const file of files) {
  const name = file.replace(/\.txt$/, '');
  const story = storyOf(`${folder}/${file}`, readFileSync(`${folder}/${file}`, 'utf8'));
  test(`story ${name}: ${story.title}`, async () => {
    for (const seed of [...seeds, ...(oldSeeds[name] ?? [])]) {
      const report = await play(story, seed);
      assert(report.problem === undefined && report.violations.length === 0, tellPlay(story, report));
    }
  });
}

test('a story plays the same way each time, so that a failure can be looked at', async () => {
  const file = `${folder}/02-paused-leader-wakes.txt`;
  const story = storyOf(file, readFileSync(file, 'utf8'));
  const [first, second] = [await play(story, 7), await play(story, 7)];
  assert.equal(first.traceHash, second.traceHash);
  assert.equal(first.events, second.events);
});

test('a story that says what is not so fails, with its line', async () => {
  const told = ['cluster 3 slots 2 arcs 3 copies', 'write h1 via 0 block 3 = A', 'read h1 via 1 block 3 = zeros'];
  const report = await play(storyOf('made-up.txt', told.join('\n')), 1);
  assert.match(report.problem ?? '', /^made-up\.txt:3: .*read A$/);
});

test('what nobody understands is told with file and line, and what could have been meant', () => {
  const text = 'cluster 3 slots 2 arcs 3 copies\n\npause the leader\n';
  assert.throws(
    () => storyOf('made-up.txt', text),
    (error) => error instanceof StoryProblem && error.line === 3 && error.message.includes('pause <slots:slots>'),
  );
  assert.throws(() => storyOf('made-up.txt', '# nothing\n'), StoryProblem);
});

test('the README of the stories names every sentence of the language', () => {
  const readme = readFileSync(`${folder}/README.md`, 'utf8');
  const plain = (pattern: string) => pattern.replaceAll(/<(\w+):\w+>/g, '<$1>');
  const plainer = [...language, ...conditions].map(({ pattern }) => pattern);
  const missing = [...headSentences, ...plainer]
    .filter((pattern) => !/^(wait until|expect|begin)/.test(pattern))
    .map(plain)
    .filter((pattern) => !readme.includes(`    ${pattern}\n`));
  assert.deepEqual(missing, []);
});
