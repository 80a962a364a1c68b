import { errorEntry, transports } from '../../wire/nvme/logs.ts';
import type { Command } from './command.ts';
import { errorEntriesMax, lbaBytes } from './limits.ts';

/** The newest failures of one controller, for the error log page. */
export class ErrorLog {
  count = 0;
  readonly #entries: Uint8Array[] = [];

  add(qid: number, { cid, nsid, offset }: Pick<Command, 'cid' | 'nsid' | 'offset'>, status: number): void {
    this.count += 1;
    const entry = errorEntry.encode({
      count: this.count,
      sqid: qid,
      cid,
      status: (status << 1) & 0xffff,
      parameterAt: 0xffff,
      lba: Math.floor(offset / lbaBytes),
      nsid,
      transport: transports.tcp,
    });
    this.#entries.unshift(entry);
    if (this.#entries.length > errorEntriesMax) this.#entries.pop();
  }

  encode(): Uint8Array {
    const bytes = new Uint8Array(errorEntriesMax * errorEntry.sizeBytes);
    for (const [i, entry] of this.#entries.entries()) bytes.set(entry, i * entry.length);
    return bytes;
  }
}
