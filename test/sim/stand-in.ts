import { neverScrubbed } from '../../src/healing/scrub.ts';
import type { ArcId, CoreletId, VolumeId } from '../../src/base/ids.ts';
import { blockBytes } from '../../src/base/ids.ts';
import type {
  CoreletHandle,
  CoreletOptions,
  CoreletPorts,
  CoreletStatus,
  ReplicaInspection,
} from '../../src/corelet/types.ts';
import type { Fabric } from '../../src/ports/fabric.ts';
import type { Flash } from '../../src/ports/flash.ts';
import type { SimHardware, SimMedium, SimProgram } from '../../src/sim/program.ts';
import type { BlockDevice, IoResult, ReadResult } from '../../src/volume/block-device.ts';
import type { PeerMessage } from '../../src/wire/peer/types.ts';

/** What the stand-in does wrong, so that the checkers can be seen to notice. */
export type Fault =
  | 'none'
  | 'stale-read' // now and then a read answers from the content of a while ago
  | 'lost-write' // an acknowledged write isn't kept
  | 'resurrected-write' // an overwritten value comes back
  | 'failed-write-lands' // the host is told RETRYABLE, and the write happens
  | 'torn-block' // half of a block keeps the old content
  | 'diverged-replica' // one replica's digest differs at the same index
  | 'two-leaders' // two replicas lead in one term
  | 'forgotten-term' // a restart begins with an older term
  | 'never-whole' // one arc stays without its third copy
  | 'hangs'; // an operation is never answered

const answerMs = 2;
const faultShare = 0.02;
const chatterMs = 20;

/**
 * A cluster's worth of Corelets that keep one shared content in memory: correct unless told otherwise, and so simple that what
 * the simulator says about it is about the simulator.
 */
export class StandIn implements SimProgram {
  readonly #fault: Fault;
  readonly #blocks = new Map<number, Uint8Array>();
  readonly #older = new Map<number, Uint8Array>();
  readonly #running = new Map<CoreletId, CoreletOptions>();
  #version = 1;
  #sizeBytes = 0;
  #term = 5;

  constructor(fault: Fault = 'none') {
    this.#fault = fault;
  }

  async format(flash: Flash): Promise<void> {
    await flash.writeDurably(0, [new Uint8Array(flash.sectorBytes)]);
  }

