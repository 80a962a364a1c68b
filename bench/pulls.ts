import { runPulls, tellPull, tellPulls } from '../test/interop/healing/pulls.ts';
import { runBench } from './command-line.ts';

const usage = `npm run bench:pulls -- [--slots 24] [--mib 256] [--seed N] [--kills 8] [--json] [--keep no|failed]

A full volume, two hosts that write and read random blocks of it without a pause; module by module is pulled, each when the one before was made good,
until three are left. At some pulls the whole chassis is killed (SIGKILL) and started again: in the midst of a rebuild, before the others agreed, or when all was full,
and sometimes once more while it starts. --seed draws the order, the kills and their moments. In the end everything that was ever acknowledged is looked for.`;

const defaults = { slots: '24', mib: '256', seed: '', kills: '8', keep: 'failed' };

await runBench(usage, defaults, async ({ slots, mib, seed: given, kills, keep, json }) => {
  const seed = given === '' ? Math.floor(Math.random() * 2 ** 31) : Number(given);
  if (!json) console.log(`seed ${seed}`);
  const report = await runPulls({
    slots: Number(slots),
    volumeMiB: Number(mib),
    seed,
    kills: Number(kills),
    keepFailed: keep === 'failed',
    pulled: (pull) => {
      if (!json) console.log(tellPull(pull));
    },
  });
  console.log(json ? JSON.stringify({ schemaVersion: 1, bench: 'pulls', seed, ...report }) : tellPulls(report));
});
