import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { control, hunt, type HuntReport } from '../../src/sim/mutations/hunt.ts';
import { controlsOf } from '../../src/sim/mutations/main.ts';
import { whyStale } from '../../src/sim/mutations/patch.ts';
import type { Mutation } from '../../src/sim/mutations/types.ts';

/** A fault that the simulator doesn't find is a hole in the simulator: whatever breaks that way later would ship. */
export function testMutations(area: string, mutations: readonly Mutation[]): void {
  const done: { readonly mutation: Mutation; readonly report: HuntReport }[] = [];

  for (const mutation of mutations) {
    test(`${mutation.name} is still a change of the code as it is`, () => {
      for (const edit of mutation.edits) assert.equal(whyStale(edit), undefined);
    });
  }

  describe(`${area}: faults are found`, { concurrency: 2 }, () => {
    for (const mutation of mutations) {
      test(`${mutation.name}: ${mutation.what}`, async (t) => {
        const report = await hunt(mutation);
        done.push({ mutation, report });
        const { verdict, seeds } = report;
        assert.equal(verdict.kind, 'caught', 'summary' in verdict ? verdict.summary : `not within ${seeds} seeds`);
        if (verdict.kind === 'caught') t.diagnostic(`${verdict.by} ${verdict.invariant} after ${seeds} seeds`);
      });
    }
  });

  describe(`${area}: without a fault the same seeds are green`, () => {
    test('control', async () => {
      for (const of of controlsOf(done)) {
        for (const { seed, violation } of await control(of)) {
          assert.fail(`${JSON.stringify(of)} seed ${seed}: ${violation?.invariant}: ${violation?.summary}`);
        }
      }
    });
  });
}
