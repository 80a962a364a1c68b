import assert from 'node:assert/strict';
import { before, test, type TestContext } from 'node:test';
import { type CheckOptions, type Outcome, type Verdict, verdictOn } from './corruption-check.ts';
import { type Case, casesOf, type LiveMoment } from './corruption-damage.ts';
import { type DeviceHistory, deviceHistory } from './corruption-device.ts';
import { livePlaces } from './corruption-targets.ts';
import { TestClock } from './test-ports.ts';

// Every class of bytes of a device is damaged in every way that flash, firmware and cables are known for. Whatever happens,
// no wrong byte is served, nothing is absent or old without a word, and the rest is served.

const clock = new TestClock();
let history: DeviceHistory;
let moments: readonly LiveMoment[];
let cases: readonly Case[];

before(async () => {
  history = await deviceHistory(clock);
  const all = [history.now, ...history.earlier.toReversed(), history.formerLife];
  const live: LiveMoment[] = [];
  for (const [i, moment] of all.entries()) {
    live.push({ moment, live: await livePlaces(moment, clock), label: `${i} moments ago` });
  }
  moments = live;
  cases = await casesOf(history, moments);
});

/** What damage to a class may come to, and how much of all blocks is served at least, unless the device refuses. */
interface Expected {
  readonly kinds: RegExp;
  readonly outcomes: readonly Outcome[];
  readonly servedShareMin: number;
}

const expectations: readonly Expected[] = [
  // Written twice: one copy costs nothing. A copy that can't be written any more stops the next checkpoint.
  { kinds: /^superblock/, outcomes: ['unharmed'], servedShareMin: 1 },
  { kinds: /anchor$/, outcomes: ['unharmed', 'eio'], servedShareMin: 1 },
  { kinds: /^(checkpoint|segment|chunk) table$|^arc state$|^root$/, outcomes: ['unharmed'], servedShareMin: 1 },
  // A map page costs the blocks of its chunk, a block of data itself.
  { kinds: /^map page$/, outcomes: ['unharmed', 'blocks'], servedShareMin: 0.4 },
  { kinds: /^entry data|^moved data$|^data before/, outcomes: ['unharmed', 'blocks'], servedShareMin: 0.99 },
  // Nobody reads these but the cleaner. The page where the log would go on next may hold a batch when it can't be read.
  { kinds: /^log batch before the checkpoint/, outcomes: ['unharmed', 'lost'], servedShareMin: 1 },
  { kinds: /^moved batch/, outcomes: ['unharmed'], servedShareMin: 1 },
  // What a restart has to read, and can't: it says so.
  { kinds: /^log batch (?!before)|^batch before the tail/, outcomes: ['lost'], servedShareMin: 0.6 },
  // The newest batch can't be told from one that power loss tore; a page that can't be read may have held one.
  { kinds: /^tail batch (?!data)/, outcomes: ['torn', 'silent', 'lost', 'eio'], servedShareMin: 0.99 },
  { kinds: /^tail batch data$/, outcomes: ['torn', 'blocks'], servedShareMin: 0.99 },
  { kinds: /^space behind the tail$/, outcomes: ['unharmed', 'lost', 'eio'], servedShareMin: 1 },
  // A segment at once: what was in it.
  { kinds: /^segment before|^segment of moved|^free/, outcomes: ['unharmed', 'blocks', 'lost'], servedShareMin: 0.3 },
  {
    kinds: /^segment where|^segment of the (log|tail)/,
    outcomes: ['unharmed', 'lost', 'earlier'],
    servedShareMin: 0.2,
  },
];

/** Counts by class, damage and outcome, for whoever reads the log of a test run. */
class Tally {
  readonly #counts = new Map<string, Map<string, number>>();
  #cases = 0;

  add(kind: string, damage: string, verdict: Verdict): void {
    this.#cases++;
    const row = this.#counts.get(kind) ?? new Map<string, number>();
    const name = `${damage} ${verdict.outcome}${verdict.code === undefined ? '' : ` ${verdict.code}`}`;
    row.set(name, (row.get(name) ?? 0) + 1);
    this.#counts.set(kind, row);
  }

