import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { coreletCommand, type DemoChassis, freePorts, startChassis } from '../chassis.ts';
import { type Finished, run } from '../commands.ts';
import { NbdConnection } from '../nbd-connection.ts';

const exitCodes = { failed: 1, usage: 2, notFound: 3, unsafe: 4, conflict: 6 } as const;

/** A refusal a person can act on: one line on stderr, nothing on stdout, no stack. */
function refused(finished: Finished, code: number): void {
  const told = `exit code ${finished.code}\n${finished.stdout}${finished.stderr}`;
  assert.equal(finished.code, code, told);
  assert.equal(finished.stdout, '', told);
  // A line with the next command to try may follow; a stack never does.
  assert.ok(finished.stderr.trimEnd().split('\n').length <= 2, told);
  assert.doesNotMatch(finished.stderr, /^\s+at /m, told);
}

describe('the demo refuses, and changes nothing', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'corelet-bad-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const demo = (...args: string[]) =>
    run(coreletCommand, ['demo', '--data', join(folder, 'data'), ...args], { limitMs: 30_000 });

  for (const [why, args] of [
    ['an unknown option', ['--slotz', '6']],
    ['a size that is no size', ['--volume', 'demo:lots']],
    ['a size of nothing', ['--volume', 'demo:0']],
    ['a volume without a size', ['--volume', 'demo']],
    ['slots that are no number', ['--slots', 'six']],
    ['no slots', ['--slots', '0']],
    ['a port that is none', ['--nbd-port', '70000']],
    ['an argument too many', ['please']],
  ] as const) {
    test(why, async () => {
      refused(await demo(...args), exitCodes.usage);
      assert.deepEqual(readdirSync(folder), [], 'no data folder was made');
    });
  }

  test('an unknown command', async () => {
    refused(await run(coreletCommand, ['destroy-everything']), exitCodes.usage);
  });

  test('a port in use', async () => {
    const port = await freePorts(6);
    const server = createServer().listen(port + 2, '127.0.0.1');
    try {
      const finished = await demo(
        '--slots',
        '6',
        '--nbd-port',
        String(port),
        '--admin-port',
        String(await freePorts(6, port)),
      );
      refused(finished, exitCodes.conflict);
      assert.match(finished.stderr, new RegExp(`\\b${port + 2}\\b`), 'says which');
    } finally {
      server.close();
    }
  });

  test('a folder that is something else', async () => {
    const other = join(folder, 'other');
    rmSync(other, { recursive: true, force: true });
    mkdirSync(other);
    writeFileSync(join(other, 'chassis.json'), '{"formatVersion":999,"slots":[]}');
    const finished = await run(coreletCommand, ['demo', '--data', other], { limitMs: 30_000 });
    assert.notEqual(finished.code, 0);
    assert.deepEqual(readdirSync(other), ['chassis.json'], 'nothing was changed');
    rmSync(other, { recursive: true });
  });
});

describe('a running chassis refuses, and changes nothing', () => {
  let chassis: DemoChassis;
  before(async () => {
    chassis = await startChassis({ slots: 3, volume: 'demo:16MiB' });
  });
  after(() => chassis.stop());

  const volumes = async () => (await chassis.corelet(['volume', 'list', '--json'])).stdout;

  for (const [why, args, code] of [
    ['a volume that exists', ['volume', 'create', 'demo', '16MiB'], exitCodes.conflict],
    ['a volume that does not exist', ['volume', 'show', 'nothing'], exitCodes.notFound],
    ['a size that is no size', ['volume', 'create', 'other', 'plenty'], exitCodes.usage],
    ['a slot that the chassis has not', ['slot', 'pull', '77'], exitCodes.notFound],
    ['why of a slot that the chassis has not', ['why', '77'], exitCodes.notFound],
    ['why of an arc that the chassis has not', ['why', 'arc', '9999'], exitCodes.notFound],
    ['a slot that is no number', ['slot', 'pull', 'x'], exitCodes.usage],
    ['an unknown option', ['status', '--verbose-please'], exitCodes.usage],
    ['a slot that is taken', ['slot', 'insert', '1'], exitCodes.conflict],
  ] as const) {
    test(why, async () => {
      const volumesBefore = await volumes();
      refused(await chassis.corelet(args), code);
      assert.equal(await volumes(), volumesBefore);
    });
  }

  test('an I/O past the end gets the protocol error, and the connection lives on', async () => {
    const connection = await NbdConnection.open(chassis.nbdPort, 'demo');
    const end = connection.sizeBytes;
    await assert.rejects(connection.write(end, Buffer.alloc(4096)), /NBD error 28/); // ENOSPC
    await assert.rejects(connection.read(end - 512, 1024), /NBD error 22/); // EINVAL
    assert.equal((await connection.read(0, 512)).length, 512);
    connection.close();
  });

  test('an export that does not exist', async () => {
    await assert.rejects(NbdConnection.open(chassis.nbdPort, 'nothing'), /refused/);
  });

  // Last: the chassis is below three Corelets from here on.
  test('fewer than three live Corelets: no volume is made, and it says what is missing', async () => {
    assert.equal((await chassis.corelet(['slot', 'pull', '2', '--force'])).code, 0);
    refused(await chassis.corelet(['slot', 'pull', '2']), exitCodes.notFound);
    await chassis.until('slot 2 missed', 30_000, ({ slots }) =>
      slots.some(({ slot, state }) => slot === 2 && state !== 'live'),
    );
    const finished = await chassis.corelet(['volume', 'create', 'other', '16MiB']);
    refused(finished, exitCodes.unsafe);
    assert.match(finished.stderr, /2|one|1/, 'says what is missing');
  });
});
