import type { CoreletId } from '../base/ids.ts';
import type { Fabric, FabricAddress, FabricListener, Hello, SendResult } from '../ports/fabric.ts';
import type { Flash } from '../ports/flash.ts';
import type { SimEngine, SimProcess } from './engine.ts';

/**
 * What reaches a process from its device passes here: a paused one hears of it later, a dead one never. So the promises
 * of a dead process stay open for ever and none of its code runs again.
 */
export class GatedFlash implements Flash {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly #engine: SimEngine;
  readonly #owner: SimProcess;
  readonly #inner: Flash;
  readonly #onSync: ((lengthBytes: number) => void) | undefined;

  /** `onSync`: for a story, when a write is durable. */
  constructor(engine: SimEngine, owner: SimProcess, inner: Flash, onSync?: (lengthBytes: number) => void) {
    this.#onSync = onSync;
    this.#engine = engine;
    this.#owner = owner;
    this.#inner = inner;
    this.sizeBytes = inner.sizeBytes;
    this.sectorBytes = inner.sectorBytes;
  }

  writeDurably(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    const written = this.#inner.writeDurably(offset, parts);
    if (this.#onSync === undefined) return this.#gate('flash write', offset, written);
    const lengthBytes = parts.reduce((sum, part) => sum + part.length, 0);
    return this.#gate('flash write', offset, written).then(() => this.#onSync?.(lengthBytes));
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    return this.#gate('flash read', offset, this.#inner.read(offset, into));
  }

  prepare(offset: number, lengthBytes: number): Promise<void> {
    return this.#gate('flash prepare', offset, this.#inner.prepare(offset, lengthBytes));
  }

  close(): Promise<void> {
    return this.#gate('flash close', 0, this.#inner.close());
  }

  #gate(label: string, offset: number, work: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const arrive = (run: () => void) => {
        this.#engine.trace.label(label);
        this.#engine.trace.number(offset);
        this.#engine.enter(this.#owner, run);
      };
      work.then(
        () => arrive(resolve),
        (error: unknown) => arrive(() => reject(error instanceof Error ? error : new Error(String(error)))),
      );
    });
  }
}

/** The same for what comes from its peers. */
export class GatedFabric<Message extends { readonly type: string }> implements Fabric<Message> {
  readonly #engine: SimEngine;
  readonly #owner: SimProcess;
  readonly #inner: Fabric<Message>;
  readonly #onSend: ((to: CoreletId, message: Message) => void) | undefined;

  /** `onSend`: for checkers, before the fabric takes it. */
  constructor(
    engine: SimEngine,
    owner: SimProcess,
    inner: Fabric<Message>,
    onSend?: (to: CoreletId, message: Message) => void,
  ) {
    this.#engine = engine;
    this.#owner = owner;
    this.#inner = inner;
    this.#onSend = onSend;
  }

  get self(): Hello {
    return this.#inner.self;
  }

  start(listener: FabricListener<Message>, starts?: ReadonlyMap<CoreletId, number>): Promise<void> {
    const deliver = (from: CoreletId, message: Message) => {
      this.#engine.trace.label(message.type);
      listener.message(from, message);
    };
    const gated: FabricListener<Message> = {
      message: (from, message) => {
        if (this.#owner.state === 'running') deliver(from, message);
        else this.#engine.enter(this.#owner, () => deliver(from, message));
      },
      peerUp: (peer) => this.#engine.enter(this.#owner, () => listener.peerUp(peer)),
      peerDown: (peer, reason) => this.#engine.enter(this.#owner, () => listener.peerDown(peer, reason)),
      superseded: (by) => this.#engine.enter(this.#owner, () => listener.superseded?.(by)),
    };
    return this.#inner.start(gated, starts);
  }

  setPeers(peers: ReadonlyMap<CoreletId, FabricAddress>): void {
    this.#inner.setPeers(peers);
  }

  send(to: CoreletId, message: Message): SendResult {
    this.#onSend?.(to, message);
    return this.#inner.send(to, message);
  }

  isUp(peer: CoreletId): boolean {
    return this.#inner.isUp(peer);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