  async start(ports: CoreletPorts, options: CoreletOptions): Promise<CoreletHandle> {
    const { self } = options;
    await ports.flash.read(0, new Uint8Array(ports.flash.sectorBytes));
    await ports.fabric.start({ message: () => {}, peerUp: () => {}, peerDown: () => {} });
    ports.fabric.setPeers(new Map(options.seeds.map(({ id, address }) => [id, address])));
    chatter(ports, options);
    if (this.#fault === 'forgotten-term' && this.#running.has(self.id)) this.#term = 3;
    this.#running.set(self.id, options);
    return {
      id: self.id,
      catalog: { open: async () => this.#device(ports), list: async () => [] },
      volumes: {
        create: async ({ name, sizeBytes, copies }) => {
          this.#sizeBytes = sizeBytes;
          return { ok: true, value: { id: '1', name, sizeBytes, copies, epoch: 1, state: 'open' } };
        },
        list: async () => ({ ok: true, value: [] }),
        show: async () => ({ ok: false, code: 'NOT_FOUND', message: '' }),
        delete: async () => ({ ok: false, code: 'NOT_FOUND', message: '' }),
        access: async () => ({ ok: false, code: 'NOT_FOUND', message: '' }),
        setAccess: async () => ({ ok: false, code: 'NOT_FOUND', message: '' }),
      },
      isConnected: () => true,
      rules: { rules: async () => 'NOT_FOUND', namesFor: async () => [] },
      onSlotsChanged: () => {},
      status: () => ({}) as CoreletStatus,
      inspect: () => this.#inspect(self.slot),
      setMemberState: () => ({ ok: true }),
      scrub: async () => ({ ok: true, value: neverScrubbed }),
      failed: new Promise(() => {}),
      leave: async () => {},
      stop: async () => {},
    };
  }

  #inspect(slot: number): readonly ReplicaInspection[] {
    const copies = this.#fault === 'never-whole' ? 2 : 3;
    if (slot >= copies) return [];
    const voters = [...this.#running.values()]
      .filter(({ self }) => self.slot < copies)
      .map(({ self }) => `${self.id}.1`);
    const leads = slot === 0 || (this.#fault === 'two-leaders' && slot === 1);
    const diverged = this.#fault === 'diverged-replica' && slot === 2;
    const index = this.#version;
    const digest = () => `${index}${diverged ? ' and something else' : ''}`;
    const replica = {
      generation: 1,
      role: leads ? 'leader' : 'follower',
      term: this.#term,
      durableTerm: this.#term,
      commitIndex: index,
      appliedIndex: index,
      complete: true,
      voters,
      digest,
    };
    return [{ ...replica, arc: 0 as ArcId }];
  }

  #device(ports: CoreletPorts): BlockDevice {
    const later = (share = 1) =>
      new Promise<void>((resolve) => {
        ports.clock.after(answerMs * share * (0.5 + ports.random.fraction()), resolve);
      });
    const wrong = (fault: Fault) => this.#fault === fault && ports.random.fraction() < faultShare;
    const change = async (offset: number, bytes: Uint8Array): Promise<IoResult> => {
      await later(0.5);
      if (wrong('hangs')) return new Promise(() => {});
      const lands = wrong('failed-write-lands');
      if (!wrong('lost-write')) this.#store(offset, bytes, wrong('torn-block'));
      await later(0.5);
      return lands ? { ok: false, code: 'RETRYABLE' } : { ok: true };
    };
    return {
      id: 1 as VolumeId,
      name: 'stand-in',
      sizeBytes: this.#sizeBytes,
      readOnly: false,
      read: async (offset, lengthBytes): Promise<ReadResult> => {
        await later(0.5);
        if (wrong('resurrected-write')) for (const [block, bytes] of this.#older) this.#blocks.set(block, bytes);
        const bytes = this.#load(offset, lengthBytes, wrong('stale-read') ? this.#older : this.#blocks);
        await later(0.5);
        return { ok: true, parts: [bytes.subarray(0, 100), bytes.subarray(100)] };
      },
      write: (offset, data) => change(offset, data[0] as Uint8Array),
      zero: (offset, lengthBytes) => change(offset, new Uint8Array(lengthBytes)),
      trim: (offset, lengthBytes) => change(offset, new Uint8Array(lengthBytes)),
      compareAndWrite: (offset, _expected, data) => change(offset, data) as Promise<{ ok: true }>,
      writeSame: (offset, lengthBytes) => change(offset, new Uint8Array(lengthBytes)),
      close: () => undefined,
      flush: async () => ({ ok: true }),
      extents: async (_offset, lengthBytes) => ({ ok: true, extents: [{ lengthBytes, kind: 'data' }] }),
    };
  }

  #store(offset: number, bytes: Uint8Array, torn: boolean): void {
    this.#version++;
    for (let at = 0; at < bytes.length; ) {
      const block = Math.floor((offset + at) / blockBytes);
      const from = (offset + at) % blockBytes;
      const length = Math.min(blockBytes - from, bytes.length - at);
      const old = this.#blocks.get(block) ?? new Uint8Array(blockBytes);
      const merged = old.slice();
      merged.set(bytes.subarray(at, at + (torn && length === blockBytes ? length / 2 : length)), from);
      this.#older.set(block, old);
      this.#blocks.set(block, merged);
      at += length;
    }
  }

  #load(offset: number, lengthBytes: number, from: ReadonlyMap<number, Uint8Array>): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    for (let at = 0; at < lengthBytes; ) {
      const block = Math.floor((offset + at) / blockBytes);
      const start = (offset + at) % blockBytes;
      const length = Math.min(blockBytes - start, lengthBytes - at);
      const content = from.get(block);
      if (content !== undefined) bytes.set(content.subarray(start, start + length), at);
      at += length;
    }
    return bytes;
  }
}

/** Something for the network to carry, so that a trace covers it. */
function chatter(ports: CoreletPorts, options: CoreletOptions): void {
  const message: PeerMessage = {
    type: 'liveness',
    sequence: ports.random.u32(),
    echo: 0,
    echoHeldUs: 0,
    nextMs: 100,
    answer: false,
    wantsTickets: false,
    ticketMs: 0,
    flashWaitMs: 0,
    syncUs: 0,
    viewNumber: 1,
    ledDigest: 0,
    syncedBatches: 0,
    usedBytes: 0,
    sizeBytes: 0,
  };
  for (const { id } of options.seeds) ports.fabric.send(id, message);
  ports.clock.after(chatterMs, () => chatter(ports, options));
}

/** A device and a fabric that do nothing, at no speed: the stand-in keeps its content elsewhere. */
export function idleHardware(): SimHardware {
  const flash: Flash = {
    sizeBytes: 1 << 20,
    sectorBytes: 4096,
    writeDurably: async () => {},
    read: async () => {},
    prepare: async () => {},
    close: async () => {},
  };
  const medium: SimMedium = { attach: () => flash, crash: () => {}, setSlowness: () => {} };
  return {
    makeMedium: () => medium,
    wires: {
      attach: (self): Fabric<PeerMessage> => ({
        self,
        start: async () => {},
        setPeers: () => {},
        send: () => 'unreachable',
        isUp: () => false,
        close: async () => {},
      }),
      crash: () => {},
      cut: () => {},
      mend: () => {},
      setSlowness: () => {},
      setLoss: () => {},
    },
  };
}
