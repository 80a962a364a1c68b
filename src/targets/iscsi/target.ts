import type { Clock } from '../../ports/clock.ts';
import type { Hashes } from '../../ports/hashes.ts';
import type { Random } from '../../ports/random.ts';
import type { ScsiTargets } from '../scsi/types.ts';
import { Budget } from '../budget.ts';
import { IscsiConnection } from './connection.ts';
import type { TargetDirectory } from './directory.ts';
import { defaultIscsiLimits, type IscsiLimits } from './limits.ts';
import type { IscsiOutput } from './output.ts';
import { type SessionInfo, Sessions } from './sessions.ts';

export interface IscsiTargetOptions {
  readonly scsi: ScsiTargets;
  readonly directory: TargetDirectory;
  readonly clock: Clock;
  readonly random: Random;
  readonly hashes: Hashes;
  readonly limits?: Partial<IscsiLimits>;
}

/** What all connections of this Corelet share. */
export interface TargetContext extends Omit<IscsiTargetOptions, 'limits'> {
  readonly limits: IscsiLimits;
  readonly sessions: Sessions;
  readonly budget: Budget;
}

/** The iSCSI target of one Corelet: every volume, behind one portal group. */
export class IscsiTarget {
  readonly #context: TargetContext;

  constructor(options: IscsiTargetOptions) {
    const limits = { ...defaultIscsiLimits, ...options.limits };
    this.#context = { ...options, limits, sessions: new Sessions(), budget: new Budget(limits.sharedBytesMax) };
  }

  /** A new connection; `start` follows. */
  open(output: IscsiOutput): IscsiConnection {
    return new IscsiConnection(this.#context, output);
  }

  sessions(): readonly SessionInfo[] {
    return this.#context.sessions.list();
  }
}
