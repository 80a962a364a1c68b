import type { CoreletStatus, EventRecord, VolumeInfo } from '../admin/types.ts';
import { byId, bytesText, element, secondsText, setText } from './format.ts';
import { showTable } from './slots.ts';

/** What the margin is, as a sentence. */
export function showMargin(status: CoreletStatus): void {
  const { arcs, lossesSurvivable } = status;
  const losses = `${lossesSurvivable} more ${lossesSurvivable === 1 ? 'loss' : 'losses'}`;
  const safe = lossesSurvivable === 0 ? 'The next loss makes data unavailable.' : `Survives ${losses}.`;
  setText(byId('margin'), arcs.unavailable > 0 ? `${arcs.unavailable} arcs can't be read or written now.` : safe);
}

/** Progress is counted from the most that was left since the rebuild began. */
export class RebuildBar {
  #mostBytes = 0;

  show({ rebuild }: CoreletStatus): void {
    const bar = byId('rebuild') as HTMLProgressElement;
    const { bytesLeft, bytesPerSecond, secondsLeft } = rebuild;
    this.#mostBytes = bytesLeft === 0 ? 0 : Math.max(this.#mostBytes, bytesLeft);
    bar.hidden = bytesLeft === 0;
    if (bytesLeft > 0) bar.value = 1 - bytesLeft / this.#mostBytes;
    const range =
      secondsLeft === null
        ? 'no estimate yet'
        : `full again in ${secondsText(secondsLeft * 0.8)} to ${secondsText(secondsLeft * 1.5)}`;
    const text = `${bytesText(bytesLeft)} left to rebuild at ${bytesText(bytesPerSecond)}/s, ${range}.`;
    setText(byId('rebuild-text'), bytesLeft === 0 ? 'Nothing to rebuild.' : text);
  }
}

export function showVolumes(volumes: readonly VolumeInfo[], uris: (name: string) => string): void {
  const rows = volumes.map((volume) => [
    volume.name,
    bytesText(volume.sizeBytes),
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
  if (list.dataset['shown'] === key) return;
  list.dataset['shown'] = key;
  const items = [...events].reverse().map((event) => {
    const at = new Date(event.atWallMs);
    const time = element('time', { datetime: at.toISOString() }, at.toLocaleTimeString());
    return element('li', {}, time, ` ${event.text}`);
  });
  list.replaceChildren(...(items.length > 0 ? items : [element('li', {}, 'Nothing happened yet.')]));
}
