import type { ArcsStatus, CoreletStatus } from '../admin/types.ts';
import { byId, element, shape } from './format.ts';

const radius = 80;
const centre = 100;

interface Kind {
  readonly name: string;
  readonly style: string;
  readonly glyph: string;
  readonly count: number;
}

/** One dash per arc, arcs of the same redundancy side by side: how much of the ring is whole, not where. */
export function showRing({ arcs }: CoreletStatus): void {
  const ring = byId('ring');
  const key = JSON.stringify(arcs);
  if (ring.dataset['shown'] === key) return;
  ring.dataset['shown'] = key;
  const kinds = kindsOf(arcs);
  const summary = kinds.map((kind) => `${kind.count} ${kind.name}`).join(', ');
  const picture = shape('svg', { viewBox: '0 0 200 200', role: 'img', 'aria-label': `${arcs.total} arcs: ${summary}` });
  let arc = 0;
  for (const kind of kinds) {
    const group = shape('g', { class: kind.style });
    for (let i = 0; i < kind.count; i++) group.append(shape('path', { d: dash(arc++, arcs.total) }));
    picture.append(group);
  }
  const label = shape('text', { x: String(centre), y: String(centre + 5) });
  label.textContent = `${arcs.full} of ${arcs.total} full`;
  picture.append(label);
  ring.replaceChildren(picture);
  const items = kinds.map((kind) => element('li', { class: kind.style }, `${kind.glyph} ${kind.count} ${kind.name}`));
  byId('ring-legend').replaceChildren(...items);
}

function kindsOf(arcs: ArcsStatus): readonly Kind[] {
  const all: readonly Kind[] = [
    { name: 'unavailable', style: 'unavailable', glyph: '✕', count: arcs.unavailable },
    { name: 'with no redundancy', style: 'none', glyph: '!', count: arcs.noRedundancy },
    { name: 'reduced', style: 'reduced', glyph: '◐', count: Math.max(0, arcs.reduced - arcs.noRedundancy) },
    { name: 'full', style: 'full', glyph: '●', count: arcs.full },
  ];
  return all.filter((kind) => kind.count > 0);
}

/** The piece of the circle of arc `index` of `total`, with a gap to the next. */
function dash(index: number, total: number): string {
  const from = (index / total) * 2 * Math.PI;
  const to = ((index + 0.8) / total) * 2 * Math.PI;
  return `M ${point(from)} A ${radius} ${radius} 0 0 1 ${point(to)}`;
}

function point(angle: number): string {
  return `${(centre + radius * Math.sin(angle)).toFixed(2)} ${(centre - radius * Math.cos(angle)).toFixed(2)}`;
}
