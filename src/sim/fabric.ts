import { mix32 } from '../base/prng.ts';
import type { CoreletId } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import { type FabricAddress, type Hello, laneCount } from '../ports/fabric.ts';
import type { Random } from '../ports/random.ts';
import { type DownReason, SimFabric } from './fabric-end.ts';
import { frameDigest, type SimFrame, type SimHalf, SimLane } from './fabric-lane.ts';

export { SimFabric } from './fabric-end.ts';

export interface NetworkOptions {
  /** One way, uniform between the two. */
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  /** Share of frames that are lost, everywhere; `setLoss` adds it for one Corelet. */
  readonly lossShare: number;
  /** Share of frames, of those whose messages bear it, that arrive twice, or overtake. */
  readonly duplicateShare: number;
  readonly reorderShare: number;
  /** Share of frames that reach the decoder in two pieces. */
  readonly splitShare: number;
  /** A lost frame that its protocol doesn't repeat is sent again after this, as TCP does; those behind it wait. */
  readonly retransmitMs: number;
  /** Of connections that a cut has held up: the share that is reset when it is mended. The others go on where they were. */
  readonly resetAfterCutShare: number;
  readonly redialMinMs: number;
  readonly redialMaxMs: number;
}

const defaults: NetworkOptions = {
  delayMinMs: 0.03,
  delayMaxMs: 0.4,
  lossShare: 0,
  duplicateShare: 0,
  reorderShare: 0,
  splitShare: 0.02,
  retransmitMs: 200,
  resetAfterCutShare: 0.5,
  redialMinMs: 50,
  redialMaxMs: 500,
};
/** Later than what overtakes it, at least. */
const orderStepMs = 1e-6;

/** Of one Corelet's links, for a while. */
interface Disorder {
  readonly share: number;
  readonly laneDelaysMs: readonly number[];
}

/** One frame delivered, for a trace. */
export interface FrameTrace {
  readonly from: CoreletId;
  readonly to: CoreletId;
  readonly lane: number;
  readonly bytes: number;
}

/**
 * All links between simulated Corelets. Frames pass the real codec, in per-turn frames as on sockets; every choice is
 * drawn from `random`, every delay is virtual, so a seed replays. Directions are separate: a path is (from, to).
 */
export class SimNetwork {
  readonly clock: Clock;
  /** Folds every delivered frame and every end of a connection: equal for equal runs. */
  traceHash = 0;
  /** Called for each frame as it is delivered. */
  onFrame: ((frame: FrameTrace) => void) | undefined;
  /** Connections refused because the other side belongs to another cluster or is someone else. */
  refusals = 0;
  readonly #random: Random;
  readonly #options: NetworkOptions;
  readonly #ends = new Set<SimFabric>();
  readonly #cuts = new Set<string>();
  readonly #slowness = new Map<CoreletId, number>();
  readonly #slowPaths = new Map<string, number>();
  readonly #loss = new Map<CoreletId, number>();
  readonly #disorder = new Map<CoreletId, Disorder>();

  constructor(clock: Clock, random: Random, options: Partial<NetworkOptions> = {}) {
    this.clock = clock;
    this.#random = random;
    this.#options = { ...defaults, ...options };
  }

  /** A new plug, as for a process that starts. Earlier ones of the same id live on (a cloned device) unless crashed. */
  attach(hello: Hello, address: FabricAddress): SimFabric {
    const end = new SimFabric(this, hello, address);
    this.#ends.add(end);
    return end;
  }

