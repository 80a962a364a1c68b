import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOptions, replayCommand } from '../../src/sim/options.ts';

test('the command that a failure prints means the same run', () => {
  const asked = parseOptions([
    '--seed',
    '99',
    '--slots',
    '6',
    '--ops',
    '10',
    '--faults',
    'crash,pause',
    '--volume',
    '4MiB',
  ]);
  assert(typeof asked !== 'string');
  const words = replayCommand(asked, 99).replace('npm run sim -- ', '').split(' ');
  assert.deepEqual(parseOptions(words), asked);
  const usual = parseOptions([]);
  assert(typeof usual !== 'string');
  assert.deepEqual(parseOptions(replayCommand(usual, 1).replace('npm run sim -- ', '').split(' ')), usual);
});

test('bad arguments get one clear line', () => {
  const bad = [
    ['--sed', '1'],
    ['seed'],
    ['--slots', '2'],
    ['--slots', '4.5'],
    ['--arcs', '12'],
    ['--copies', '9'],
    ['--volume', '7'],
    ['--ops', ''],
    ['--faults', 'fire'],
    ['--seeds', '9..3'],
    ['--seed', 'x'],
    ['--runs', '0'],
    ['--minutes', '-1'],
    ['--seed', '1', '--minutes', '1'],
  ];
  for (const args of bad) assert.equal(typeof parseOptions(args), 'string', args.join(' '));
});
