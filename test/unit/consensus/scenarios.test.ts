import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Scenario } from './scenario.ts';

const folder = new URL('../../scenarios/consensus/', import.meta.url);

for (const name of readdirSync(folder)
  .filter((file) => file.endsWith('.txt'))
  .toSorted()) {
  const text = readFileSync(new URL(name, folder), 'utf8');
  const title = text.split('\n', 1)[0]?.replace(/^#\s*/, '') ?? name;
  test(`${name}: ${title}`, () => new Scenario().run(name, text));
}
