import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import type { TargetListener } from '../../../src/platform/target-listener.ts';
import { MemoryCatalog, MemoryDevice } from '../../unit/nbd/memory-device.ts';
import { serve } from '../../unit/nbd/serve.ts';
import { pattern } from '../../unit/nbd/session-client.ts';
import { ensureClient } from '../clients.ts';
import { runWell } from '../commands.ts';

const mebi = 1024 * 1024;
const sizeBytes = 64 * mebi;
const folder = mkdtempSync(join(tmpdir(), 'corelet-nbd-'));
const listeners: TargetListener[] = [];
after(async () => {
  for (const listener of listeners) await listener.close();
  rmSync(folder, { recursive: true });
});

interface Served {
  readonly device: MemoryDevice;
  readonly port: number;
  readonly uri: string;
}

async function served(readOnly = false): Promise<Served> {
  const device = new MemoryDevice({ name: 'vol', sizeBytes, readOnly });
  device.remembersCalls = false;
  const listener = await serve(new MemoryCatalog(device));
  listeners.push(listener);
  return { device, port: listener.port, uri: `nbd://127.0.0.1:${listener.port}/vol` };
}

/** A test of a real client, skipped with a sentence where there is none. */
function withClient(command: string, promise: string, body: (served: Served) => Promise<void>): void {
  test(`${command}: ${promise}`, async (t: TestContext) => {
    if (!(await ensureClient(command))) return t.skip(`${command} is not installed and can't be`);
    await body(await served());
  });
}

/** A file with data, holes and odd ends. */
function sparseImage(name: string): string {
  const bytes = new Uint8Array(sizeBytes);
  bytes.set(pattern(3 * mebi + 5), 7);
  bytes.set(pattern(100_000, 2), 20 * mebi + 513);
  bytes.set(pattern(4096, 3), sizeBytes - 4096);
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

withClient('nbdinfo', 'sees size, flags and context as they are', async ({ uri }) => {
  const { stdout } = await runWell('nbdinfo', ['--json', uri]);
  const [info] = (JSON.parse(stdout) as { exports: Record<string, unknown>[] }).exports;
  assert.ok(info !== undefined);
  const { 'export-name': name, 'export-size': size, contexts } = info;
  assert.deepEqual([name, size, contexts], ['vol', sizeBytes, ['base:allocation']]);
  for (const can of ['can_df', 'can_fast_zero', 'can_flush', 'can_fua', 'can_multi_conn', 'can_trim', 'can_zero'])
    assert.equal(info[can], true, can);
  assert.equal(info['is_read_only'], false);
});

withClient('nbdinfo', 'lists the volumes and finds a lone one without a name', async ({ port }) => {
  const list = await runWell('nbdinfo', ['--list', `nbd://127.0.0.1:${port}`]);
  assert.match(list.stdout, /export="vol"/);
  const size = await runWell('nbdinfo', ['--size', `nbd://127.0.0.1:${port}`]);
  assert.equal(size.stdout.trim(), String(sizeBytes));
});

withClient('nbdinfo', 'maps data and holes', async ({ uri, device }) => {
  await device.write(mebi, [pattern(mebi)]);
  const { stdout } = await runWell('nbdinfo', ['--map', '--json', uri]);
  const extents = JSON.parse(stdout) as { offset: number; length: number; type: number }[];
  assert.deepEqual(
    extents.map(({ offset, length, type }) => [offset, length, type]),
    [
      [0, mebi, 3],
      [mebi, mebi, 0],
      [2 * mebi, sizeBytes - 2 * mebi, 3],
    ],
  );
});

withClient('nbdcopy', 'copies an image in and out over several connections, bit for bit', async ({ uri, device }) => {
  const image = sparseImage('in.img');
  await runWell('nbdcopy', ['--connections=4', '--flush', image, uri]);
  assert.ok(readFileSync(image).equals(device.bytes), 'arrived whole');
  const out = join(folder, 'out.img');
  await runWell('nbdcopy', ['--connections=4', uri, out]);
  assert.ok(readFileSync(out).equals(device.bytes), 'left whole');
});

withClient('nbdsh', 'gets errors as numbers, DF in one piece, and unaligned edges right', async ({ uri }) => {
  const script = [
    'import errno',
    'def fails(code, run):',
    '    try: run()',
    '    except nbd.Error as error: assert error.errnum == code, error',
    '    else: raise AssertionError("no error")',
    'h.pwrite(b"abc" * 1000, 4095, nbd.CMD_FLAG_FUA)',
    'assert h.pread(3000, 4095) == b"abc" * 1000',
    'chunks = []',
    'h.pread_structured(1 << 20, 0, lambda b, o, s, e: chunks.append((o, s)), nbd.CMD_FLAG_DF)',
    'assert len(chunks) == 1 and chunks[0] == (0, nbd.READ_DATA), chunks',
    'h.set_strict_mode(0)',
    'fails(errno.ENOSPC, lambda: h.pwrite(b"x" * 512, h.get_size() - 256))',
    'fails(errno.EINVAL, lambda: h.pread(512, h.get_size() - 256))',
    'fails(errno.ENOTSUP, lambda: h.zero(4096, 0, nbd.CMD_FLAG_FAST_ZERO | nbd.CMD_FLAG_NO_HOLE))',
    'h.zero(4096, 0, nbd.CMD_FLAG_FAST_ZERO)',
    'h.trim(1 << 20, 0); h.cache(4096, 0); h.flush()',
    'h.shutdown()',
  ].join('\n');
  await runWell('nbdsh', ['--base-allocation', '-u', uri, '-c', script], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, // Debian's Python, which has the module, before any other
  });
});

