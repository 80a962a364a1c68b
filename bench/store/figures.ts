import { readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { Machine } from '../report.ts';

/** One number that was measured, and what it is to be. */
export interface Figure {
  readonly what: string;
  /** The median, where there were several runs. */
  readonly value: number;
  readonly unit: string;
  readonly runs?: readonly number[];
  readonly bar?: { readonly sense: 'at least' | 'at most'; readonly value: number };
}

export interface JobReport {
  readonly job: string;
  /** What ran, on what, how often: a paragraph for people. */
  readonly how: string;
  readonly figures: readonly Figure[];
  /** Said plainly where something is missing or was noticed. */
  readonly notes: readonly string[];
  /** It didn't come to an end, for this reason. */
  readonly failure?: string;
}

/** What `--json` prints. */
export interface StoreBenchReport {
  readonly schemaVersion: 1;
  readonly bench: 'store';
  readonly machine: Machine;
  readonly folder: string;
  readonly fileSystem: string;
  readonly quick: boolean;
  readonly jobs: readonly JobReport[];
}

export function isMet(figure: Figure): boolean | undefined {
  if (figure.bar === undefined) return undefined;
  return figure.bar.sense === 'at least' ? figure.value >= figure.bar.value : figure.value <= figure.bar.value;
}

/** The file system of a folder, as the system names it: kind, device, options (proc(5): mounts). */
export function fileSystemOf(folder: string): string {
  const path = resolve(folder);
  let found = 'unknown';
  let longest = -1;
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const [device = '', mount = '', kind = '', options = ''] = line.split(' ');
    if (mount === '' || mount.length < longest) continue;
    if (path !== mount && !path.startsWith(mount === '/' ? '/' : `${mount}/`)) continue;
    longest = mount.length;
    found = `${kind} on ${device} (${options})${cacheOf(device)}`;
  }
  return found;
}

/** What the kernel knows of the disk's cache: where it says "write through", a sync sends no flush. */
function cacheOf(device: string): string {
  try {
    return `, write cache: ${readFileSync(`/sys/class/block/${basename(device)}/queue/write_cache`, 'utf8').trim()}`;
  } catch {
    return ''; // a partition, or no disk
  }
}

export function titleOf(report: Omit<StoreBenchReport, 'jobs'>): string {
  const { machine } = report;
  const cpu = `${machine.processor}, ${machine.cores} cores, ${(machine.memoryBytes / 1e9).toFixed(0)} GB`;
  const lines = [
    `${cpu}, Linux ${machine.kernel}, Node ${machine.node}, ${machine.fio}`,
    `${report.folder}: ${report.fileSystem}`,
  ];
  if (report.quick)
    lines.push('--quick: small sizes and short runs. It shows that the tool works; the figures say nothing.');
  return lines.join('\n');
}

export function textOf(job: JobReport): string {
  const lines = ['', `${job.job}: ${job.how}`];
  for (const figure of job.figures) {
    const runs = figure.runs === undefined || figure.runs.length < 2 ? '' : `  (${figure.runs.map(shown).join(', ')})`;
    const met = isMet(figure);
    const bar =
      figure.bar === undefined
        ? ''
        : `  want ${figure.bar.sense} ${shown(figure.bar.value)}: ${met ? 'met' : 'MISSED'}`;
    lines.push(`  ${figure.what.padEnd(58)} ${shown(figure.value).padStart(9)} ${figure.unit}${bar}${runs}`);
  }
  for (const note of job.notes) lines.push(`  ${note}`);
  if (job.failure !== undefined) lines.push(`  FAILED: ${job.failure}`);
  return lines.join('\n');
}

function shown(value: number): string {
  if (Math.abs(value) >= 1000 || Number.isInteger(value)) return Math.round(value).toString();
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}
