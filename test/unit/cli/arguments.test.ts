import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CommandSpec, helpText, parseInvocation } from '../../../src/cli/command.ts';
import { commands } from '../../../src/cli/commands.ts';
import { connectLines } from '../../../src/cli/connect-lines.ts';
import { agrees, demoOptions } from '../../../src/cli/demo-options.ts';
import { CommandFailure, failureLine } from '../../../src/cli/failure.ts';
import { chassisOf } from '../chassis/sample.ts';

function spec(name: string): CommandSpec {
  const found = commands.find((one) => one.name === name);
  assert.ok(found);
  return found;
}

const demo = (...args: string[]) => demoOptions(parseInvocation(spec('demo'), args));

function refused(run: () => unknown, code: string, pattern: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof CommandFailure, String(error));
    assert.equal(error.code, code);
    const line = failureLine(error);
    assert.match(line, pattern);
    assert.ok(!line.includes('\n'), 'one line');
    return true;
  });
}

test('every command has an example in its help, and every changing one a dry run', () => {
  for (const one of commands) {
    assert.match(helpText(one), /Examples:\n {2}corelet /, one.name);
    if (/pull|insert|create|delete|demo/.test(one.name)) assert.ok('dry-run' in one.options, one.name);
  }
});

test('what a command does not know is refused with its usage', () => {
  refused(
    () => parseInvocation(spec('status'), ['--verbose-please']),
    'USAGE',
    /unknown option '--verbose-please'.*usage: corelet status/,
  );
  refused(() => parseInvocation(spec('slot pull'), []), 'USAGE', /SLOT is missing/);
  refused(() => parseInvocation(spec('slot pull'), ['1', '2']), 'USAGE', /unexpected argument '2'/);
  refused(() => parseInvocation(spec('status'), ['--data', 'a', '--data', 'b']), 'USAGE', /--data is given 2 times/);
  refused(() => parseInvocation(spec('status'), ['--data']), 'USAGE', /--data/);
  refused(() => parseInvocation(spec('status'), ['--json=yes']), 'USAGE', /--json/);
});

test('the demo takes what it is given', () => {
  const options = demo(
    '--slots',
    '6',
    '--volume',
    'a:b:256MiB'.replace('a:b', 'scratch'),
    '--nbd-port',
    '20000',
    '--spares',
    '1',
  );
  assert.equal(options.slots, 6);
  assert.equal(options.spares, 1);
  assert.equal(options.copies, 3);
  assert.deepEqual(options.volume, { name: 'scratch', sizeBytes: 256 * 2 ** 20 });
  assert.ok(options.given.has('slots') && !options.given.has('copies'));
});

test('the demo refuses, before it makes anything, what it could not keep', () => {
  refused(() => demo('--slots', 'six'), 'USAGE', /--slots must be a number from 1 to 64, not 'six'/);
  refused(() => demo('--slots', '0'), 'USAGE', /--slots/);
  refused(() => demo('--slots', '65'), 'USAGE', /--slots/);
  refused(() => demo('--slots', '2'), 'USAGE', /3 copies want at least 3 slots/);
  refused(() => demo('--slots', '4', '--spares', '2'), 'USAGE', /besides the 2 spares/);
  refused(() => demo('--volume', 'demo'), 'USAGE', /NAME:SIZE/);
  refused(() => demo('--volume', ':1GiB'), 'USAGE', /NAME:SIZE/);
  refused(() => demo('--volume', '../x:1GiB'), 'USAGE', /can't be a volume's name/);
  refused(() => demo('--volume', 'Demo:1GiB'), 'USAGE', /can't be a volume's name: 1 to 64 of a-z/);
  refused(() => demo('--volume', 'demo:9TiB'), 'BAD_SIZE', /at most 8 TiB/);
  refused(() => demo('--volume', 'demo:9PiB'), 'BAD_SIZE', /'9PiB' is not a size, or beyond 8 PiB/);
  refused(() => demo('--volume', 'demo:lots'), 'BAD_SIZE', /'lots' is not a size.*256MiB/);
  refused(() => demo('--volume', 'demo:0'), 'BAD_SIZE', /above 0/);
  refused(() => demo('--volume', 'demo:1000'), 'BAD_SIZE', /multiple of 512/);
  refused(() => demo('--nbd-port', '70000'), 'USAGE', /--nbd-port/);
  refused(() => demo('--nbd-port', '65535'), 'USAGE', /--nbd-port/);
  refused(() => demo('--nbd-port', '7390'), 'USAGE', /overlap/);
  refused(() => demo('--flash', '1MiB'), 'BAD_SIZE', /too small/);
});

test('flash files are ample for the volume: a rebuild onto fewer slots must fit', () => {
  const volumeBytes = 100 * 2 ** 30;
  const { flashBytes, slots, copies } = demo('--slots', '6', '--volume', 'big:100GiB');
  assert.ok(flashBytes * (slots - 2) > volumeBytes * copies * 2);
});

test('only options that were given can contradict a chassis that exists', () => {
  const chassis = chassisOf(6);
  agrees(chassis, demo());
  agrees(chassis, demo('--slots', '6', '--copies', '3', '--spares', '0'));
  refused(() => agrees(chassis, demo('--slots', '8')), 'FOLDER_MISMATCH', /made with --slots 6, not 8/);
  refused(() => agrees(chassis, demo('--copies', '2')), 'FOLDER_MISMATCH', /--copies 3, not 2/);
});

test('every protocol has a line to paste', () => {
  const [slot] = chassisOf(3).slots;
  assert.ok(slot);
  const [nbd, iscsi, nvme] = connectLines({ ...slot, nvmeDiscovery: '127.0.0.1:8009' }, 'photos');
  assert.equal(nbd, `qemu-img info nbd://${slot.nbd}/photos`);
  assert.match(iscsi, /^iscsi-ls -s iscsi:.*:photos\)$/);
  assert.match(nvme, /-a 127\.0\.0\.1 -s 8009 .*:photos\)$/);
});
