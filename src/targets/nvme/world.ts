import type { Clock } from '../../ports/clock.ts';
import type { VolumeCatalog } from '../../volume/block-device.ts';
import type { KeyExchange } from '../../ports/key-exchange.ts';
import type { Random } from '../../ports/random.ts';
import type { HostSecrets } from './authentication.ts';
import type { Budget } from '../budget.ts';
import type { NvmeLimits } from './limits.ts';

/** A Corelet as hosts reach it. */
export interface Portal {
  readonly slot: number;
  readonly host: string;
  readonly port: number;
  readonly discoveryPort: number;
}

/** What is known of the device here, for the health log. */
export interface HealthReading {
  /** Blocks that couldn't be read. */
  readonly badReads: number;
  /** Share of the device that is out of use. */
  readonly badPercent: number;
  readonly failed: boolean;
  readonly temperatureCelsius?: number | undefined;
  readonly wearPercent?: number | undefined;
}

/** What the target asks of the Corelet around it. */
export interface NvmeWorld {
  readonly catalog: VolumeCatalog;
  /** Names of the volumes that a host may use. */
  readonly volumesFor: (hostNqn: string) => Promise<readonly string[] | 'RETRYABLE'>;
  /** What hosts of a volume have to prove; undefined: nothing. */
  readonly secretsOf: (volume: string) => Promise<HostSecrets | undefined | 'RETRYABLE'>;
  readonly exchange: KeyExchange;
  readonly random: Random;
  readonly clock: Clock;
  readonly slot: number;
  /** 32 hex digits. */
  readonly cluster: string;
  readonly version: string;
  /** All Corelets that hosts may use, this one too; `localAddress`: where a host reached us. */
  readonly portals: (localAddress: string) => readonly Portal[];
  /** Whether this Corelet hears a majority of the others: alone it can serve nothing. */
  readonly isConnected: () => boolean;
  readonly health: () => HealthReading;
}

/** Since the start, of all hosts. */
export interface Traffic {
  readCommands: number;
  writeCommands: number;
  readBytes: number;
  writtenBytes: number;
}

/** What all controllers of one Corelet share. */
export interface Shared extends NvmeWorld {
  readonly limits: NvmeLimits;
  readonly budget: Budget;
  readonly traffic: Traffic;
  readonly startedMs: number;
}
