import { marginPhrase, statusRows } from '../admin/status-words.ts';
import type { CoreletStatus, EventRecord, VolumeInfo } from '../admin/types.ts';
import { formatBytes } from '../base/units.ts';
import { byId, element, isNews, setText } from './format.ts';
import { showTable } from './slots.ts';

/** How much more may go, large; and below it all that `corelet status` says, in its words. */
export function showMargin(status: CoreletStatus, others: readonly CoreletStatus[]): void {
  const margin = marginPhrase(status);
  setText(byId('margin'), margin.text);
  byId('margin').className = `margin ${margin.tone}`;
  const rows = statusRows(status, Date.now(), others).filter(({ name }) => name !== 'Margin');
  const list = byId('status-rows');
  if (!isNews(list, JSON.stringify(rows))) return;
  const items = rows.map(({ name, phrases }) => {
    const told = phrases.map(({ text, tone }) => element('span', { class: tone }, text));
    return element('div', {}, element('dt', {}, name), element('dd', {}, ...told));
  });
  list.replaceChildren(...items);
}

/** Progress is counted from the most that was left since the rebuild began. */
export class RebuildBar {
  #mostBytes = 0;

  show({ rebuild: { bytesLeft } }: CoreletStatus): void {
    const bar = byId('rebuild') as HTMLProgressElement;
    this.#mostBytes = bytesLeft === 0 ? 0 : Math.max(this.#mostBytes, bytesLeft);
    bar.hidden = bytesLeft === 0;
    if (bytesLeft > 0) bar.value = 1 - bytesLeft / this.#mostBytes;
  }
}

export function showVolumes(volumes: readonly VolumeInfo[], uris: (name: string) => string): void {
  const rows = volumes.map((volume) => [
    volume.name,
    formatBytes(volume.sizeBytes),
    String(volume.copies),
    volume.state,
    uris(volume.name),
  ]);
  showTable(byId('volumes'), ['Name', 'Size', 'Copies', 'State', 'Connect'], rows);
}

export function showEvents(events: readonly EventRecord[]): void {
  const list = byId('events');
  const newest = events[events.length - 1];
  const key = newest === undefined ? 'none' : `${newest.atWallMs} ${newest.text} ${events.length}`;
  if (!isNews(list, key)) return;
  const items = [...events].reverse().map((event) => {
    const at = new Date(event.atWallMs);
    const time = element('time', { datetime: at.toISOString() }, at.toLocaleTimeString());
    return element('li', {}, time, ` ${event.text}`);
  });
  list.replaceChildren(...(items.length > 0 ? items : [element('li', {}, 'Nothing happened yet.')]));
}
