import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DemoChassis, startChassis } from '../chassis.ts';
import { eventually } from '../commands.ts';
import { NbdConnection } from '../nbd-connection.ts';

const mebibyte = 1024 * 1024;
const noSpace = /NBD error 28/; // ENOSPC

function pattern(seed: number): Buffer {
  const bytes = Buffer.alloc(mebibyte);
  for (let at = 0; at < mebibyte; at += 512) bytes.writeUInt32LE(seed * 2048 + at / 512, at);
  return bytes;
}

/** Writes MiB after MiB until the volume has no room. Returns how many went in. */
async function fill(host: NbdConnection, from: number): Promise<number> {
  for (let i = from; (i + 1) * mebibyte <= host.sizeBytes; i++) {
    try {
      await host.write(i * mebibyte, pattern(i));
    } catch (error) {
      assert.match(String(error), noSpace);
      return i;
    }
  }
  throw new Error('the volume is larger than the flash, and never was full');
}

test('full flash: no space for new data, said as such; what is there can be read, replaced, trimmed; then there is room', async (t) => {
  const chassis: DemoChassis = await startChassis({ slots: 3, volume: 'demo:1GiB', more: ['--flash', '256MiB'] });
  const host = await NbdConnection.open(chassis.nbdPort, 'demo');
  try {
    const whole = await fill(host, 0);
    t.diagnostic(`${whole} MiB went into three modules of 256 MiB, three copies each`);
    assert.ok(whole > 64);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < whole; i += 5) await host.write(i * mebibyte, pattern(i + 1000 * (round + 1)));
    }
    for (let i = 0; i < whole; i++) {
      const seed = i % 5 === 0 ? i + 3000 : i;
      assert.ok((await host.read(i * mebibyte, mebibyte)).equals(pattern(seed)), `MiB ${i}`);
    }
    await assert.rejects(host.write((whole + 8) * mebibyte, pattern(1)), noSpace);
    for (let i = 0; i < whole / 2; i++) await host.trim(i * mebibyte, mebibyte);
    // Trims are applied, and told to the other leaders, Corelet by Corelet: room comes back piece by piece.
    const enough = whole + 8 + Math.floor(whole / 8);
    let next = whole + 8;
    await eventually(`room for ${enough - next} MiB of new data`, 60_000, async () => {
      next = await fill(host, next);
      return next > enough ? true : undefined;
    });
    assert.ok((await host.read(0, mebibyte)).equals(Buffer.alloc(mebibyte)), 'trimmed data reads as zeros');
    await chassis.full();
  } finally {
    host.close();
    await chassis.stop();
  }
});
