import type { ClusterId, CoreletId } from '../base/ids.ts';

/** Separate connections and queues, so that bulk never delays a heartbeat or a host. */
export const lanes = { liveness: 0, host: 1, heal: 2 } as const;
export type Lane = (typeof lanes)[keyof typeof lanes];
export const laneCount = 3;

/** `unix:PATH` or `tcp:HOST:PORT`. */
export type FabricAddress = string;

/** What a Corelet says of itself when a connection opens. */
export interface Hello {
  readonly cluster: ClusterId;
  readonly id: CoreletId;
  /** New at every start, growing: random low bits, so that two starts never share one. */
  readonly incarnation: number;
}

export type SendResult = 'queued' | 'full' | 'unreachable';

/** What the fabric tells its owner. Called on the owner's turn, never from within `send`. */
export interface FabricListener<Message> {
  /** Payload views inside `message` are the receiver's to keep: the fabric never writes to them again. */
  message(from: CoreletId, message: Message): void;
  /** All lanes to this peer (of this incarnation) are open. */
  peerUp(peer: Hello): void;
  /** A connection ended. `reset`: the other process is gone or closed it; `protocol`: it sent what can't be decoded. */
  peerDown(peer: CoreletId, reason: 'reset' | 'protocol' | 'replaced'): void;
  /** `by` knows of a later start of this very Corelet, such as on a copy of its device: nobody will hear this one again. */
  superseded?(by: CoreletId): void;
}

/**
 * Peer-to-peer messages, at most once, in order per peer and lane while a connection lasts; lost when it ends.
 * Messages queued in one turn leave together as one frame. Every queue is bounded: `full` means dropped.
 */
export interface Fabric<Message> {
  readonly self: Hello;
  /** `starts`: the newest incarnation that was ever heard of peers. None of an earlier one is spoken with (INV-10). */
  start(listener: FabricListener<Message>, starts?: ReadonlyMap<CoreletId, number>): Promise<void>;
  /** Whom to keep connections with. Peers that aren't named any more are disconnected. */
  setPeers(peers: ReadonlyMap<CoreletId, FabricAddress>): void;
  /** The lane follows from the message's type. */
  send(to: CoreletId, message: Message): SendResult;
  isUp(peer: CoreletId): boolean;
  close(): Promise<void>;
}
