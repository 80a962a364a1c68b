import { safeText, slotStateText, statusRows, type Tone, usedText } from '../admin/status-words.ts';
import type { CoreletStatus, SlotState, SlotStatus } from '../corelet/types.ts';
import { paint, type Style, table, type Terminal } from './terminal.ts';

const stateStyles: Readonly<Record<SlotState, Style>> = {
  live: 'green',
  'sitting-out': 'yellow',
  draining: 'yellow',
  spare: 'cyan',
  joining: 'yellow',
  silent: 'yellow',
  gone: 'red',
};
const toneStyles: Readonly<Record<Exclude<Tone, 'plain'>, Style>> = { good: 'green', warn: 'yellow', bad: 'red' };

/** What `corelet status` prints. `nowMs`: wall clock, for the time at which the chassis is full again. */
export function statusText(status: CoreletStatus, out: Terminal, nowMs: number): string {
  const head = statusRows(status, nowMs).map(({ name, phrases }) => {
    const told = phrases.map(({ text, tone }) => (tone === 'plain' ? text : paint(out, toneStyles[tone], text)));
    return `${paint(out, 'bold', name.padEnd(8))} ${told.join('')}\n`;
  });
  const columns = ['SLOT', 'ID', 'STATE', 'LEADS', 'COPIES', 'USED', 'SAFE TO PULL'];
  const rows = status.slots.map((slot) => slotRow(slot, out));
  return `${head.join('')}\n${table([columns, ...rows], [0, 3, 4])}`;
}

function slotRow(slot: SlotStatus, out: Terminal): readonly string[] {
  return [
    String(slot.slot),
    slot.id.slice(0, 8),
    paint(out, stateStyles[slot.state], slotStateText(slot)),
    String(slot.leads),
    String(slot.copies),
    usedText(slot),
    safeText(slot),
  ];
}
