import type { CoreletStatus } from '../corelet/types.ts';

interface Sample {
  readonly labels?: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export interface ProcessFigures {
  readonly version: string;
  readonly residentBytes: number;
  readonly cpuSeconds: number;
  readonly startWallSeconds: number;
  readonly eventsRecorded: number;
  /** Over the connections to other Corelets since the start; a write carries the messages of a turn. */
  readonly fabric?: FabricFigures;
  readonly turns?: TurnFigures;
}

/** How long the event loop took to come round, while hosts were connected. */
export interface TurnFigures {
  readonly longestMs: number;
  /** Turns over 100 ms. */
  readonly longCount: number;
}

export interface FabricFigures {
  readonly messagesSent: number;
  readonly messagesReceived: number;
  readonly writes: number;
  readonly reads: number;
}

/** The Prometheus text format (version 0.0.4): every metric with HELP and TYPE, base units, prefix `corelet_`. */
export function metricsText(status: CoreletStatus, figures: ProcessFigures): string {
  const lines: string[] = [];
  const add = (name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]): void => {
    lines.push(`# HELP corelet_${name} ${help}`, `# TYPE corelet_${name} ${type}`);
    for (const { labels, value } of samples) lines.push(`corelet_${name}${labelText(labels)} ${value}`);
  };
  const gauge = (name: string, help: string, value: number): void => add(name, 'gauge', help, [{ value }]);
  const { id, slot } = status.answeredBy;
  add('info', 'gauge', 'The Corelet that answers.', [
    { labels: { id, slot, cluster: status.cluster, version: figures.version }, value: 1 },
  ]);
  arcMetrics(status, add);
  gauge(
    'losses_survivable',
    'Corelets that may still be lost without an arc becoming unavailable.',
    status.lossesSurvivable,
  );
  gauge('rebuild_left_bytes', 'Bytes still to copy until every arc has all its copies.', status.rebuild.bytesLeft);
  gauge('rebuild_rate_bytes_per_second', 'Bytes copied per second by rebuild.', status.rebuild.bytesPerSecond);
  if (status.rebuild.secondsLeft !== null)
    gauge('rebuild_left_seconds', 'Estimated time until rebuild is done.', status.rebuild.secondsLeft);
  gauge('view_number', 'Number of the agreed view.', status.view.number);
  gauge('view_members', 'Members of the agreed view.', status.view.members);
  gauge(
    'view_frozen',
    '1 while the view can lose no member: too few are left or heard, or too many were lost at once.',
    status.view.frozen ? 1 : 0,
  );
  if (status.livenessSent !== undefined) {
    add('liveness_messages_total', 'counter', 'Messages sent for liveness and membership since the start.', [
      { value: status.livenessSent },
    ]);
  }
  gauge(
    'quarantined_blocks',
    'Blocks in this Corelet with two valid contents of one version: an error for hosts until they are written anew.',
    status.scrub?.quarantinedBlocks ?? 0,
  );
  slotMetrics(status, add);
  deviceMetrics(status, add);
  add('events_recorded_total', 'counter', 'Observations and decisions recorded since the start.', [
    { value: figures.eventsRecorded },
  ]);
  if (figures.fabric !== undefined) {
    const { messagesSent, messagesReceived, writes, reads } = figures.fabric;
    const counter = (name: string, help: string, value: number): void => add(name, 'counter', help, [{ value }]);
    counter('fabric_messages_sent_total', 'Messages to other Corelets since the start.', messagesSent);
    counter('fabric_messages_received_total', 'Messages from other Corelets since the start.', messagesReceived);
    counter('fabric_writes_total', 'Times that messages were handed to the system, those of a turn at once.', writes);
    counter('fabric_reads_total', 'Times that messages were taken from the system.', reads);
  }
  if (figures.turns !== undefined) {
    const { longestMs, longCount } = figures.turns;
    gauge(
      'event_loop_longest_turn_seconds',
      'Longest time between two looks at the clock (one is due every 0.02 s) while hosts were connected, since the start.',
      longestMs / 1000,
    );
    add(
      'event_loop_long_turns_total',
      'counter',
      'Times that it was more than 0.1 s: every host of this Corelet waited.',
      [{ value: longCount }],
    );
  }
  gauge('process_resident_memory_bytes', 'Resident memory of the process.', figures.residentBytes);
  add('process_cpu_seconds_total', 'counter', 'Processor time used by the process.', [{ value: figures.cpuSeconds }]);
  gauge('process_start_time_seconds', 'Start of the process, seconds since 1970.', figures.startWallSeconds);
  return `${lines.join('\n')}\n`;
}

type Add = (name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]) => void;

