import { safeText, slotStateText, stateGlyphs, usedText } from '../admin/status-words.ts';
import type { CoreletStatus, SlotStatus } from '../admin/types.ts';
import { byId, element, isNews, shape } from './format.ts';

const columns = 6;

/** The chassis, drawn: a grid that arrow keys walk; the slot with the focus is told in full below it. */
export class SlotGrid {
  readonly #grid = byId('chassis');
  readonly #detail = byId('slot-detail');
  readonly #cells: HTMLElement[] = [];
  #slots: readonly SlotStatus[] = [];
  #selected = 0;

  constructor() {
    this.#grid.addEventListener('keydown', (event) => this.#key(event));
  }

  show({ slots }: CoreletStatus): void {
    this.#slots = slots;
    if (this.#cells.length !== slots.length) this.#build(slots.length);
    for (const [i, slot] of slots.entries()) this.#fill(this.#cells[i], slot);
    this.#select(Math.min(this.#selected, slots.length - 1), false);
  }

  #build(count: number): void {
    this.#cells.length = 0;
    this.#grid.replaceChildren();
    for (let first = 0; first < count; first += columns) {
      const row = element('div', { role: 'row' });
      for (let i = first; i < Math.min(count, first + columns); i++) {
        const cell = element('div', { role: 'gridcell', class: 'slot', tabindex: '-1' });
        cell.addEventListener('click', () => this.#select(i, true));
        cell.addEventListener('focus', () => this.#select(i, false));
        this.#cells.push(cell);
        row.append(cell);
      }
      this.#grid.append(row);
    }
  }

  #fill(cell: HTMLElement | undefined, slot: SlotStatus): void {
    if (cell === undefined) return;
    const share = slot.sizeBytes === 0 ? 0 : slot.usedBytes / slot.sizeBytes;
    if (!isNews(cell, JSON.stringify(slot))) return;
    const bar = shape('svg', { viewBox: '0 0 100 4', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
    bar.append(shape('rect', { width: String(Math.round(share * 1000) / 10), height: '4' }));
    cell.setAttribute('aria-label', describe(slot));
    cell.replaceChildren(
      element('code', {}, slot.id.slice(0, 6)),
      element('b', {}, String(slot.slot)),
      element('span', { class: `state ${slot.state}` }, `${stateGlyphs[slot.state]} ${slot.state}${held(slot)}`),
      element('span', { class: 'state' }, `leads ${slot.leads} of ${slot.copies}`),
      element('span', { class: 'state' }, slot.safeToPull ? '✓ safe to pull' : '✋ keep in'),
      bar,
    );
  }

  #select(index: number, focus: boolean): void {
    this.#selected = index;
    for (const [i, cell] of this.#cells.entries()) {
      cell.setAttribute('aria-selected', String(i === index));
      cell.tabIndex = i === index ? 0 : -1;
    }
    if (focus) this.#cells[index]?.focus();
    const slot = this.#slots[index];
    if (slot === undefined) return;
    const text = `Slot ${slot.slot}, module ${slot.id}: ${slotStateText(slot)}. ${slot.copies} copies of arcs, leads ${slot.leads}. ${fillText(slot)}. Safe to pull: ${safeText(slot)}.`;
    const command = slot.state === 'gone' ? `corelet slot insert ${slot.slot}` : `corelet slot pull ${slot.slot}`;
    if (!isNews(this.#detail, text + command)) return;
    const why = element('code', {}, `corelet why ${slot.slot}`);
    this.#detail.replaceChildren(
      element('p', {}, text),
      element('p', { class: 'quiet' }, element('code', {}, command), ' · ', why),
    );
  }

  #key(event: KeyboardEvent): void {
    const steps: Readonly<Record<string, number>> = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -columns,
      ArrowDown: columns,
      Home: -this.#selected,
      End: this.#cells.length - 1 - this.#selected,
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const target = this.#selected + step;
    if (target >= 0 && target < this.#cells.length) this.#select(target, true);
  }
}

function fillText(slot: SlotStatus): string {
  return slot.sizeBytes === 0 ? 'Fill unknown' : `${usedText(slot)} used`;
}

/** In the narrow cell only that it is held down; the words are below the grid and in the table. */
function held({ heldDownSeconds }: SlotStatus): string {
  return heldDownSeconds === undefined ? '' : ', held down';
}

function describe(slot: SlotStatus): string {
  return `slot ${slot.slot}, ${slotStateText(slot)}, leads ${slot.leads} of ${slot.copies} copies, ${fillText(slot)}, safe to pull: ${safeText(slot)}`;
}

/** The same as rows. */
export function showSlotTable({ slots }: CoreletStatus): void {
  const rows = slots.map((slot) => [
    String(slot.slot),
    slot.id.slice(0, 8),
    slotStateText(slot),
    String(slot.leads),
    String(slot.copies),
    usedText(slot),
    safeText(slot),
  ]);
  showTable(byId('slot-table'), ['Slot', 'Id', 'State', 'Leads', 'Copies', 'Used', 'Safe to pull'], rows);
}

/** Replaces a table's rows when they changed. */
export function showTable(
  table: HTMLElement,
  heads: readonly string[],
  rows: readonly (readonly (string | Node)[])[],
): void {
  if (!isNews(table, JSON.stringify(rows))) return;
  const head = element('tr', {}, ...heads.map((text) => element('th', { scope: 'col' }, text)));
  const body = rows.map((row) => element('tr', {}, ...row.map((cell) => element('td', {}, cell))));
  table.replaceChildren(element('thead', {}, head), element('tbody', {}, ...body));
}
