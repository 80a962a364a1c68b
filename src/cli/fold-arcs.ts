import type { MergedEvent } from './merge-events.ts';

/** The same step of many arcs, each following the one before within this time, is one sentence. */
const burstMs = 5_000;
/** Arcs named in such a sentence. */
const namedMax = 8;

const sentences: Readonly<Record<string, (arcs: string) => string>> = {
  'arc.learner-added': (arcs) => `${arcs} want a copy here; copying begins.`,
  'arc.copied': (arcs) => `${arcs} were copied here, checksums verified.`,
  'arc.copy-failed': (arcs) => `copies of ${arcs} stopped on the way and will be tried again.`,
  'arc.voter-added': (arcs) => `${arcs}: the copy here is complete; it votes now.`,
  'arc.voter-removed': (arcs) => `${arcs} go on without the copy here.`,
  'flash.bad-block': (arcs) => `blocks of ${arcs} can't be read on this flash.`,
  'flash.repaired': (arcs) => `blocks of ${arcs} were fetched from other copies, checksums verified, and stored anew.`,
  'arc.copy-dropped': (arcs) => `copies of ${arcs} were dropped here: the arcs went on without them.`,
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
    const burst = sentences[event.kind] === undefined ? undefined : open.get(event.kind);
    if (burst !== undefined && event.atWallMs - burst.untilWallMs <= burstMs) {
      burst.events.push(event);
      burst.untilWallMs = event.atWallMs;
      continue;
    }
    const fresh = { first: event, events: [event], untilWallMs: event.atWallMs };
    open.set(event.kind, fresh);
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
  return sentence(subject) + (blocks > 0 ? ` ${blocks} blocks in all.` : '');
}
