import { placeName } from '../ports/events.ts';
import type { MergedEvent } from './merge-events.ts';

/** The same step of many arcs, each following the one before within this time, is one sentence. */
const burstMs = 5_000;
/** Arcs named in such a sentence. */
const namedMax = 8;

const sentences: Readonly<Record<string, (arcs: string, place: string) => string>> = {
  'arc.learner-added': (arcs, place) => `${arcs} want a copy in ${place}; copying begins.`,
  'arc.copied': (arcs, place) => `${arcs} were copied to ${place}, checksums verified.`,
  'arc.copy-failed': (arcs, place) => `Copies of ${arcs} to ${place} stopped on the way and will be tried again.`,
  'arc.copy-lost': (arcs, place) => `Copies of ${arcs} in ${place} lost what they had told; they are replaced.`,
  'arc.voter-added': (arcs, place) => `${arcs}: the copy in ${place} is complete; it votes now.`,
  'arc.voter-removed': (arcs, place) => `${arcs} go on without the copy in ${place}.`,
  'flash.bad-block': (arcs, place) => `Blocks of ${arcs} can't be read on the flash in ${place}.`,
  'flash.repaired': (arcs, place) =>
    `Blocks of ${arcs} were fetched from other copies, checksums verified, and stored anew in ${place}.`,
  'arc.no-room': (arcs, place) =>
    `${arcs} wait for room: with another copy, the flash in ${place} would be too full. Insert a module, or delete or trim volumes; healing goes on by itself then.`,
  'arc.room-again': (arcs) => `${arcs} wait for room no more: healing goes on.`,
  'arc.copy-dropped': (arcs, place) => `Copies of ${arcs} in ${place} were dropped: the arcs went on without them.`,
};

export interface FoldedEvent extends MergedEvent {
  /** How many arcs the line speaks of; 1 for everything else. */
  readonly count: number;
  readonly untilWallMs: number;
}

/** Lines for people: what a hundred arcs do in one breath is said once, with their number and the blocks moved. */
export function foldArcs(events: readonly MergedEvent[]): readonly FoldedEvent[] {
  const folded: { first: MergedEvent; events: MergedEvent[]; untilWallMs: number }[] = [];
  const open = new Map<string, (typeof folded)[number]>();
  for (const event of events) {
    const burst = sentences[event.kind] === undefined ? undefined : open.get(keyOf(event));
    if (burst !== undefined && event.atWallMs - burst.untilWallMs <= burstMs) {
      burst.events.push(event);
      burst.untilWallMs = event.atWallMs;
      continue;
    }
    const fresh = { first: event, events: [event], untilWallMs: event.atWallMs };
    open.set(keyOf(event), fresh);
    folded.push(fresh);
  }
  return folded.map(({ first, events: all, untilWallMs }) => ({
    ...first,
    text: textOf(first, all),
    slots: [...new Set(all.flatMap((event) => event.slots))].sort((a, b) => a - b),
    count: all.length,
    untilWallMs,
  }));
}

/** The same step, of copies in the same place. */
function keyOf({ kind, slot, corelet }: MergedEvent): string {
  return `${kind} ${slot ?? corelet ?? ''}`;
}

function blocksOf({ data }: MergedEvent): number {
  const blocks = data?.['blocks'] ?? 0;
  return Array.isArray(blocks) ? blocks.length : Number(blocks);
}

function textOf(first: MergedEvent, all: readonly MergedEvent[]): string {
  const sentence = sentences[first.kind];
  if (sentence === undefined || all.length === 1) return first.text;
  const arcs = [...new Set(all.map((event) => event.arc))];
  const named = arcs.slice(0, namedMax).join(', ');
  const subject = `${arcs.length} arcs (${named}${arcs.length > namedMax ? ', …' : ''})`;
  const blocks = all.reduce((sum, event) => sum + blocksOf(event), 0);
  return (
    sentence(subject, placeName(first.slot, first.corelet ?? '?')) + (blocks > 0 ? ` ${blocks} blocks in all.` : '')
  );
}
