import type { CoreletId } from '../base/ids.ts';
import type { RaftWireMessage } from './raft-wire.ts';

/** Messages kept for a replica that may not answer yet; more are dropped, and come again. */
const heldMax = 64;

/** Of a replica that may not speak yet: what came in the meantime. */
export class Reticence {
  readonly held: { readonly from: CoreletId; readonly message: RaftWireMessage }[] = [];
  /** Since when a leader has sent entries in vain. */
  addressedSinceMs = Number.POSITIVE_INFINITY;

  hold(from: CoreletId, message: RaftWireMessage, nowMs: number): void {
    if (message.type === 'append') this.addressedSinceMs = Math.min(this.addressedSinceMs, nowMs);
    if (this.held.length < heldMax) this.held.push({ from, message });
  }
}
