import type { CoreletInspection } from './replicas.ts';
import type { Violation } from './violation.ts';

/** INV-8: whatever a replica keeps stays within the limit that it is promised to keep. */
export function checkBounds(corelets: readonly CoreletInspection[], atMs: number): readonly Violation[] {
  const violations: Violation[] = [];
  for (const { slot, replicas } of corelets) {
    for (const { arc, bounds } of replicas) {
      for (const { name, length, max } of bounds?.() ?? []) {
        if (length <= max) continue;
        const summary = `arc ${arc} on slot ${slot}: ${length} ${name}, at most ${max} are promised`;
        violations.push({ invariant: 'INV-8', summary, story: [`${atMs.toFixed(3)} ms`] });
      }
    }
  }
  return violations;
}
