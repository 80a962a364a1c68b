import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { runPulls, tellPull, tellPulls } from './pulls.ts';

/** 24, and a dozen kills, show what the project promises (`npm run bench:pulls`); the default keeps the whole run short. */
const slots = Number(process.env['CORELET_PULL_FROM'] ?? '6');
const kills = Number(process.env['CORELET_PULL_KILLS'] ?? '1');
const seed = Number(process.env['CORELET_PULL_SEED'] ?? '1');

test('a chassis pulled module by module down to 3, and killed as a whole meanwhile, serves and loses nothing', {
  timeout: 280_000 + (slots + kills) * 10_000,
}, async (t: TestContext) => {
  const report = await runPulls({
    slots,
    volumeMiB: 64,
    seed,
    kills,
    keepFailed: false,
    pulled: (pull) => t.diagnostic(tellPull(pull)),
  });
  t.diagnostic(tellPulls(report));
  assert.equal(report.pulls.length, slots - 3);
});
