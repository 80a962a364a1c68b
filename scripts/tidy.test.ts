import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { codeFiles, filesUnder, namedFiles, projectReferences, root, withoutComments } from './source-tree.ts';

// Rules that neither the compiler nor the linter knows. Lengths of functions, default exports and cycles are the linter's.

const linesMax = 500;
const linesWanted = 400;

const bannedWords = [
  { pattern: /\w*Managers?\b/, instead: 'what it does: Registry, Pool, Scheduler, Supervisor …' },
  { pattern: /\b\w*Helpers?\b/, instead: 'what it gives, or a function with a name' },
  { pattern: /\w*Util(?:s|ity|ities)?\b/, instead: 'the thing it works on: bytes, sizes, ports …' },
  { pattern: /Handler\d/, instead: 'what distinguishes the second from the first' },
  { pattern: /\bTODO\b/, instead: 'the code, or a line in the limits of README.md' },
  { pattern: /\b(?:FIXME|XXX|HACK)\b/, instead: 'the repair' },
  { pattern: /@ts-(?:ignore|nocheck)/, instead: 'a type that says what is known' },
  { pattern: /\bissue #?\d+\b/i, instead: 'what it was about: trackers move, code stays' },
] as const;

const bannedFileNames = /(?:^|\/)(?:utils?|helpers?|misc|common|manager)(?:\.|\/)/i;

const bannedCode = [
  { pattern: /^\s*export\s+default\b/m, instead: 'a named export' },
  { pattern: /^\s*(?:export\s+)?(?:declare\s+)?(?:const\s+)?enum\s/m, instead: 'an `as const` object' },
  { pattern: /^\s*(?:export\s+)?namespace\s/m, instead: 'a module' },
  { pattern: /\b(?:test|it|describe|suite)\.only\(/, instead: 'the whole suite' },
] as const;

/** Folders that touch the machine. Everything else in src/ is told the time, chance, flash and fabric. */
const machineFolders = new Set(['platform', 'admin', 'chassis', 'cli', 'sim', 'dashboard']);
const machineNames =
  /\b(?:Date\.now|new Date\(\)|Math\.random|performance\.now|setTimeout|setInterval|setImmediate|Buffer)\b|\bprocess\.|'node:/;

const code = codeFiles();
const self = 'scripts/tidy.test.ts';

function complain(rule: string, complaints: readonly string[]): void {
  if (complaints.length > 0) assert.fail(`${rule}:\n  ${complaints.join('\n  ')}`);
}

function lineOf(text: string, at: number): number {
  return text.slice(0, at).split('\n').length;
}

test('a file can be read in one sitting', (t) => {
  const complaints: string[] = [];
  for (const { path, text } of code) {
    const lines = text.split('\n').length - 1;
    if (lines > linesMax) complaints.push(`${path}: ${lines} lines; the limit is ${linesMax}: it asks for a new room`);
    else if (lines > linesWanted) t.diagnostic(`${path}: ${lines} lines, ${linesWanted} wanted`);
  }
  complain('too long', complaints);
});

test('names say what a thing is, and nothing is left for later', () => {
  const complaints: string[] = [];
  for (const { path, text } of code) {
    if (bannedFileNames.test(path)) complaints.push(`${path}: a file is named after what is in it`);
    if (path === self) continue;
    for (const { pattern, instead } of bannedWords) {
      const match = pattern.exec(text);
      if (match) complaints.push(`${path}:${lineOf(text, match.index)}: ${match[0]}: write ${instead}`);
    }
    for (const { pattern, instead } of bannedCode) {
      const match = pattern.exec(withoutComments(text));
      if (match) complaints.push(`${path}:${lineOf(text, match.index)}: ${match[0].trim()}: write ${instead}`);
    }
  }
  complain('banned', complaints);
});

test('the core is told the time: no clock, chance or machine below the composition root', () => {
  const complaints: string[] = [];
  for (const { path, text } of code) {
    const [top, folder] = path.split('/');
    if (top !== 'src' || machineFolders.has(folder as string)) continue;
    const match = machineNames.exec(withoutComments(text));
    if (match) complaints.push(`${path}:${lineOf(text, match.index)}: ${match[0]}: take it from ports/`);
  }
  complain('not simulated, so not tested', complaints);
});

test('the simulator is deterministic: nothing but the programs around it asks for the date or chance', () => {
  const complaints: string[] = [];
  for (const { path, text } of code) {
    if (!path.startsWith('src/sim/') || /^src\/sim\/(?:main|crew|crew-worker|mutations\/hunt)\.ts$/.test(path))
      continue;
    const match = /\b(?:Date\.now|Math\.random|setTimeout|setInterval)\b/.exec(withoutComments(text));
    if (match)
      complaints.push(`${path}:${lineOf(text, match.index)}: ${match[0]}: a seed would no longer replay a run`);
  }
  complain('not replayable', complaints);
});

test('ARCHITECTURE.md shows the house as the compiler enforces it', () => {
  const table = new Map<string, string[]>();
  const document = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
  for (const match of document.matchAll(/^\| `(\w+)\/` \|[^|]*\| ([^|]*) \|$/gm)) {
    const imports = (match[2] as string).split(' ').filter((name) => name !== '' && name !== 'nothing');
    table.set(match[1] as string, imports.sort());
  }
  assert.deepEqual(
    Object.fromEntries(table),
    Object.fromEntries(projectReferences()),
    'the folder table in ARCHITECTURE.md and the references in src/*/tsconfig.json differ',
  );
});

test('every file is reached from a program, the page or a test', () => {
  const byPath = new Map(code.map((file) => [file.path, file]));
  const programs = [
    'src/cli/main.ts',
    'src/sim/main.ts',
    'src/dashboard/main.ts',
    'bench/main.ts',
    'bench/store/main.ts',
    'bench/flash.ts',
    'bench/failover.ts',
    'bench/cost.ts',
    'bench/idle.ts',
    'bench/membership.ts',
    'bench/misfits.ts',
    'bench/protocols.ts',
    'bench/pulls.ts',
    'bench/rebuild.ts',
  ];
  // What a person runs by hand says so in its first line.
  const byHand = code.filter(
    ({ path, text }) => text.startsWith(`// node ${path}`) || path === 'src/admin/errors-page.ts',
  );
  const tests = code.filter(({ path }) => path.endsWith('.test.ts'));
  const waiting = [...programs, ...[...byHand, ...tests].map(({ path }) => path)];
  const reached = new Set<string>();
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const file = byPath.get(path);
    if (file === undefined || reached.has(path)) continue;
    reached.add(path);
    waiting.push(...namedFiles(file));
  }
  complain(
    'nothing uses',
    [...byPath.keys()].filter((path) => !reached.has(path)),
  );
});

test('every invariant has an assert in the code and a checker in the simulator', () => {
  const document = readFileSync(join(root, 'docs/invariants.md'), 'utf8');
  const rows = [...document.matchAll(/^\| (INV-\d+) \|([^|]*)\|([^|]*)\|([^|]*)\|$/gm)];
  assert.ok(rows.length > 0, 'docs/invariants.md has no table of invariants');
  const product = code.filter(({ path }) => path.startsWith('src/') && !path.startsWith('src/sim/'));
  const byPath = new Map(code.map((file) => [file.path, file.text]));
  const complaints: string[] = [];
  for (const [, name, , asserted = '', checked = ''] of rows) {
    const named = new RegExp(`\\b${name}\\b`);
    const stops = new RegExp(`assert\\([^;]*\\b${name}\\b`);
    const checkers = [...checked.matchAll(/`(src\/sim\/[\w./-]+\.ts)`/g)].map((match) => match[1] as string);
    // What isn't built yet says so in its cell.
    if (!/arrives? with/.test(asserted) && !product.some(({ text }) => stops.test(text))) {
      complaints.push(`${name}: no assert in src/ names it, and its cell doesn't say with what one arrives`);
    }
    if (!/arrives? with/.test(checked) && !checkers.some((path) => named.test(byPath.get(path) ?? ''))) {
      complaints.push(`${name}: none of its checkers (${checkers.join(', ') || 'none'}) names it`);
    }
  }
  complain('invariants without proof', complaints);
});

test('decisions are numbered without gaps, and each says what was chosen and why', () => {
  const decisions = filesUnder('docs/decisions', ['.md']);
  const complaints: string[] = [];
  decisions.forEach(({ path, text }, index) => {
    const number = String(index + 1).padStart(4, '0');
    if (!path.startsWith(`docs/decisions/${number}-`)) complaints.push(`${path}: ${number} is next`);
    for (const part of ['## Why', '## Instead of']) {
      if (!text.includes(`\n${part}\n`)) complaints.push(`${path}: no "${part}"`);
    }
  });
  complain('decisions', complaints);
});

test('every dependency has a decision', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>;
  const decisions = filesUnder('docs/decisions', ['.md'])
    .map(({ text }) => text)
    .join('\n');
  const names = ['dependencies', 'optionalDependencies', 'devDependencies'].flatMap((kind) =>
    Object.keys((manifest[kind] ?? {}) as Record<string, string>),
  );
  complain(
    'no decision names',
    names.filter((name) => !decisions.includes(`\`${name}\``)),
  );
});

test('the tree can be given to a stranger: no paths of one machine, and links lead somewhere', () => {
  const complaints: string[] = [];
  const documents = [...filesUnder('docs', ['.md']), ...topDocuments()];
  for (const { path, text } of [...code, ...documents]) {
    for (const machine of [`${root}/`, `${homedir()}/`]) {
      if (machine !== '//' && text.includes(machine)) complaints.push(`${path}: names ${machine} of this machine`);
    }
  }
  for (const { path, text } of documents) {
    for (const match of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
      const target = join(root, path, '..', match[1] as string);
      if (!existsSync(target)) complaints.push(`${path}: links to ${match[1]}, which isn't there`);
    }
  }
  complain('not ready for strangers', complaints);
});

function topDocuments() {
  return ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].map((path) => ({
    path,
    text: readFileSync(join(root, path), 'utf8'),
  }));
}