  /** The process is gone: what was on its way to it is lost; peers hear of a reset shortly, or when the path is mended. */
  crash(id: CoreletId): void {
    for (const end of this.#ends) if (end.self.id === id) this.end(end);
  }

  /** Nothing gets from `from` to `to`; what is sent waits, as in a socket. */
  cut(from: CoreletId, to: CoreletId): void {
    this.#cuts.add(`${from}>${to}`);
  }

  /** Cuts every path between different groups. */
  partition(groups: readonly (readonly CoreletId[])[]): void {
    for (const group of groups) {
      for (const other of groups) {
        if (other === group) continue;
        for (const from of group) for (const to of other) this.cut(from, to);
      }
    }
  }

  /** One path, or all. What a cut held up arrives now, or its connection is reset. */
  mend(from?: CoreletId, to?: CoreletId): void {
    if (from === undefined || to === undefined) {
      this.#cuts.clear();
      this.#slowPaths.clear();
    } else this.#cuts.delete(`${from}>${to}`);
    for (const end of this.#ends) for (const half of end.halves.values()) this.#revive(half);
  }

  /** 1 = as it is; 20 = everything to and from it takes twenty times as long. */
  setSlowness(id: CoreletId, factor: number): void {
    if (factor === 1) this.#slowness.delete(id);
    else this.#slowness.set(id, factor);
  }

  /** The same for what one sends to the other, and back, until all is mended. */
  slowPath(one: CoreletId, other: CoreletId, factor: number): void {
    for (const path of [`${one}>${other}`, `${other}>${one}`]) this.#slowPaths.set(path, factor);
  }

  /** Share of frames lost on the way to and from `id`. */
  setLoss(id: CoreletId, share: number): void {
    if (share === 0) this.#loss.delete(id);
    else this.#loss.set(id, share);
  }

  /** Frames to and from `id` that bear it come twice or overtake, this often more; each lane is late by up to `laneDelayMs`. */
  setDisorder(id: CoreletId, share: number, laneDelayMs: number): void {
    if (share === 0 && laneDelayMs === 0) this.#disorder.delete(id);
    else
      this.#disorder.set(id, {
        share,
        laneDelaysMs: Array.from({ length: laneCount }, () => this.#random.fraction() * laneDelayMs),
      });
  }

  /** Hears nothing until `resume`; its connections stay. */
  pause(id: CoreletId): void {
    for (const end of this.#ends) if (end.self.id === id) end.pause();
  }

  resume(id: CoreletId): void {
    for (const end of this.#ends) if (end.self.id === id) end.resume();
  }

  // ---- what the plugs ask --------------------------------------------------------------------------------------------

  /** The plug is pulled. */
  end(end: SimFabric): void {
    if (end.state === 'closed') return;
    end.state = 'closed';
    this.#ends.delete(end);
    for (const half of end.halves.values()) this.disconnect(half);
  }

  /** One end closes the connection: it hears of it after its turn, the other when the news arrives. */
  disconnect(half: SimHalf): void {
    const { opposite, owner } = half;
    half.orphan = true;
    if (owner.state === 'started') this.clock.soon(() => owner.down(half, 'reset'));
    else owner.down(half, 'reset');
    if (opposite === undefined || opposite.state === 'closed') return;
    opposite.orphan = true;
    this.#tellOrphan(opposite);
  }

  /** Tries every named peer without a connection. */
  dial(end: SimFabric): void {
    if (end.state !== 'started') return;
    let missing = false;
    for (const [id, address] of end.peers) {
      if (end.halves.has(id)) continue;
      missing = true;
      if (this.#isCut(end.self.id, id)) continue;
      this.clock.after(this.#delayMs(end.self.id, id), () => this.#knock(end, id, address));
    }
    if (missing) this.redialLater(end);
  }

  redialLater(end: SimFabric): void {
    if (end.redialScheduled) return;
    end.redialScheduled = true;
    const { redialMinMs, redialMaxMs } = this.#options;
    const delayMs = Math.min(redialMaxMs, redialMinMs * 2 ** Math.min(end.redialFailures++, 10));
    this.clock.after(delayMs * (0.75 + this.#random.fraction() / 2), () => {
      end.redialScheduled = false;
      this.dial(end);
    });
  }

  transmit(frame: SimFrame): void {
    const { half } = frame.lane;
    const from = half.owner.self.id;
    const to = half.remote.self.id;
    if (this.#isCut(from, to) || frame.lane.held.length > 0) {
      frame.lane.held.push(frame);
      return;
    }
    const { lossShare } = this.#options;
    const disorder = this.#disorder.size === 0 ? undefined : (this.#disorder.get(from) ?? this.#disorder.get(to));
    const duplicateShare = Math.max(this.#options.duplicateShare, disorder?.share ?? 0);
    const reorderShare = Math.max(this.#options.reorderShare, disorder?.share ?? 0);
    const loss = Math.max(lossShare, this.#loss.get(from) ?? 0, this.#loss.get(to) ?? 0);
    let lateMs = disorder?.laneDelaysMs[frame.lane.number] ?? 0;
    if (this.#chance(loss)) {
      if (frame.repeatedOnly) {
        frame.lane.flightBytes -= frame.bytes.length;
        return;
      }
      lateMs += this.#options.retransmitMs * (1 + this.#random.fraction());
    }
    if (frame.repeatedOnly && this.#chance(reorderShare)) {
      this.#arriveAt(frame, this.clock.nowMs() + this.#delayMs(from, to) * 4);
      return;
    }
    this.#arriveInOrder(frame, lateMs);
    if (frame.repeatedOnly && this.#chance(duplicateShare)) {
      frame.lane.flightBytes += frame.bytes.length;
      this.#arriveAt(frame, frame.lane.lastArrivalMs + this.#delayMs(from, to));
    }
  }

  // ---- inside --------------------------------------------------------------------------------------------------------

  #arriveInOrder(frame: SimFrame, lateMs: number): void {
    const { lane } = frame;
    const delayMs = this.#delayMs(lane.half.owner.self.id, lane.half.remote.self.id);
    lane.lastArrivalMs = Math.max(this.clock.nowMs() + delayMs + lateMs, lane.lastArrivalMs + orderStepMs);
    this.#arriveAt(frame, lane.lastArrivalMs);
  }

  #arriveAt(frame: SimFrame, atMs: number): void {
    this.clock.after(atMs - this.clock.nowMs(), () => this.#arrive(frame));
  }

  #arrive(frame: SimFrame): void {
    const { lane, bytes } = frame;
    const { half } = lane;
    const receiver = half.opposite;
    lane.flightBytes -= bytes.length;
    if (receiver === undefined || receiver.state !== 'up' || receiver.owner.state !== 'started') return;
    this.#trace(frameDigest(frame));
    const from = half.owner.self.id;
    this.onFrame?.({ from, to: half.remote.self.id, lane: lane.number, bytes: bytes.length });
    const cutAt = this.#chance(this.#options.splitShare) ? this.#random.u32() % bytes.length : 0;
    if (!lane.deliver(frame, cutAt)) {
      receiver.owner.down(receiver, 'protocol');
      this.disconnect(receiver);
    }
  }

  /** A dial arrives: looks who listens there, and connects the two unless they are already. */
  #knock(caller: SimFabric, id: CoreletId, address: FabricAddress): void {
    const { self } = caller;
    if (caller.state !== 'started' || caller.halves.has(id) || caller.peers.get(id) !== address) return;
    if (this.#isCut(self.id, id) || this.#isCut(id, self.id)) return;
    const callee = this.#listenerAt(address);
    if (callee === undefined || callee === caller) return;
    if (callee.self.id !== id || callee.self.cluster !== self.cluster) {
      this.refusals++;
      return;
    }
    if (callee.isOver(self) || caller.isOver(callee.self)) {
      const [over, by] = callee.isOver(self) ? [caller, callee] : [callee, caller];
      this.refusals++;
      this.clock.after(this.#delayMs(by.self.id, over.self.id), () => over.superseded(by.self.id));
      return;
    }
    const old = callee.halves.get(self.id);
    if (old !== undefined) {
      const known = old.remote.self.incarnation;
      callee.down(old, known === self.incarnation ? 'reset' : 'replaced');
      this.disconnect(old); // a clone with the older incarnation may still hold its end
      if (callee.state !== 'started' || callee.halves.has(self.id) || caller.halves.has(id)) return;
    }
    this.#connect(caller, callee);
  }

  #connect(caller: SimFabric, callee: SimFabric): void {
    const near = makeHalf(caller, callee);
    const far = makeHalf(callee, caller);
    near.opposite = far;
    far.opposite = near;
    callee.starts.set(caller.self.id, caller.self.incarnation);
    caller.starts.set(callee.self.id, callee.self.incarnation);
    caller.halves.set(callee.self.id, near);
    callee.halves.set(caller.self.id, far);
    const consentMs = this.#delayMs(callee.self.id, caller.self.id);
    // What the callee sends in its first turn must not be there before the consent is.
    for (const lane of far.lanes) lane.lastArrivalMs = this.clock.nowMs() + consentMs;
    callee.up(far);
    this.clock.after(consentMs, () => caller.up(near));
  }

  #listenerAt(address: FabricAddress): SimFabric | undefined {
    let newest: SimFabric | undefined;
    for (const end of this.#ends) if (end.address === address && end.state === 'started') newest = end;
    return newest;
  }

  /** Tells an end whose other end is gone, after what was still on its way; not before the path is whole. */
  #tellOrphan(half: SimHalf): void {
    const from = half.remote.self.id;
    const to = half.owner.self.id;
    if (this.#isCut(from, to)) return;
    this.#down(half, 'reset', this.#delayMs(from, to));
  }

  #down(half: SimHalf, reason: DownReason, delayMs: number): void {
    this.clock.after(delayMs, () => {
      if (half.state === 'closed') return;
      this.#trace(reason.length);
      half.owner.down(half, reason);
    });
  }

  /** Its path may have been mended. */
  #revive(half: SimHalf): void {
    const from = half.owner.self.id;
    const to = half.remote.self.id;
    if (half.orphan && half.state !== 'closed') this.#tellOrphan(half);
    if (this.#isCut(from, to) || half.state === 'closed') return;
    const stuck = half.lanes.some((lane) => lane.held.length > 0);
    if (!stuck) return;
    if (this.#chance(this.#options.resetAfterCutShare)) {
      this.disconnect(half);
      return;
    }
    for (const lane of half.lanes) {
      for (const frame of lane.held.splice(0)) this.#arriveInOrder(frame, 0);
    }
  }

  #isCut(from: CoreletId, to: CoreletId): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from}>${to}`);
  }

  #delayMs(from: CoreletId, to: CoreletId): number {
    const { delayMinMs, delayMaxMs } = this.#options;
    const slow = this.#slowness;
    const endsFactor = slow.size === 0 ? 1 : (slow.get(from) ?? 1) * (slow.get(to) ?? 1);
    const factor = endsFactor * (this.#slowPaths.size === 0 ? 1 : (this.#slowPaths.get(`${from}>${to}`) ?? 1));
    return (delayMinMs + this.#random.fraction() * (delayMaxMs - delayMinMs)) * factor;
  }

  #chance(share: number): boolean {
    return share > 0 && this.#random.fraction() < share;
  }

  #trace(digest: number): void {
    this.traceHash = mix32(this.traceHash ^ digest);
  }
}

function makeHalf(owner: SimFabric, remote: SimFabric): SimHalf {
  const lanes: SimLane[] = [];
  const half: SimHalf = { owner, remote, opposite: undefined, lanes, state: 'opening', orphan: false };
  for (let number = 0; number < laneCount; number++) lanes.push(new SimLane(half, number));
  return half;
}
