import type { CopyStatus } from '../../wire/scsi/copy.ts';
import { scsiLimits } from './limits.ts';

/** How the last copies of a nexus ended, by list id, until they are asked for (SPC-4 §6.4.3). */
export class CopyResults {
  readonly #byList = new Map<number, CopyStatus>();

  put(listId: number, status: CopyStatus): void {
    this.#byList.delete(listId);
    const [oldest] = this.#byList.keys();
    if (this.#byList.size >= scsiLimits.copyResultsMax && oldest !== undefined) this.#byList.delete(oldest);
    this.#byList.set(listId, status);
  }

  take(listId: number): CopyStatus | undefined {
    const status = this.#byList.get(listId);
    this.#byList.delete(listId);
    return status;
  }
}