withClient('qemu-img', 'converts an image onto the volume, compares it identical and maps it', async ({ uri }) => {
  const image = sparseImage('qemu.img');
  await runWell('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'raw', '-W', '-m', '8', image, uri]);
  const { stdout } = await runWell('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', image, uri]);
  assert.match(stdout, /identical/);
  const map = await runWell('qemu-img', ['map', '--output=json', '-f', 'raw', uri]);
  const extents = JSON.parse(map.stdout) as { length: number; data: boolean }[];
  assert.equal(
    extents.reduce((sum, { length }) => sum + length, 0),
    sizeBytes,
  );
  assert.ok(extents.some(({ data }) => !data) && extents.some(({ data }) => data), 'holes and data');
});

withClient('qemu-io', 'reads its patterns back after writes, zeroes, discards and unaligned edges', async ({ uri }) => {
  const steps = [
    'write -P 7 1M 300k',
    'read -P 7 1M 300k',
    'write -f -P 9 1234 5000',
    'read -P 9 1234 5000',
    'write -z -u 1M 64k',
    'read -P 0 1M 64k',
    'write -z 1130496 4k',
    'read -P 0 1130496 4k',
    'read -P 7 1134592 4k',
    'discard 1M 1M',
    'read -P 0 1M 300k',
    'flush',
    'aio_write -P 3 8M 1M',
    'aio_write -P 4 9M 1M',
    'aio_flush',
    'read -P 3 8M 1M',
    'read -P 4 9M 1M',
  ];
  const { stdout } = await runWell('qemu-io', ['-f', 'raw', ...steps.flatMap((step) => ['-c', step]), uri]);
  assert.doesNotMatch(stdout, /failed|error/i);
});

withClient('nbd-client', 'lists the volumes', async ({ port }) => {
  const { stdout } = await runWell('/usr/sbin/nbd-client', ['-l', '127.0.0.1', String(port)]);
  assert.match(stdout, /^vol/m);
});

interface FioSide {
  readonly iops: number;
  readonly total_ios: number;
}
interface FioReport {
  readonly error: number;
  readonly read: FioSide;
  readonly write: FioSide;
}

async function fio(uri: string, ...args: string[]): Promise<FioReport> {
  const output = join(folder, 'fio.json'); // its standard output has more in it than the report
  const job = ['--name=job', '--ioengine=nbd', `--uri=${uri}`, '--bs=4k', '--iodepth=16'];
  await runWell('fio', [...job, '--output-format=json', `--output=${output}`, ...args]);
  const { jobs } = JSON.parse(readFileSync(output, 'utf8')) as { jobs: FioReport[] };
  assert.ok(jobs[0] !== undefined);
  return jobs[0];
}

withClient('fio', 'verifies every block that it wrote at queue depth 16', async ({ uri }) => {
  const job = await fio(uri, '--rw=randwrite', '--size=32m', '--verify=crc32c', '--verify_fatal=1');
  assert.equal(job.error, 0);
  assert.equal(job.read.total_ios, 8192, 'all blocks were read back');
});

withClient('fio', 'shows what the target itself costs (printed, not judged)', async ({ uri }) => {
  for (const [rw, side] of [
    ['randwrite', 'write'],
    ['randread', 'read'],
  ] as const) {
    const began = process.cpuUsage();
    const { iops, total_ios: ios } = (await fio(uri, `--rw=${rw}`, '--size=64m', '--time_based', '--runtime=2'))[side];
    const { user, system } = process.cpuUsage(began);
    const cpuUs = ((user + system) / ios).toFixed(1);
    console.log(`nbd over memory, 4 KiB ${rw}, queue depth 16: ${Math.round(iops)} IOPS, ${cpuUs} us of CPU each`);
  }
});

test('nbdinfo: a read-only volume says that it is', async (t) => {
  if (!(await ensureClient('nbdinfo'))) return t.skip("nbdinfo is not installed and can't be");
  const { uri } = await served(true);
  await runWell('nbdinfo', ['--is', 'read-only', uri]);
});