  print(t: TestContext): void {
    for (const [kind, row] of this.#counts) {
      t.diagnostic(`${kind}: ${[...row].map(([name, count]) => `${name} ${count}`).join(', ')}`);
    }
    t.diagnostic(`${this.#cases} cases`);
  }
}

function optionsFor(kind: string): CheckOptions {
  const { now, beforeTail } = history;
  if (kind.startsWith('tail batch')) return { now, instead: [beforeTail] };
  return kind.includes('segment of the tail') ? { now, instead: [...history.earlier, beforeTail] } : { now };
}

async function judge(one: Case, index: number): Promise<Verdict> {
  const { target, damage, detail } = one;
  const flash = history.now.flash.clone();
  one.apply(flash);
  try {
    return await verdictOn(flash, clock, { ...optionsFor(target.kind), goesOn: index % 4 === 0 });
  } catch (error) {
    throw new Error(`${target.kind} at ${target.position}, ${damage} (${detail})`, { cause: error });
  }
}

async function explore(t: TestContext, chosen: readonly Case[]): Promise<void> {
  const tally = new Tally();
  for (const [index, one] of chosen.entries()) {
    const { kind } = one.target;
    const verdict = await judge(one, index);
    tally.add(kind, one.damage, verdict);
    const expected = expectations.find(({ kinds }) => kinds.test(kind));
    assert.ok(expected !== undefined, `what is expected of ${kind}`);
    const what = `${kind} at ${one.target.position}, ${one.damage} (${one.detail})`;
    if (kind === 'superblock' && verdict.outcome === 'refused') {
      assert.ok(one.damage === 'older' && verdict.code === 'CORRUPT', what);
      continue;
    }
    assert.ok(expected.outcomes.includes(verdict.outcome), `${what}: ${verdict.outcome}`);
    const share = verdict.outcome === 'eio' ? 1 : verdict.servedShare;
    assert.ok(share >= expected.servedShareMin, `${what}: ${share} of all blocks is served`);
  }
  tally.print(t);
}

for (const damage of ['flipped', 'zeroed', 'swapped', 'older', 'misdirected', 'unreadable', 'dead'] as const) {
  test(`each class of bytes ${damage}: told every time, and the rest is served`, async (t) => {
    const chosen = cases.filter((one) => one.damage === damage);
    assert.ok(chosen.length > 50);
    await explore(t, chosen);
  });
}

test('both copies damaged: refused, lost, or an older checkpoint serves; never less without a word', async (t) => {
  const { now } = history;
  const tally = new Tally();
  const targets = [...new Set(cases.map(({ target }) => target))].filter(({ name }) => / [01]$/.test(name));
  for (const first of targets.filter(({ name, kind }) => name.endsWith(' 0') && kind !== 'map page')) {
    const other = `${first.name.slice(0, -1)}1`;
    const second = targets.find(({ name, kind }) => name === other && kind === first.kind);
    assert.ok(second !== undefined, `the second copy of ${first.kind}`);
    for (const damage of ['zeroed', 'unreadable'] as const) {
      const flash = now.flash.clone();
      for (const { position, bytes } of [first, second]) {
        if (damage === 'zeroed') flash.poke(position, new Uint8Array(bytes));
        else flash.fail(position, bytes, 'latent');
      }
      const verdict = await verdictOn(flash, clock, { now });
      tally.add(first.kind, damage, verdict);
      const outcomes: readonly Outcome[] = first.kind === 'superblock' ? ['refused'] : ['unharmed', 'lost', 'refused'];
      assert.ok(outcomes.includes(verdict.outcome), `${first.kind} ${damage}: ${verdict.outcome}`);
    }
  }
  tally.print(t);
});

test('a device rolled back as a whole is what it was then: only peers can tell (INV-10)', async () => {
  for (const moment of [...history.earlier, history.beforeTail]) {
    const verdict = await verdictOn(moment.flash.clone(), clock, { now: moment, goesOn: true });
    assert.deepEqual(verdict, { outcome: 'unharmed', servedShare: 1, damaged: 0 });
  }
});
