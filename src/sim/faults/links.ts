import type { SimCluster } from '../cluster.ts';
import type { Begin } from './strike.ts';

type Pair = readonly [from: number, to: number];

function othersOf(cluster: SimCluster, slot: number): number[] {
  return cluster.slots.map(({ index }) => index).filter((other) => other !== slot);
}

function cutAll(cluster: SimCluster, pairs: readonly Pair[]): void {
  for (const [from, to] of pairs) cluster.cut(from, to);
}

function mendAll(cluster: SimCluster, pairs: readonly Pair[]): void {
  for (const [from, to] of pairs) cluster.mend(from, to);
}

export const cutOneWay: Begin = ({ cluster, draw, slot, lastingFactor }) => {
  const inbound = draw.chance(0.5);
  const others = othersOf(cluster, slot).filter(() => draw.chance(0.6));
  const pairs = others.map((other): Pair => (inbound ? [other, slot] : [slot, other]));
  cutAll(cluster, pairs);
  return {
    text: `slot ${slot} ${inbound ? 'hears nothing from' : 'reaches not'} ${others.join(', ') || 'nobody'}`,
    slots: [slot],
    lastsMs: 50 + draw.between(0, 3000) * lastingFactor,
    undo: () => mendAll(cluster, pairs),
  };
};

function bothWays(cluster: SimCluster, slot: number): Pair[] {
  return othersOf(cluster, slot).flatMap((other): Pair[] => [
    [slot, other],
    [other, slot],
  ]);
}

export const partition: Begin = ({ cluster, draw, slot, lastingFactor }) => {
  const pairs = bothWays(cluster, slot);
  cutAll(cluster, pairs);
  const lastsMs = 50 + draw.between(0, 4000) * lastingFactor;
  return { text: `slot ${slot}`, slots: [slot], lastsMs, undo: () => mendAll(cluster, pairs) };
};

/** A bad plug: there and gone, many times. */
export const flapLink: Begin = ({ cluster, draw, slot, later }) => {
  const pairs = bothWays(cluster, slot);
  let turnsLeft = 4 + draw.below(10);
  const text = `slot ${slot}, ${turnsLeft} turns`;
  const lastsMs = turnsLeft * 120;
  let over = false;
  let whole = true;
  const turn = () => {
    if (over) return;
    if (whole) cutAll(cluster, pairs);
    else mendAll(cluster, pairs);
    whole = !whole;
    if (--turnsLeft > 0) later(draw.between(2, 120), turn);
  };
  turn();
  return {
    text,
    slots: [slot],
    lastsMs,
    undo: () => {
      over = true;
      mendAll(cluster, pairs);
    },
  };
};

export const slowFlash: Begin = ({ cluster, draw, slot, lastingFactor }) => {
  cluster.slowFlash(slot, draw.between(3, 60));
  const lastsMs = 100 + draw.between(0, 3000) * lastingFactor;
  return { text: `slot ${slot}`, slots: [slot], lastsMs, undo: () => cluster.slowFlash(slot, 1) };
};

export const slowLink: Begin = ({ cluster, draw, slot, lastingFactor }) => {
  cluster.slowLink(slot, draw.between(3, 60));
  const lastsMs = 100 + draw.between(0, 3000) * lastingFactor;
  return { text: `slot ${slot}`, slots: [slot], lastsMs, undo: () => cluster.slowLink(slot, 1) };
};

export const messageLoss: Begin = ({ cluster, draw, slot, lastingFactor }) => {
  cluster.loseMessages(slot, draw.between(0.005, 0.1));
  const lastsMs = 100 + draw.between(0, 3000) * lastingFactor;
  return { text: `slot ${slot}`, slots: [slot], lastsMs, undo: () => cluster.loseMessages(slot, 0) };
};

/** Messages twice, late, past each other, and lanes that run at different speeds: nothing is lost, so the slot counts as well. */
export const disorder: Begin = ({ cluster, draw, slot, lastingFactor }) => {
  cluster.disorderLinks(slot, draw.between(0.02, 0.3), draw.chance(0.5) ? 0 : draw.between(0, 20));
  const lastsMs = 100 + draw.between(0, 3000) * lastingFactor;
  return { text: `slot ${slot}`, slots: [], lastsMs, undo: () => cluster.disorderLinks(slot, 0, 0) };
};
