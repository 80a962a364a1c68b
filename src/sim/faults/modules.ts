import { revive } from './strike.ts';
import type { Begin } from './strike.ts';

/** A blank module takes the place of one that is whole: its data is gone for good, so every arc must have all its copies. */
export const blank: Begin = ({ cluster, draw, slot, mayForget }) => {
  if (!mayForget()) return undefined;
  cluster.crash(slot);
  return {
    text: `slot ${slot} gets a blank module`,
    slots: [slot],
    lastsMs: draw.between(100, 2000),
    undo: () => {
      if (cluster.state(slot) === 'down') void cluster.insertBlank(slot);
    },
    settled: () => cluster.state(slot) === 'running' && mayForget(),
  };
};

/** A device comes back as it was a while ago: what it acknowledged since is forgotten. */
export const rollback: Begin = ({ cluster, draw, slot, mayForget }) => {
  const image = cluster.slot(slot).medium.image?.();
  if (image === undefined || !mayForget()) return undefined;
  return {
    text: `slot ${slot} comes back as it is now`,
    slots: [slot],
    lastsMs: draw.between(50, 2500),
    undo: () => {
      if (!mayForget() || cluster.state(slot) !== 'running') return;
      cluster.crash(slot);
      cluster.rollBack(slot, image);
      cluster.slot(slot).damaged = true;
      revive(cluster, slot);
    },
    settled: () => cluster.state(slot) === 'running' && mayForget(),
  };
};

/** A copy of the device runs beside it for a while, under the same name. */
export const clone: Begin = ({ cluster, draw, slot, lastingFactor, mayForget }) => {
  if (!mayForget()) return undefined;
  const end = cluster.startClone(slot);
  if (end === undefined) return undefined;
  cluster.slot(slot).damaged = true;
  return {
    text: `slot ${slot} runs twice`,
    slots: [slot],
    lastsMs: 50 + draw.between(0, 3000) * lastingFactor,
    undo: end,
    settled: () => cluster.state(slot) === 'running' && mayForget(),
  };
};

/** Two modules change places. */
export const swap: Begin = ({ cluster, draw, slot, mayForget }) => {
  const others = cluster.slots.map(({ index }) => index).filter((other) => other !== slot);
  const other = others[draw.below(others.length)] as number;
  if (!mayForget() || cluster.state(other) !== 'running') return undefined;
  cluster.crash(slot);
  cluster.crash(other);
  return {
    text: `slots ${slot} and ${other}`,
    slots: [slot, other],
    lastsMs: draw.between(50, 1000),
    undo: () => {
      if (cluster.state(slot) === 'down' && cluster.state(other) === 'down') cluster.swap(slot, other);
      revive(cluster, slot);
      revive(cluster, other);
    },
  };
};
