import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { allMutations } from '../../src/sim/mutations/catalogue.ts';
import { hunt } from '../../src/sim/mutations/hunt.ts';
import { coreStory, story } from '../../src/sim/mutations/hunts.ts';
import { codes } from '../../src/wire/peer/codes.ts';
import { storyOf } from '../../src/sim/scenario/play.ts';

// Who changes the protocol reads docs/protocol.md first. If it names what isn't there, it lies about what protects a host's data.

const text = readFileSync('docs/protocol.md', 'utf8');
const rulesMax = 15;
const seedsMax = 3;

interface RuleText {
  readonly number: number;
  readonly body: string;
}

function rules(): readonly RuleText[] {
  const parts = text.split(/^### Rule (\d+): .*$/m).slice(1);
  const found: RuleText[] = [];
  for (let at = 0; at < parts.length; at += 2) {
    const body = (parts[at + 1] as string).split(/^## /m)[0] as string;
    found.push({ number: Number(parts[at]), body });
  }
  return found;
}

function listed(body: string, heading: string): readonly string[] {
  const line = new RegExp(`^- ${heading}: (.*)$`, 'm').exec(body)?.[1] ?? '';
  return [...line.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string);
}

const mutations = new Map(allMutations.map((mutation) => [mutation.name, mutation]));

/** Which story fails with which fault. */
function shown(body: string): readonly { readonly fault: string; readonly told: string }[] {
  const line = /^- Shown: (.*)$/m.exec(body)?.[1] ?? '';
  return [...line.matchAll(/`([^`]+)` by `([^`]+)`/g)].map(([, fault, told]) => ({
    fault: fault as string,
    told: told as string,
  }));
}

test('all fifteen rules are told, in order', () => {
  assert.deepEqual(
    rules().map(({ number }) => number),
    Array.from({ length: rulesMax }, (_, at) => at + 1),
  );
});

for (const { number, body } of rules()) {
  test(`rule ${number} is asserted in the code`, () => {
    const asserts = [...body.matchAll(/^- Asserted in `([^`]+)`: "([^"]+)"$/gm)];
    assert(asserts.length > 0, 'no line "Asserted in"');
    for (const [, file, message] of asserts) {
      const source = readFileSync(file as string, 'utf8');
      const found = [...source.matchAll(/assert\((?:[^;]|\n)*?\);/g)].some(([call]) =>
        call.includes(message as string),
      );
      assert(found, `${file} asserts nothing with the words "${message}"`);
    }
  });

  test(`rule ${number} has scenarios, which name it`, () => {
    const scenarios = listed(body, 'Scenarios');
    assert(scenarios.length > 0);
    const naming = scenarios.filter((name) => {
      const file = `test/scenarios/${name}.txt`;
      return storyOf(file, readFileSync(file, 'utf8')).rules.includes(number);
    });
    assert(naming.length > 0, `none of ${scenarios.join(', ')} says "rule ${number}"`);
  });

  test(`rule ${number} is broken by a mutation, which a story shows`, () => {
    const named = listed(body, 'Mutations');
    assert(named.length > 0);
    const pairs = shown(body);
    assert(pairs.length > 0, 'no line "Shown"');
    const faults = [...named, ...pairs.map(({ fault }) => fault)];
    assert.deepEqual(
      faults.filter((name) => !mutations.has(name)),
      [],
    );
    const told = pairs.map((pair) => `test/scenarios/${pair.told}.txt`);
    assert.deepEqual(
      told.filter((file) => !existsSync(file)),
      [],
    );
  });
}

// A story that passes without the rule that it is about tells nothing.
describe('the story of each rule fails without the rule', { concurrency: 2 }, () => {
  for (const { number, body } of rules()) {
    const [pair] = shown(body);
    const mutation = pair && mutations.get(pair.fault);
    if (pair === undefined || mutation === undefined) continue;
    test(`rule ${number}: ${pair.told} with ${pair.fault}`, async () => {
      const [folder, name] = pair.told.split('/');
      const by = name === undefined ? story(folder as string, seedsMax) : coreStory(name);
      const { verdict } = await hunt({ ...mutation, hunt: by, expect: [...mutation.expect, 'STORY'] });
      assert.equal(verdict.kind, 'caught', 'summary' in verdict ? verdict.summary : `not within ${seedsMax} seeds`);
    });
  }
});

test('every scenario is told of, and every file that is named exists', () => {
  const files = readdirSync('test/scenarios').filter((name) => name.endsWith('.txt'));
  const untold = files.map((name) => name.replace(/\.txt$/, '')).filter((name) => !text.includes(`\`${name}\``));
  assert.deepEqual(untold, []);
  const paths = [...text.matchAll(/`((?:src|test|docs)\/[a-z0-9/.-]+)`/g)].map(([, path]) => path as string);
  const links = [...text.matchAll(/\]\(([a-z0-9/.-]+\.md)\)/g)].map(([, path]) => `docs/${path}`);
  assert.deepEqual(
    [...paths, ...links].filter((path) => !existsSync(path)),
    [],
  );
});

test('every message is in the table', () => {
  const missing = Object.keys(codes).filter((type) => !text.includes(`\`${type}\``));
  assert.deepEqual(missing, []);
});
