import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type LoopDevice, makeLoopDevice, noLoopDevices } from '../../contracts/loop-device.ts';
import { coreletCommand, type DemoChassis, startChassis } from '../chassis.ts';
import { type Finished, run } from '../commands.ts';
import { NbdConnection } from '../nbd-connection.ts';

const mebibyte = 1024 * 1024;
const exitCodes = { conflict: 6, unsafe: 4 } as const;

const corelet = (...args: readonly string[]): Promise<Finished> => run(coreletCommand, args, { limitMs: 60_000 });
const digestOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** Different in every block, and from one `seed` to the next. */
function content(bytes: number, seed: number): Buffer {
  return Buffer.from(new Uint8Array(bytes).map((_, i) => (i * 13 + (i >>> 12) * 7 + seed * 101) & 255));
}

describe('a chassis on raw block devices', { skip: noLoopDevices ?? false }, () => {
  const loops: LoopDevice[] = [];
  const data = content(4 * mebibyte, 1);
  let chassis: DemoChassis | undefined;
  let more: readonly string[];

  const running = (): DemoChassis => {
    assert.ok(chassis !== undefined);
    return chassis;
  };
  const device = (i: number): LoopDevice => loops[i] as LoopDevice;

  async function readAll(slot: number): Promise<Buffer> {
    const host = await NbdConnection.open(running().nbdPort + slot, 'demo');
    try {
      return await host.read(0, data.length);
    } finally {
      host.close();
    }
  }

  before(async () => {
    for (let i = 0; i < 4; i++) loops.push(makeLoopDevice(256 * mebibyte));
    more = [0, 1, 2].flatMap((i) => ['--device', device(i).path]);
    chassis = await startChassis({ slots: 3, volume: 'demo:32MiB', more });
  });
  after(async () => {
    await chassis?.stop();
    for (const loop of loops) loop.dispose();
  });

  test('serves from them, and no flash file is made', async () => {
    for (let slot = 0; slot < 3; slot++)
      assert.equal(readlinkSync(join(running().data, `slots/${slot}/flash.img`)), device(slot).path);
    const host = await NbdConnection.open(running().nbdPort, 'demo');
    for (let at = 0; at < data.length; at += 65_536) await host.write(at, data.subarray(at, at + 65_536));
    host.close();
    assert.ok((await readAll(2)).equals(data));
  });

  test('a device that a Corelet has is refused to another one, and can be looked at', async () => {
    const { path } = device(1);
    const second = await corelet('run', '--device', path, '--slot', '9', '--fabric', 'unix:nowhere.sock', ...doors());
    assert.equal(second.code, exitCodes.conflict, second.stderr);
    assert.match(second.stderr, /in use by another process/);
    const looked = await corelet('device', 'inspect', path, '--json');
    assert.equal(looked.code, 0, looked.stdout + looked.stderr);
    const report = JSON.parse(looked.stdout) as Record<string, unknown>;
    assert.deepEqual([report['kind'], report['inUse'], report['badCount']], ['block device', true, 0]);
    assert.equal(report['corelet'], running().slots()[1]?.id);
  });

  test('the Corelet that answers tells the health of its device', async () => {
    const { slots, answeredBy } = JSON.parse((await running().corelet(['status', '--json'])).stdout) as {
      slots: { slot: number; device?: Record<string, number> }[];
      answeredBy: { slot: number };
    };
    assert.deepEqual(
      slots.filter(({ device }) => device !== undefined).map(({ slot }) => slot),
      [answeredBy.slot],
    );
    const health = slots[answeredBy.slot]?.device ?? {};
    const { freeSegments = 0, syncs = 0, syncMsP50 = 0, syncMsP99 = 0, badReads } = health;
    assert.ok(freeSegments > 5 && syncs > 0 && syncMsP50 > 0 && syncMsP99 >= syncMsP50);
    assert.equal(badReads, 0);
    assert.ok((health['temperatureCelsius'] ?? 0) > 0, 'a loop device has no sensor; the chassis says how warm it is');
  });

  test('everything acknowledged is there after the power was cut', async () => {
    await running().cutPower();
    chassis = await startChassis({ slots: 3, volume: 'demo:32MiB', more, data: running().data });
    assert.ok((await readAll(1)).equals(data));
  });

  test('the chassis isn’t started on other devices than it was made with', async () => {
    const { data: folder } = running();
    const other = await corelet('demo', '--data', folder, '--device', device(3).path, '--no-open');
    assert.equal(other.code, exitCodes.conflict);
    assert.match(other.stderr, /slot 0 .* has \/dev\/loop\d+, not \/dev\/loop\d+/);
  });

  test('a device with something else’s data is never formatted unasked', async () => {
    const { path, backing } = device(3);
    // As a file system leaves its mark: nothing in the first sector. The sync is for the backing file's digest.
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.from('53ef0100', 'hex'), 0, 4, 1080);
    fsyncSync(file);
    closeSync(file);
    const before = digestOf(backing);
    const { data: folder } = running();
    assert.equal((await running().corelet(['slot', 'pull', '2', '--force'])).code, 0);
    const insert = ['slot', 'insert', '2', '--blank', '--device', path, '--data', folder];
    for (const [args, code, says] of [
      [insert, exitCodes.conflict, /holds something else's data; nothing was changed/],
      [[...insert, '--overwrite'], exitCodes.unsafe, /no terminal to ask; nothing was changed/],
      [[...insert, '--overwrite', '--confirm', '2'], exitCodes.unsafe, /nothing was changed/],
      [
        ['run', '--device', path, '--slot', '9', '--fabric', 'unix:x.sock', ...doors()],
        exitCodes.conflict,
        /else's data/,
      ],
      [['slot', 'insert', '2', '--blank', '--device', device(0).path, '--data', folder], exitCodes.conflict, /in use/],
    ] as const) {
      const refused = await corelet(...args);
      assert.equal(refused.code, code, refused.stderr);
      assert.match(refused.stderr, says);
    }
    assert.equal(digestOf(backing), before);
    assert.ok(existsSync(join(folder, 'slots/2/flash.img')), 'the module that was pulled is still there');
  });

  test('confirmed, it becomes a blank module, is admitted, and the others fill it', async () => {
    const { path } = device(3);
    const more = ['--blank', '--device', path, '--overwrite', '--confirm', path];
    const inserted = await running().corelet(['slot', 'insert', '2', ...more]);
    assert.equal(inserted.code, 0, inserted.stderr);
    const id = running().slots()[2]?.id;
    await running().until('the new module is a member, all arcs full', 120_000, ({ slots, arcs }) => {
      const isLive = slots.some((slot) => slot.id === id && slot.state === 'live');
      return isLive && arcs.full === arcs.total;
    });
    assert.ok((await readAll(2)).equals(data));
    // The one that was drawn out isn't formatted either: it is a Corelet's.
    const again = await running().corelet(['slot', 'insert', '2', '--blank', '--device', device(2).path, '--dry-run']);
    assert.notEqual(again.code, 0);
  });
});

/** Where a Corelet that is refused would have answered. */
function doors(): readonly string[] {
  return ['--nbd', '127.0.0.1:1', '--admin', '127.0.0.1:1'];
}
