import { byId, setText } from './format.ts';
import { RebuildBar, showEvents, showMargin, showVolumes } from './panels.ts';
import { showRing } from './ring.ts';
import { SlotGrid, showSlotTable } from './slots.ts';
import { ChassisSource, type Snapshot } from './source.ts';

const pollMs = 1_000;
/** Between two Corelets that don't answer. */
const retryMs = 100;

const source = new ChassisSource();
const grid = new SlotGrid();
const rebuild = new RebuildBar();

function show({ status, others, volumes, events }: Snapshot): void {
  const { answeredBy, view } = status;
  setText(
    byId('answered'),
    `Slot ${answeredBy.slot} answers (${source.address}); view ${view.number} of ${view.members} members`,
  );
  showMargin(status, others);
  rebuild.show(status);
  grid.show(status);
  showSlotTable(status);
  showRing(status);
  showVolumes(volumes.volumes, (name) => source.connectText(answeredBy.slot, name));
  showEvents(events.events);
}

async function poll(): Promise<void> {
  const snapshot = await source.read();
  if (snapshot === undefined) setText(byId('answered'), `${source.address} is asked next …`);
  else show(snapshot);
  setTimeout(() => void poll(), snapshot === undefined ? retryMs : pollMs);
}

void poll();
