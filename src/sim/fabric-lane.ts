import { joined } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import { FrameDecoder } from '../wire/peer/frame-decoder.ts';
import { FrameEncoder } from '../wire/peer/frame-encoder.ts';
import { frameHeaderBytes } from '../wire/peer/frame-header.ts';
import type { PeerMessage } from '../wire/peer/types.ts';
import type { SimFabric } from './fabric-end.ts';

/** In a frame's header: of its heads, of its payloads, of itself. */
const headCrcsAt = 16;

/**
 * Messages whose protocols repeat by themselves and bear to see one twice, late or never: a frame of only these may
 * vanish, double or overtake. Anything else keeps the port's promise, as TCP would.
 */
const repeated: ReadonlySet<PeerMessage['type']> = new Set([
  'liveness',
  'append',
  'appendReply',
  'vote',
  'voteReply',
  'readProbe',
  'readProbeReply',
  'timeoutNow',
  'routes',
  'complaint',
]);

/** One end's idea of a connection: what it sends goes through `lanes`. */
export interface SimHalf {
  readonly owner: SimFabric;
  readonly remote: SimFabric;
  /** The other end's. */
  opposite: SimHalf | undefined;
  readonly lanes: readonly SimLane[];
  state: 'opening' | 'up' | 'closed';
  /** The other end is gone; the news is on its way, or waits for the path to be mended. */
  orphan: boolean;
}

/** One direction of one lane: gathers a turn's messages, and keeps them in order on the way. */
export class SimLane {
  readonly half: SimHalf;
  readonly number: number;
  dirty = false;
  /** On the way or held by a cut: what a socket's buffers would hold. */
  flightBytes = 0;
  lastArrivalMs = 0;
  /** Frames that wait for a cut to be mended. */
  readonly held: SimFrame[] = [];
  readonly #encoder = new FrameEncoder();
  #repeatedOnly = true;
  readonly #decoder: FrameDecoder;

  constructor(half: SimHalf, number: number) {
    this.half = half;
    this.number = number;
    const { owner, remote } = half;
    this.#decoder = new FrameDecoder((message) => {
      // The receiver may have closed the connection while it handled an earlier message of the frame.
      if (half.opposite?.state === 'up') remote.receive(owner.self.id, message);
    });
  }

  get queuedBytes(): number {
    return this.#encoder.bytes + this.flightBytes;
  }

  add(message: PeerMessage): void {
    this.#encoder.add(message);
    if (!repeated.has(message.type)) this.#repeatedOnly = false;
  }

  /** The turn's frames, copied: what the sender does with its buffers from here on changes nothing. */
  take(): SimFrame | undefined {
    if (this.#encoder.empty) return undefined;
    const bytes = joined(this.#encoder.take());
    this.#encoder.written(true);
    const repeatedOnly = this.#repeatedOnly;
    this.#repeatedOnly = true;
    this.flightBytes += bytes.length;
    return { lane: this, bytes, repeatedOnly };
  }

  /** Hands a frame to the receiver's decoder; `cutAt` splits it as a socket may. False: the decoder gave up. */
  deliver(frame: SimFrame, cutAt: number): boolean {
    try {
      if (cutAt > 0) this.#decoder.push(frame.bytes.subarray(0, cutAt));
      this.#decoder.push(cutAt > 0 ? frame.bytes.subarray(cutAt) : frame.bytes);
      return true;
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      return false;
    }
  }
}

export interface SimFrame {
  readonly lane: SimLane;
  readonly bytes: Uint8Array;
  readonly repeatedOnly: boolean;
}

/** The header's checksums: they stand for the frame in a trace. */
export function frameDigest({ bytes }: SimFrame): number {
  let digest = bytes.length;
  for (let at = headCrcsAt; at < frameHeaderBytes; at++)
    digest = Math.imul(digest ^ (bytes[at] as number), 0x0100_0193);
  return digest;
}
