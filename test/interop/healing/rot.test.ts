import assert from 'node:assert/strict';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { flashFile } from '../../../src/chassis/layout.ts';
import type { ScrubRound } from '../../../src/healing/scrub.ts';
import type { EventRecord } from '../../../src/ports/events.ts';
import { startChassis } from '../chassis.ts';
import { ensureClient } from '../clients.ts';
import { runFio } from '../fio.ts';
import { type PageUse, pageUses } from './flash-places.ts';

/** 10000 is what the project promises; the default keeps the whole run short. */
const flips = Number(process.env['CORELET_ROT_BYTES'] ?? '1500');
const sizeBytes = 64 * 1024 * 1024;
const pageBytes = 4096;
const pieceBytes = 1024 * 1024;
const zeros = Buffer.alloc(pageBytes);
const victim = 2;

/** Positions of the pages of a file that hold something. */
function writtenPages(path: string): number[] {
  const file = openSync(path, 'r');
  try {
    const piece = Buffer.alloc(pieceBytes);
    const written: number[] = [];
    for (let from = 0; readSync(file, piece, 0, pieceBytes, from) > 0; from += pieceBytes) {
      for (let at = 0; at < pieceBytes; at += pageBytes)
        if (!piece.subarray(at, at + pageBytes).equals(zeros)) written.push(from + at);
      piece.fill(0);
    }
    return written;
  } finally {
    closeSync(file);
  }
}

/** Flips one bit each of bytes at random places of a file, where it holds something, and counts what they were for. */
async function rot(path: string, count: number, hit: Map<PageUse, number>): Promise<number> {
  const written = writtenPages(path);
  const useOf = await pageUses(path, written);
  const file = openSync(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    for (let i = 0; i < count; i++) {
      const page = written[Math.floor(Math.random() * written.length)] as number;
      const at = page + Math.floor(Math.random() * pageBytes);
      readSync(file, byte, 0, 1, at);
      byte[0] = (byte[0] as number) ^ (1 << Math.floor(Math.random() * 8));
      writeSync(file, byte, 0, 1, at);
      hit.set(useOf(page), (hit.get(useOf(page)) ?? 0) + 1);
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
  let chassis = await startChassis({ slots: 4, volume: 'demo:64MiB' });
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
  const hit = new Map<PageUse, number>();
  const beganMs = performance.now();
  for (let wave = 0; wave < 3; wave++) {
    pages = await rot(join(chassis.data, flashFile(victim)), Math.ceil(flips / 3), hit);
    await scrub();
  }
  const result = await running;
  assert.equal(result.errors, 0, 'the host saw no error, and what it had written');

  const last = await scrub();
  const tookMs = performance.now() - beganMs;
  assert.equal(last.total.badBlocks, 0, `nothing bad is left: ${JSON.stringify(last)}`);
  assert.equal(last.total.unsettled + last.total.differing, 0, JSON.stringify(last));
  const whole = { rw: 'read', blockSizeBytes: 1024 * 1024, queueDepth: 2, sizeBytes, seconds: 0 } as const;
  await runFio({ ...whole, uri: chassis.nbdUri(1) });

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
  const own = events.filter(({ kind }) => kind === 'flash.own-repaired');
  const tables = own.reduce((sum, { data = {} }) => sum + Number(data['tables']) + Number(data['superblocks']), 0);
  // What nobody reads while it runs, a restart reads: superblocks, checkpoints, the log's tail.
  await chassis.cutPower();
  const { data, nbdPort, iscsiPort, nvmePort, nvmeDiscoveryPort, adminPort } = chassis;
  const ports = { nbdPort, iscsiPort, nvmePort, nvmeDiscoveryPort, adminPort };
  chassis = await startChassis({ slots: 4, volume: 'demo:64MiB', data, ...ports });
  await chassis.full();
  const again = await scrub();
  assert.equal(again.total.badBlocks + again.total.unsettled + again.total.differing, 0, JSON.stringify(again));
  await runFio({ ...whole, uri: chassis.nbdUri(victim) });
  const uses = [...hit].map(([use, count]) => `${count} in ${use}`).join(', ');
  t.diagnostic(
    `${flips} bytes flipped on ${pages} written pages of slot ${victim} (${uses}): ${bad.length} bad blocks, all mended, ${tables} copies of checkpoint tables and superblocks written anew, ${(tookMs / 1000).toFixed(1)} s from the first to the end of the last scrub`,
  );
  t.diagnostic(`${result.ios} verified writes meanwhile, longest I/O ${result.longestMs.toFixed(0)} ms`);
});