function arcMetrics({ arcs }: CoreletStatus, add: Add): void {
  const { full, reduced, noRedundancy, unavailable, waitingForRoom } = arcs;
  add('arcs', 'gauge', 'Arcs by redundancy; no_redundancy is part of reduced.', [
    { labels: { state: 'full' }, value: full },
    { labels: { state: 'reduced' }, value: reduced },
    { labels: { state: 'no_redundancy' }, value: noRedundancy },
    { labels: { state: 'unavailable' }, value: unavailable },
  ]);
  const help =
    'Arcs whose next copy is not begun, since it would fill a flash too far: insert a module, or delete or trim volumes.';
  add('arcs_waiting_for_room', 'gauge', help, [{ value: waitingForRoom }]);
}

function slotMetrics({ slots }: CoreletStatus, add: Add): void {
  const perSlot = (name: string, help: string, value: (slot: CoreletStatus['slots'][number]) => number): void =>
    add(
      name,
      'gauge',
      help,
      slots.map((slot) => ({ labels: { slot: slot.slot }, value: value(slot) })),
    );
  add(
    'slot_state',
    'gauge',
    'State of each slot: 1 for the state that it is in.',
    slots.map((slot) => ({ labels: { slot: slot.slot, state: slot.state }, value: 1 })),
  );
  perSlot('slot_safe_to_pull', '1 when the module may be drawn out without making data unavailable.', (slot) =>
    slot.safeToPull ? 1 : 0,
  );
  perSlot('slot_copies', 'Copies of arcs held.', (slot) => slot.copies);
  perSlot('slot_leads', 'Arcs led.', (slot) => slot.leads);
  perSlot('slot_used_bytes', 'Flash used.', (slot) => slot.usedBytes);
  perSlot('slot_size_bytes', 'Flash size.', (slot) => slot.sizeBytes);
}

/** Of the devices whose health is known here: the own one. A sensor that isn't there has no metric. */
function deviceMetrics({ slots }: CoreletStatus, add: Add): void {
  const known = slots.flatMap(({ slot, device }) => (device === undefined ? [] : [{ slot, device }]));
  type Of<Value> = (device: (typeof known)[number]['device']) => Value;
  const each = (name: string, type: 'gauge' | 'counter', help: string, value: Of<number | undefined>): void => {
    const samples = known.flatMap(({ slot, device }) => {
      const one = value(device);
      return one === undefined ? [] : [{ labels: { slot }, value: one }];
    });
    if (samples.length > 0) add(`device_${name}`, type, help, samples);
  };
  each('temperature_celsius', 'gauge', 'Temperature that the device tells.', (d) => d.temperatureCelsius);
  each('power_watts', 'gauge', 'Power that the device tells.', (d) => d.powerWatts);
  each('wear_ratio', 'gauge', 'Life used, as the device estimates it; 1 is what it was made for.', (d) =>
    d.wearPercent === undefined ? undefined : d.wearPercent / 100,
  );
  const quantiles: readonly (readonly [quantile: string, ms: Of<number>])[] = [
    ['0.5', (d) => d.syncMsP50],
    ['0.99', (d) => d.syncMsP99],
    ['1', (d) => d.syncMsMax],
  ];
  const syncs = known.flatMap(({ slot, device }) =>
    quantiles.map(([quantile, ms]) => ({ labels: { slot, quantile }, value: ms(device) / 1000 })),
  );
  if (syncs.length > 0) add('device_sync_seconds', 'gauge', 'Time until a write was durable, newest writes.', syncs);
  each('syncs_total', 'counter', 'Durable writes since the start.', (d) => d.syncs);
  each('bad_reads_total', 'counter', 'Blocks found corrupt or unreadable since the start.', (d) => d.badReads);
  each('damaged_map_pages_total', 'counter', 'Map pages found damaged since the start.', (d) => d.damagedMapPages);
  each('free_segments', 'gauge', 'Segments that hold nothing.', (d) => d.freeSegments);
  each('bad_segments', 'gauge', 'Segments given up because they could not be read.', (d) => d.badSegments);
  each('segment_uses_max', 'gauge', 'Times that the most used segment was taken into use.', (d) => d.segmentUsesMax);
  each('segment_uses_mean', 'gauge', 'Times that a segment was taken into use, mean.', (d) => d.segmentUsesMean);
  each('appended_bytes_total', 'counter', 'Data that arcs appended since the start.', (d) => d.hostBytes);
  each('written_bytes_total', 'counter', 'All that was written to the device since the start.', (d) => d.deviceBytes);
  each('write_amplification_ratio', 'gauge', 'Written per appended byte since the start.', (d) => d.writeAmplification);
  each('map_bytes', 'gauge', 'Memory of map pages.', (d) => d.mapBytes);
  each('chunk_table_bytes', 'gauge', 'Memory of chunk tables.', (d) => d.tableBytes);
  each('failed', 'gauge', '1 after a failed write: the Corelet stops.', (d) => (d.failed ? 1 : 0));
}

function labelText(labels: Sample['labels']): string {
  if (labels === undefined) return '';
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${String(value).replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`))}"`,
  );
  return `{${pairs.join(',')}}`;
}
