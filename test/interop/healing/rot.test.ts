import assert from 'node:assert/strict';
import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ScrubRound } from '../../../src/healing/scrub.ts';
import type { EventRecord } from '../../../src/ports/events.ts';
import { startChassis } from '../chassis.ts';
import { ensureClient } from '../clients.ts';
import { runFio } from '../fio.ts';

/** 10000 is what the project promises; the default keeps the whole run short. */
const flips = Number(process.env['CORELET_ROT_BYTES'] ?? '1500');
const sizeBytes = 64 * 1024 * 1024;
const pageBytes = 4096;
/** The superblocks and checkpoints' anchors lie below; docs/formats/store.md. */
const segmentsPosition = 1024 * 1024;
const victim = 2;

/** Flips one bit each of bytes at random places of a file, where it holds something. */
function rot(path: string, count: number): number {
  const file = openSync(path, 'r+');
  try {
    const page = Buffer.alloc(pageBytes);
    const written: number[] = [];
    const end = segmentsPosition + Math.floor((statSync(path).blocks * 512) / pageBytes) * pageBytes;
    for (let at = segmentsPosition; at < end; at += pageBytes) {
      readSync(file, page, 0, pageBytes, at);
      if (page.some((byte) => byte !== 0)) written.push(at);
    }
    for (let i = 0; i < count; i++) {
      const at =
        (written[Math.floor(Math.random() * written.length)] as number) + Math.floor(Math.random() * pageBytes);
      readSync(file, page, 0, 1, at);
      page[0] = (page[0] as number) ^ (1 << Math.floor(Math.random() * 8));
      writeSync(file, page, 0, 1, at);
    }
    return written.length;
  } finally {
    closeSync(file);
  }
}

interface Scrubbed {
  readonly total: ScrubRound;
  readonly slots: readonly { readonly slot: number; readonly round: ScrubRound }[];
}

test('bytes that rot on one flash while hosts read and write: no error, no wrong byte, all mended, each told by why', {
  timeout: 240_000,
}, async (t: TestContext) => {
  if (!(await ensureClient('fio'))) return t.skip("fio is not installed and can't be");
  const chassis = await startChassis({ slots: 4, volume: 'demo:64MiB' });
  t.after(() => chassis.stop());
  const uri = chassis.nbdUri(0);
  await runFio({ uri, rw: 'write', blockSizeBytes: 1024 * 1024, queueDepth: 2, sizeBytes, seconds: 0 });
  const scrub = async (): Promise<Scrubbed> => {
    const done = await chassis.corelet(['scrub', 'now', '--json', '--wait', '120']);
    assert.equal(done.code, 0, done.stderr + done.stdout);
    return JSON.parse(done.stdout) as Scrubbed;
  };
  const load = {
    uri,
    rw: 'randwrite',
    blockSizeBytes: 4096,
    queueDepth: 4,
    sizeBytes,
    seconds: 12,
    verify: true,
  } as const;
  const running = runFio(load);
  let pages = 0;
  for (let wave = 0; wave < 3; wave++) {
    pages = rot(join(chassis.data, 'slots', String(victim), 'flash.img'), Math.ceil(flips / 3));
    await scrub();
  }
  const result = await running;
  assert.equal(result.errors, 0, 'the host saw no error, and what it had written');

  const last = await scrub();
  assert.equal(last.total.badBlocks, 0, `nothing bad is left: ${JSON.stringify(last)}`);
  assert.equal(last.total.unsettled + last.total.differing, 0, JSON.stringify(last));
  await runFio({
    uri: chassis.nbdUri(1),
    rw: 'read',
    blockSizeBytes: 1024 * 1024,
    queueDepth: 2,
    sizeBytes,
    seconds: 0,
  });

  const why = await chassis.corelet(['why', String(victim), '--json', '--limit', '10000']);
  const { events } = JSON.parse(why.stdout) as { events: EventRecord[] };
  const told = (kind: string): string[] =>
    events
      .filter((event) => event.kind === kind)
      .flatMap(({ arc, data = {} }) =>
        (data['blocks'] as number[]).map((block) => [arc, data['chunk'], block].join('/')),
      );
  const bad = told('flash.bad-block');
  const mended = new Set(told('flash.repaired'));
  assert(bad.length > 0, why.stdout.slice(0, 2000));
  assert.deepEqual(
    bad.filter((block) => !mended.has(block)),
    [],
    'every block that was bad was mended, and both are told',
  );
  t.diagnostic(
    `${flips} bytes flipped on ${pages} written pages of slot ${victim}: ${bad.length} bad blocks, all mended`,
  );
  t.diagnostic(`${result.ios} verified writes meanwhile, longest I/O ${result.longestMs.toFixed(0)} ms`);
});
