import type { ScsiResponse } from '../scsi/types.ts';
import { noResidual, type Residual } from '../../wire/iscsi/scsi-response.ts';
import type { SessionParameters } from './negotiation.ts';
import { goesOn, type Responder, sequenceEnds } from './responder.ts';
import type { Task } from './task.ts';

const good = 0x00;

/** A command's data as Data-In PDUs: none longer than the initiator takes, sequences no longer than a burst, the status with the last. */
export class DataInSender {
  readonly #responder: Responder;
  readonly #segmentBytes: number;
  readonly #burstBytes: number;

  constructor(responder: Responder, { initiatorSegmentBytes, maxBurstBytes }: SessionParameters) {
    this.#responder = responder;
    this.#segmentBytes = initiatorSegmentBytes;
    this.#burstBytes = maxBurstBytes;
  }

  /** @returns whether the status went with the data: no response need follow. */
  send(task: Task, response: ScsiResponse, residual: Residual): boolean {
    let totalBytes = 0;
    for (const part of response.dataIn) totalBytes += part.length;
    totalBytes = Math.min(totalBytes, task.expectedBytes);
    if (totalBytes === 0) return false;
    const isLastWord = response.status === good;
    const cursor = new PartCursor(response.dataIn);
    for (let offset = 0; offset < totalBytes; ) {
      const burstLeft = this.#burstBytes - (offset % this.#burstBytes);
      const bytes = Math.min(this.#segmentBytes, burstLeft, totalBytes - offset);
      const isLast = offset + bytes === totalBytes;
      const parts = cursor.take(bytes);
      const end =
        isLast && isLastWord
          ? { final: true, status: response.status, residual }
          : isLast || bytes === burstLeft
            ? sequenceEnds
            : goesOn;
      this.#responder.data(task, parts, bytes, offset, end);
      offset += bytes;
    }
    return isLastWord;
  }
}

/** Takes views of so many bytes after the other. */
class PartCursor {
  readonly #parts: readonly Uint8Array[];
  #part = 0;
  #at = 0;

  constructor(parts: readonly Uint8Array[]) {
    this.#parts = parts;
  }

  take(bytes: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    for (let left = bytes; left > 0; ) {
      const part = this.#parts[this.#part] as Uint8Array;
      const count = Math.min(left, part.length - this.#at);
      if (count > 0) taken.push(count === part.length ? part : part.subarray(this.#at, this.#at + count));
      left -= count;
      this.#at += count;
      if (this.#at === part.length) {
        this.#part += 1;
        this.#at = 0;
      }
    }
    return taken;
  }
}

/** What the command moved, against what the initiator expected (RFC 7143 §11.4.5). */
export function residualFor(task: Task, { transferBytes }: ScsiResponse): Residual {
  const difference = transferBytes - task.expectedBytes;
  if (difference === 0) return noResidual;
  return difference > 0 ? { kind: 'overflow', bytes: difference } : { kind: 'underflow', bytes: -difference };
}
