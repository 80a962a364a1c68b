import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startChassis } from '../chassis.ts';
import { ensureClient } from '../clients.ts';
import { run, runWell } from '../commands.ts';

const fileCount = 4000;
/** Debian keeps these commands where only root's PATH leads. */
const env = { PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };

/** A folder as a real one is: many small files, some larger, a few levels. Contents follow from the number. */
function generateFiles(folder: string): void {
  let state = 12345;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  for (let n = 0; n < fileCount; n++) {
    const inside = join(folder, `d${n % 40}`, `e${n % 7}`);
    mkdirSync(inside, { recursive: true });
    const words = new Uint32Array(n % 100 === 0 ? 65_536 : 64 + (next() >>> 20));
    for (let i = 0; i < words.length; i++) words[i] = next();
    writeFileSync(join(inside, `file-${n}`), words);
  }
}

test('a file system image survives two pulls, one after the other, byte for byte', {
  timeout: 280_000,
}, async (t: TestContext) => {
  for (const command of ['qemu-img', 'mkfs.ext4']) {
    if (!(await ensureClient(command))) return t.skip(`${command} is not installed and can't be`);
  }
  const folder = mkdtempSync(join(tmpdir(), 'corelet-image-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const files = join(folder, 'files');
  mkdirSync(files);
  generateFiles(files);
  const image = join(folder, 'image.raw');
  await runWell('mkfs.ext4', ['-q', '-d', files, image, '256M'], { env });

  const chassis = await startChassis({ volume: 'demo:256MiB' });
  t.after(() => chassis.stop());
  const written = await runWell('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', '-n', image, chassis.nbdUri(0)]);
  t.diagnostic(`${fileCount} files in an ext4 image of 256 MiB written in ${Math.round(written.tookMs)} ms`);

  for (const slot of [1, 4]) {
    const pulled = await chassis.corelet(['slot', 'pull', String(slot)]);
    assert.equal(pulled.code, 0, pulled.stderr);
    const began = performance.now();
    await chassis.healedWithout(slot, 90_000);
    t.diagnostic(`slot ${slot} pulled: full again after ${Math.round(performance.now() - began)} ms`);
  }
  const compared = await run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', image, chassis.nbdUri(5)]);
  assert.match(compared.stdout, /Images are identical/, compared.stderr);
  assert.equal(compared.code, 0);

  const back = join(folder, 'back.raw');
  await runWell('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', chassis.nbdUri(2), back]);
  const checked = await run('e2fsck', ['-fn', back], { env });
  assert.equal(checked.code, 0, `e2fsck found errors:\n${checked.stdout}${checked.stderr}`);
});
