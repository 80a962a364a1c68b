import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { EventLog } from '../../../src/admin/events.ts';
import { type AdminServer, listenAdmin } from '../../../src/admin/server.ts';
import { statusRows } from '../../../src/admin/status-words.ts';
import type { ChassisAnswer } from '../../../src/admin/types.ts';
import type { CoreletStatus } from '../../../src/corelet/types.ts';
import { neverScrubbed } from '../../../src/healing/scrub.ts';
import { deviceHealth, type StoreHealth } from '../../../src/store/health.ts';
import { fakeCorelet, idOf, slotStatus, statusOf } from '../../unit/admin/fake-corelet.ts';
import { projectRoot } from '../chassis.ts';
import { ensureClient } from '../clients.ts';
import { run } from '../commands.ts';

// The page as a real browser builds it, from what two Corelets answer: slot 0 serves it, slot 1 knows its own flash only.

const sound: StoreHealth = {
  usedBytes: 0,
  sizeBytes: 2 ** 30,
  syncs: 0,
  syncMsP50: 1,
  syncMsP99: 2,
  syncMsMax: 3,
  badReads: 0,
  damagedMapPages: 0,
  freeSegments: 9,
  badSegments: 0,
  segmentUsesMax: 1,
  segmentUsesMean: 1,
  hostBytes: 0,
  deviceBytes: 0,
  mapBytes: 0,
  tableBytes: 0,
  checkpoint: 1,
  movedBlocks: 0,
  freedSegments: 0,
  failed: false,
};

const answers: CoreletStatus[] = [statusOf(6), statusOf(6)];
const servers: AdminServer[] = [];
let profile = '';

before(async () => {
  const built = await run('sh', [join(projectRoot, 'scripts', 'ensure.sh'), 'build'], { limitMs: 120_000 });
  assert.equal(built.code, 0, built.stderr);
  const peers = (): ChassisAnswer['slots'] =>
    servers.map(({ port }, slot) => ({ slot, admin: `http://127.0.0.1:${port}`, nbd: '', iscsi: '', nvme: '' }));
  for (const slot of [0, 1]) {
    const corelet = fakeCorelet(() => answers[slot] ?? statusOf(6));
    const source = { corelet, events: new EventLog(undefined, () => 0), version: '0', peers };
    servers.push(await listenAdmin(source, { host: '127.0.0.1', port: 0 }));
  }
  profile = mkdtempSync(join(tmpdir(), 'corelet-page-'));
});

after(async () => {
  for (const server of servers) await server.close();
  rmSync(profile, { recursive: true, force: true });
});

/** What is read on the page some readings after it was opened; undefined: there is no browser here (said by a skip). */
async function readPage(t: TestContext): Promise<string | undefined> {
  if (!(await ensureClient('chromium'))) {
    t.skip("chromium is not installed and can't be");
    return undefined;
  }
  const options = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--dump-dom'];
  const more = [`--user-data-dir=${profile}`, '--virtual-time-budget=4000'];
  const page = await run('chromium', [...options, ...more, `http://127.0.0.1:${servers[0]?.port}/`], {
    limitMs: 60_000,
  });
  return page.stdout
    .replaceAll(/<[^>]*>/g, '')
    .replaceAll('&nbsp;', ' ')
    .replaceAll(/\s+/g, ' ');
}

function words(status: CoreletStatus, name: string): string {
  const row = statusRows(status, 0).find((one) => one.name === name);
  return (row?.phrases ?? []).map(({ text }) => text).join('');
}

test('the page says what the commands say of the brakes of healing, of quarantine and of hardware, in the same words', async (t) => {
  const device = deviceHealth(sound, {
    temperatureCelsius: 75,
    suppliesTotal: 2,
    suppliesFailed: 1,
    fansTotal: 4,
    fansFailed: 1,
  });
  const braked = statusOf(6, {
    view: { number: 9, members: 6, frozen: true, frozenWhy: '13 of 24 members were lost within a minute' },
    slots: [slotStatus(0, { device }), slotStatus(1)],
    arcs: { total: 256, full: 200, reduced: 56, noRedundancy: 14, unavailable: 0, waitingForRoom: 56 },
    lossesSurvivable: 0,
    scrub: { ...neverScrubbed, quarantinedBlocks: 2 },
  });
  answers[0] = braked;
  answers[1] = statusOf(6);
  const page = await readPage(t);
  if (page === undefined) return;
  for (const name of ['Chassis', 'Arcs', 'Rebuild', 'Room', 'Margin', 'Doubt', 'Hardware']) {
    const text = words(braked, name);
    assert.ok(text !== '' && page.includes(text), `${name}: '${text}' is not in: ${page}`);
  }
  assert.match(page, /frozen: 13 of 24 members were lost within a minute/);
  assert.match(page, /Insert a module, or delete or trim volumes/);
  assert.match(page, /1 of 2 supplies, 1 failed: replace it \(the next one takes all slots with it\)/);
});

test('the page says why a slot sits out, is held down or may be drawn, and which flash goes bad, though another Corelet answers', async (t) => {
  answers[0] = statusOf(6, {
    slots: [
      slotStatus(0),
      slotStatus(1),
      slotStatus(2, { state: 'sitting-out', slow: { flashMs: 200, flashUsualMs: 4 } }),
      slotStatus(3, { state: 'draining', why: 'it is drained: it holds no copies and may be drawn' }),
      slotStatus(4, { state: 'joining', flapScore: 5, heldDownSeconds: 90 }),
      slotStatus(5, { state: 'silent', safeToPull: false, why: 'some arcs have no leader now' }),
    ],
  });
  const failing = deviceHealth({ ...sound, badReads: 12, badSegments: 2 }, { wearPercent: 104 });
  answers[1] = statusOf(6, {
    answeredBy: { id: idOf(1), slot: 1 },
    slots: [slotStatus(1, { device: failing })],
    scrub: { ...neverScrubbed, quarantinedBlocks: 1 },
  });
  const page = await readPage(t);
  if (page === undefined) return;
  assert.match(page, /◒ sitting-out, syncs in 200 ms \(usual: 4 ms\)/);
  assert.match(page, /yes: it is drained: it holds no copies and may be drawn/);
  assert.match(page, /◐ joining, flapped 5 times: held down 1 min 30 s/);
  assert.match(page, /no: some arcs have no leader now/);
  assert.match(page, /slot 1: 12 blocks were bad since its start, 2 segments given up, 104 % of its life used/);
  assert.match(page, /1 block in quarantine in slot 1:/);
});
