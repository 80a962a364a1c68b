import type { MediumDamage } from '../program.ts';
import { revive } from './strike.ts';
import type { Begin, StrikeContext } from './strike.ts';

/** What lies on one medium is hurt, of one module per run: every block has a whole copy elsewhere. */
function damage(hurt: (medium: MediumDamage, context: StrikeContext) => string | undefined): Begin {
  return (context) => {
    const { cluster, weakSlot } = context;
    const slot = cluster.slot(weakSlot);
    if (slot.medium.damage === undefined || slot.blank !== undefined) return undefined;
    const text = hurt(slot.medium.damage, context);
    if (text === undefined) return undefined;
    slot.damaged = true;
    return { text: `slot ${weakSlot}: ${text}`, slots: [] };
  };
}

export const rotData = damage((medium) => medium.rot('data'));
export const rotMetadata = damage((medium) => medium.rot('metadata'));
export const unreadable = damage((medium, { draw }) => medium.loseSectors(draw.chance(0.7) ? 'data' : 'metadata'));
export const misdirectedWrite = damage((medium) => medium.misdirectNextWrite());
export const lostWrite = damage((medium) => {
  medium.loseNextWrite();
  return 'the next write';
});

/** A sync fails once: its Corelet must stop, and look at the medium before it speaks again. */
export const failedSync: Begin = ({ cluster, draw, slot }) => {
  const { medium } = cluster.slot(slot);
  if (medium.damage === undefined) return undefined;
  medium.damage.failNextWrite();
  cluster.slot(slot).damaged = true;
  return {
    text: `slot ${slot}`,
    slots: [slot],
    lastsMs: draw.between(50, 800),
    undo: () => {
      // Who wrote nothing meanwhile would fail at its next write, perhaps long after the last fault.
      medium.damage?.spareNextWrite();
      revive(cluster, slot);
    },
  };
};

/** The file system under the device is full for a while. */
export const fullFlash: Begin = ({ cluster, draw, slot, lastingFactor }) => {
  const { medium } = cluster.slot(slot);
  if (medium.damage === undefined) return undefined;
  medium.damage.setFull(true);
  cluster.slot(slot).damaged = true;
  return {
    text: `slot ${slot}`,
    slots: [slot],
    lastsMs: 100 + draw.between(0, 2000) * lastingFactor,
    undo: () => {
      medium.damage?.setFull(false);
      revive(cluster, slot);
    },
  };
};
