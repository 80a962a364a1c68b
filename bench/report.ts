import { cpus, release, totalmem } from 'node:os';
import type { Plan, StoreReport } from './jobs.ts';

/** What `--json` prints: everything that is needed to believe or repeat the figures. */
export interface BenchReport {
  readonly schemaVersion: 1;
  readonly bench: string;
  readonly machine: Machine;
  readonly plan: Plan;
  readonly stores: readonly StoreReport[];
}

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly fio: string;
}

export function describeMachine(fio: string): Machine {
  const processors = cpus();
  return {
    processor: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.versions.node,
    fio,
  };
}

export function tableOf(report: BenchReport): string {
  const { machine, plan } = report;
  const lines = [
    `${machine.processor}, ${machine.cores} cores, ${gigabytes(machine.memoryBytes)} GB, Linux ${machine.kernel}, Node ${machine.node}, ${machine.fio}`,
    `Medians over ${plan.repetitions} repetition${plan.repetitions === 1 ? '' : 's'} of ${plan.seconds} s, longest over all; ` +
      `a fresh store of ${plan.volumeBytes / 1024 / 1024} MiB each; fio's nbd engine on the same cores.` +
      (plan.warmUpSeconds > 0 ? ` Jobs of 4 KiB: after ${plan.warmUpSeconds} s of the same, not counted.` : ''),
  ];
  for (const store of report.stores) {
    lines.push(
      '',
      `${store.store} (${store.version})`,
      row(['', 'depth', 'IOPS', 'MB/s', 'p99 ms', 'longest ms', 'CPU µs/IO']),
    );
    for (const job of store.jobs) {
      lines.push(
        row([
          job.name,
          String(job.queueDepth),
          Math.round(job.iops).toString(),
          job.megabytesPerSecond.toFixed(1),
          job.p99Ms.toFixed(2),
          job.longestMs.toFixed(1),
          job.cpuMicrosPerIo.toFixed(1),
        ]),
      );
    }
    lines.push(`  RSS at rest, MB: ${store.residentBytes.map((bytes) => (bytes / 1e6).toFixed(1)).join('  ')}`);
  }
  return lines.join('\n');
}

function row(cells: readonly string[]): string {
  return cells.map((cell, i) => (i === 0 ? `  ${cell.padEnd(24)}` : cell.padStart(i === 1 ? 6 : 12))).join('');
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(0);
}
