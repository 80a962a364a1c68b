import { doNotRetry, logPages, noticeBits, notices, noticeType, statuses } from '../../wire/nvme/codes.ts';
import type { Command } from './command.ts';
import { asyncEventsMax } from './limits.ts';
import type { Queue } from './queue.ts';

export type NoticeName = keyof typeof notices;

const logOf = {
  namespaceChanged: logPages.changedNamespaces,
  anaChanged: logPages.ana,
  discoveryChanged: logPages.discovery,
} as const;

/** Asynchronous events of one controller (base §5.2): each kind is told once, and again only after its log was read. */
export class AsyncEvents {
  /** Feature 0Bh: which the host wants. */
  mask = 0;
  readonly #queue: Queue;
  readonly #waiting: Command[] = [];
  readonly #pending = new Set<NoticeName>();
  /** Told, and the log not read since. */
  readonly #told = new Set<NoticeName>();

  constructor(queue: Queue) {
    this.#queue = queue;
  }

  /** A host's request to be told. Also for the admin queue when it stops: those are answered by nobody. */
  request(command: Command): void {
    if (this.#waiting.length >= asyncEventsMax) {
      this.#queue.complete(command, statuses.asyncEventLimitExceeded | doNotRetry);
      return;
    }
    this.#queue.hold(command);
    this.#waiting.push(command);
    this.#tell();
  }

  raise(notice: NoticeName): void {
    if ((this.mask & noticeBits[notice]) === 0) return;
    this.#pending.add(notice);
    this.#tell();
  }

  /** The log page was read and not kept (RAE 0). */
  logRead(page: number): void {
    for (const notice of this.#told) if (logOf[notice] === page) this.#told.delete(notice);
    this.#tell();
  }

  /** True: it was one of ours, and is answered. */
  abort(command: Command): boolean {
    const at = this.#waiting.indexOf(command);
    if (at < 0) return false;
    this.#waiting.splice(at, 1);
    this.#queue.complete(command, statuses.abortRequested);
    return true;
  }

  /** A controller reset: nothing is outstanding any more, unanswered. */
  clear(): void {
    for (const command of this.#waiting.splice(0)) this.#queue.complete(command, statuses.abortRequested);
    this.#pending.clear();
    this.#told.clear();
    this.mask = 0;
  }

  #tell(): void {
    for (const notice of this.#pending) {
      if (this.#waiting.length === 0) return;
      if (this.#told.has(notice)) continue;
      this.#pending.delete(notice);
      this.#told.add(notice);
      const command = this.#waiting.shift() as Command;
      this.#queue.complete(command, statuses.success, noticeType | (notices[notice] << 8) | (logOf[notice] << 16));
    }
  }
}
