import type { Prng } from '../../base/prng.ts';
import { fates, sectorBytes, type UnderWay } from './device.ts';

/** Any of the sectors, and one of them may be torn. */
export function randomFates(sectors: number, random: Prng, keepFraction = random.fraction()): Uint8Array {
  const kept = new Uint8Array(sectors);
  for (let i = 0; i < sectors; i++) kept[i] = random.chance(keepFraction) ? fates.kept : fates.lost;
  if (sectors > 0 && random.chance(0.5)) kept[random.below(sectors)] = fates.torn;
  return kept;
}

/**
 * What a power loss may leave of writes under way: nothing, all, all but one write, one write alone, a beginning, an end,
 * the edges, all but one sector, any. A fate per sector, over all writes in order; each answer once. The first ones, up to
 * `count`, and never less than those of whole writes.
 */
export function subsetsOf(writes: readonly UnderWay[], random: Prng, count: number): Uint8Array[] {
  const sizes = writes.map(({ bytes }) => bytes.length / sectorBytes);
  const sectors = sizes.reduce((sum, size) => sum + size, 0);
  const subsets = new Map<string, Uint8Array>();
  const add = (keeps: (sector: number, write: number) => number): void => {
    const kept = new Uint8Array(sectors);
    let at = 0;
    for (const [write, size] of sizes.entries()) for (let i = 0; i < size; i++, at++) kept[at] = keeps(at, write);
    subsets.set(hashOf(kept), kept);
  };
  const { kept, lost, torn } = fates;
  add(() => lost);
  if (sectors === 0) return [...subsets.values()];
  add(() => kept);
  if (writes.length > 1) {
    for (let one = 0; one < writes.length; one++) add((_, write) => (write === one ? lost : kept));
    for (let one = 0; one < writes.length; one++) add((_, write) => (write === one ? kept : lost));
  }
  const others: (() => void)[] = [
    () => {
      const end = random.below(sectors);
      add((sector) => (sector < end ? kept : sector === end ? torn : lost));
    },
    () => {
      const end = 1 + random.below(Math.max(1, Math.min(sectors - 1, 16)));
      add((sector) => (sector < end ? kept : lost));
    },
    () => {
      const begin = random.below(sectors);
      add((sector) => (sector >= begin ? kept : lost));
    },
    () => add((sector) => (sector === 0 ? lost : kept)),
    () => add((sector) => (sector === sectors - 1 ? lost : kept)),
    () => add((sector) => (sector === sectors - 1 ? torn : kept)),
    () => add((sector) => (sector === 0 ? kept : lost)),
    () => add((sector) => (sector === sectors - 1 ? kept : lost)),
    () => add((sector) => (sector === 0 || sector === sectors - 1 ? kept : lost)),
    () => {
      const missing = random.below(sectors);
      add((sector) => (sector === missing ? lost : kept));
    },
    () => {
      const broken = random.below(sectors);
      add((sector) => (sector === broken ? torn : kept));
    },
    () => add(() => (random.chance(0.5) ? kept : lost)),
    () => add(() => (random.chance(0.9) ? kept : lost)),
  ];
  // A different few at each point: over a run all meet all kinds of writes.
  for (let left = others.length; left > 0 && subsets.size < count; left--) {
    const chosen = random.below(left);
    (others[chosen] as () => void)();
    others[chosen] = others[left - 1] as () => void;
  }
  return [...subsets.values()];
}

function hashOf(kept: Uint8Array): string {
  let low = 0x811c_9dc5;
  let high = 0x9e37_79b9;
  for (let i = 0; i < kept.length; i++) {
    low = Math.imul(low ^ (kept[i] as number), 0x0100_0193);
    high = Math.imul(high ^ ((kept[i] as number) + i), 0x85eb_ca6b);
  }
  return `${low >>> 0}.${high >>> 0}`;
}
