import { revive } from './strike.ts';
import type { Begin } from './strike.ts';

/** Short stays look like a restart, long ones like a module that was pulled and comes back. */
export const crash: Begin = ({ cluster, draw, slot, lastingFactor }) => {
  const lastsMs = draw.chance(0.7) ? draw.between(5, 400) : draw.between(400, 6000) * lastingFactor;
  cluster.crash(slot);
  return { text: `slot ${slot}`, slots: [slot], lastsMs, undo: () => revive(cluster, slot) };
};

/** A process that starts and dies again and again. */
export const flap: Begin = ({ cluster, draw, slot, later }) => {
  let turnsLeft = 2 + draw.below(5);
  let over = false;
  const turn = () => {
    if (over) return;
    if (cluster.state(slot) === 'down') revive(cluster, slot);
    else cluster.crash(slot);
    if (--turnsLeft > 0) later(draw.between(5, 250), turn);
  };
  const text = `slot ${slot}, ${turnsLeft} turns`;
  const lastsMs = turnsLeft * 250;
  turn();
  return {
    text,
    slots: [slot],
    lastsMs,
    undo: () => {
      over = true;
      revive(cluster, slot);
    },
  };
};

export const pause: Begin = ({ cluster, draw, slot, lastingFactor }) => {
  cluster.pause(slot);
  const lastsMs = 20 + draw.between(0, 2500) * lastingFactor;
  return { text: `slot ${slot}`, slots: [slot], lastsMs, undo: () => cluster.resume(slot) };
};

/** A machine that sleeps: its clock stands still too, and it can't know that it slept. */
export const suspend: Begin = ({ cluster, draw, slot, lastingFactor }) => {
  const { clock, process } = cluster.slot(slot);
  const lastsMs = 20 + draw.between(0, 2500) * lastingFactor;
  const sinceMs = cluster.engine.nowMs;
  cluster.pause(slot);
  const undo = () => {
    if (cluster.slot(slot).process === process) clock?.jump(sinceMs - cluster.engine.nowMs);
    cluster.resume(slot);
  };
  return { text: `slot ${slot}`, slots: [slot], lastsMs, undo };
};

/** Ten times a bad quartz, one way or the other, from now on. */
export const clockDrift: Begin = ({ cluster, draw, slot }) => {
  const ppm = draw.between(-1000, 1000);
  cluster.slot(slot).clock?.setRate(1 + ppm / 1e6);
  return { text: `slot ${slot}: ${ppm.toFixed(0)} ppm`, slots: [] };
};

/** Placement changes its mind about one or two members: many arcs move at once, while nobody failed. */
export const reconfigure: Begin = ({ cluster, draw }) => {
  const told: string[] = [];
  for (let left = 1 + draw.below(2); left > 0; left--) {
    const { index, id } = cluster.slot(draw.below(cluster.slots.length));
    const factor = draw.chance(0.3) ? 1 : 2 ** draw.between(-3, 2);
    cluster.steering.setWeight(id, factor);
    told.push(`slot ${index} weighs ${factor.toFixed(2)}`);
  }
  return { text: told.join(', '), slots: [] };
};
