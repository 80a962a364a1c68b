import { formatBytes } from '../base/units.ts';
import type { BadPlace } from '../store/inspect-findings.ts';
import type { DeviceReport, SegmentReport, SegmentUse } from '../store/inspect.ts';
import { table } from './terminal.ts';

export interface DeviceTextOptions {
  readonly kind: string;
  readonly inUse: boolean;
  readonly withSegments: boolean;
  /** Bad places that are listed. */
  readonly listedMax: number;
}

const count = (value: number, what: string): string =>
  `${value.toLocaleString('en-US')} ${value === 1 ? what : what.endsWith('h') ? `${what}es` : `${what}s`}`;
const percent = (ratio: number): string => `${Math.round(ratio * 100)} %`;

/** What `corelet device inspect` prints. */
export function deviceText(report: DeviceReport, options: DeviceTextOptions): string {
  const { segments } = report;
  const using = (use: SegmentUse): number => segments.filter((one) => one.use === use).length;
  const shape = `${count(segments.length, 'segment')} of ${formatBytes(report.segmentBytes)}`;
  const rows = [
    ['Corelet', report.corelet],
    ['Cluster', report.cluster],
    ['Device', `${options.kind}, ${formatBytes(report.deviceBytes)}, ${shape}`],
    ['Format', `version ${report.formatVersion}, device tag ${report.deviceTag}`],
    ['In use', options.inUse ? 'yes: a Corelet holds it and writes while this reads; figures are in motion' : 'no'],
    ['Superblock', copiesText(report.superblocks)],
    ['Anchors', copiesText(report.anchors)],
    ['Checkpoint', checkpointText(report)],
    ['Segments', `${using('log')} log, ${using('moved')} moved, ${using('free')} free, ${using('bad')} bad`],
    ['Live', liveText(segments)],
    ['Records', `${recordsText(report)} in ${count(report.batches, 'batch')}`],
    ['Data', `${count(report.blocks, 'block')} checked`],
    ['Bad', report.badCount === 0 ? 'nothing' : count(report.badCount, 'place')],
  ];
  for (const { position, segment, sequence } of report.cutShort) {
    const where = `batch ${sequence} at ${position} in segment ${segment}`;
    rows.push(['Cut short', `${where}: interrupted by a power cut or a kill, if it didn't rot`]);
  }
  const parts = [table(rows)];
  if (report.badCount > 0) parts.push(badText(report, options.listedMax));
  if (options.withSegments) parts.push(segmentsText(segments));
  return parts.join('\n');
}

function copiesText(
  copies: readonly { readonly state: string; readonly position: number; readonly number?: number }[],
): string {
  const states = [...new Set(copies.map(({ state }) => state))];
  if (states.length === 1 && states[0] === 'whole')
    return `${count(copies.length, 'copy').replace('copys', 'copies')}, all whole`;
  return copies.map(({ position, state }) => `${state} at ${position}`).join(', ');
}

function checkpointText({ checkpoint, damagedCheckpoints }: DeviceReport): string {
  const damaged = damagedCheckpoints.map((number) => `${number} is damaged`).join(', ');
  if (checkpoint === undefined) return damaged === '' ? 'none yet' : damaged;
  const whole = `${checkpoint.number}, whole (${count(checkpoint.tables, 'table')}), ${count(checkpoint.batchesSince, 'batch')} ago`;
  return damaged === '' ? whole : `${whole}; ${damaged}`;
}

/** The mean, and how the segments spread over tenths. */
function liveText(segments: readonly SegmentReport[]): string {
  const known = segments.filter((one) => one.use !== 'free' && one.liveRatio !== undefined);
  const since = segments.filter((one) => one.use !== 'free' && one.liveRatio === undefined).length;
  const later = since === 0 ? '' : `; ${count(since, 'segment')} taken into use since the checkpoint`;
  if (known.length === 0) return since === 0 ? 'nothing' : `not known before a checkpoint${later}`;
  const tenths = Array.from({ length: 10 }, () => 0);
  let sum = 0;
  for (const { liveRatio = 0 } of known) {
    sum += liveRatio;
    const tenth = Math.min(9, Math.floor(liveRatio * 10));
    tenths[tenth] = (tenths[tenth] as number) + 1;
  }
  const spread = tenths.flatMap((one, i) => (one === 0 ? [] : [`${i * 10}–${i * 10 + 10} %: ${one}`])).join(', ');
  return `${percent(sum / known.length)} of what is in use (segments by share: ${spread})${later}`;
}

function recordsText({ records }: DeviceReport): string {
  const kinds = Object.entries(records).filter(([, number]) => number > 0);
  const all = kinds.reduce((sum, [, number]) => sum + number, 0);
  const spelled = kinds.map(([kind, number]) => `${number.toLocaleString('en-US')} ${kind}`).join(', ');
  return `${all.toLocaleString('en-US')} (${spelled})`;
}

function badText({ bad, badCount, damagedCheckpoints }: DeviceReport, listedMax: number): string {
  const rows = bad
    .slice(0, listedMax)
    .map((place) => [
      String(place.position),
      place.segment === undefined ? '' : `segment ${place.segment}`,
      `${place.what} ${place.reason}`,
      nameOf(place),
    ]);
  const more = badCount - damagedCheckpoints.length - rows.length;
  const lines = rows.length === 0 ? '' : table(rows, [0]);
  return more > 0 ? `${lines}and ${more.toLocaleString('en-US')} more\n` : lines;
}

function nameOf({ arc, key, block }: BadPlace): string {
  const words = arc === undefined ? [] : [`arc ${arc}`];
  if (key !== undefined) words.push(`volume ${key.volume.toString(16).padStart(12, '0')}`, `chunk ${key.chunk}`);
  if (key !== undefined && key.layer !== 0) words.push(`layer ${key.layer}`);
  if (block !== undefined) words.push(`block ${block}`);
  return words.join(', ');
}

function segmentsText(segments: readonly SegmentReport[]): string {
  const rows = segments.map((one) => [
    String(one.segment),
    one.use,
    one.liveRatio === undefined || one.use === 'free' ? '' : percent(one.liveRatio),
    one.use === 'moved' ? String(one.generation) : '',
    String(one.uses),
    one.ageBatches === undefined ? '' : String(one.ageBatches),
    one.badPlaces === 0 ? '' : String(one.badPlaces),
  ]);
  const columns = ['SEGMENT', 'USE', 'LIVE', 'MOVED', 'USES', 'AGE (BATCHES)', 'BAD'];
  return table([columns, ...rows], [0, 2, 3, 4, 5, 6]);
}
