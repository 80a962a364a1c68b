import assert from 'node:assert/strict';
import type { Clock } from '../../../src/ports/clock.ts';
import { ScsiDeviceServer } from '../../../src/targets/scsi/server.ts';
import type { NexusListener, ScsiNexus, TaskLoss } from '../../../src/targets/scsi/types.ts';
import { Abandonment } from '../../../src/volume/abandonment.ts';
import { statuses } from '../../../src/wire/scsi/codes.ts';
import { encodeReserveOut } from '../../../src/wire/scsi/persistent-out.ts';
import { decodeSense, type Sense } from '../../../src/wire/scsi/sense.ts';
import { realClock } from '../nbd/clocks.ts';
import { type MemoryVolume, MemoryVolumes } from './memory-volume.ts';

export const mebi = 1024 * 1024;

export interface Result {
  readonly status: number;
  readonly sense: Sense | undefined;
  readonly rawSense: Uint8Array;
  readonly data: Uint8Array;
  readonly transferBytes: number;
  /** Answered before any data was asked for. */
  readonly isRefused: boolean;
}

/** An initiator port that has logged in; `run` does what a transport does. */
export class Initiator implements NexusListener {
  readonly losses: TaskLoss[] = [];
  #nexus: ScsiNexus | undefined;

  static async login(server: ScsiDeviceServer, name = 'iqn.2026-01.test:a', volume = 'v'): Promise<Initiator> {
    const initiator = new Initiator();
    const nexus = await server.connect(volume, { name, isid: '00023d000001' }, initiator);
    assert.ok(typeof nexus !== 'string', `logged in: ${JSON.stringify(nexus)}`);
    initiator.#nexus = nexus;
    return initiator;
  }

  /** With the first unit attention taken. */
  static async ready(server: ScsiDeviceServer, name?: string, volume?: string): Promise<Initiator> {
    const initiator = await Initiator.login(server, name, volume);
    await initiator.run([0, 0, 0, 0, 0, 0]);
    return initiator;
  }

  get nexus(): ScsiNexus {
    assert.ok(this.#nexus);
    return this.#nexus;
  }

  async abortTasks(loss: TaskLoss): Promise<void> {
    this.losses.push(loss);
  }

  async run(cdb: readonly number[], out: Uint8Array = new Uint8Array(0), lun = 0): Promise<Result> {
    const bytes = new Uint8Array(16);
    bytes.set(cdb);
    const field = Uint8Array.of(0, lun, 0, 0, 0, 0, 0, 0);
    const admission = this.nexus.admit(field, bytes, out.length);
    if (admission.kind === 'refused') return resultOf(admission.response, true);
    const lengthBytes = Math.min(out.length, admission.dataOutBytes);
    // As sockets deliver: in pieces of any length.
    const cut = Math.floor(lengthBytes / 3);
    const dataOut = [out.subarray(0, cut), out.subarray(cut, lengthBytes)].filter(({ length }) => length > 0);
    const command = { lun: field, cdb: bytes, dataOut, arrivedAfterMs: 0, abandonment: new Abandonment() };
    const response = await this.nexus.execute(command);
    assert.ok(response !== 'UNKNOWN', 'an answer');
    const result = resultOf(response, false);
    assert.ok(result.data.length <= admission.dataInBytesMax, 'no more data-in than was announced');
    return result;
  }

  /** It goes well. */
  async good(cdb: readonly number[], out?: Uint8Array): Promise<Uint8Array> {
    const result = await this.run(cdb, out);
    assert.equal(result.status, statuses.good, JSON.stringify(result.sense));
    return result.data;
  }

  /** It ends in CHECK CONDITION; the sense key, then ASC and ASCQ. */
  async bad(cdb: readonly number[], out?: Uint8Array): Promise<readonly [number, number]> {
    const result = await this.run(cdb, out);
    assert.equal(result.status, statuses.checkCondition);
    return [result.sense?.key ?? -1, result.sense?.code ?? -1];
  }
}

function resultOf(
  response: { status: number; sense: Uint8Array; dataIn: readonly Uint8Array[]; transferBytes: number },
  isRefused: boolean,
): Result {
  return {
    status: response.status,
    sense: response.sense.length === 0 ? undefined : decodeSense(response.sense),
    rawSense: response.sense,
    data: Buffer.concat(response.dataIn),
    transferBytes: response.transferBytes,
    isRefused,
  };
}

/** A Corelet's SCSI side over volumes in memory; two of them share what the volumes know. */
export function serverOver(volumes: readonly MemoryVolume[], slot = 0, clock: Clock = realClock): ScsiDeviceServer {
  return new ScsiDeviceServer({
    catalog: new MemoryVolumes(...volumes),
    clock,
    port: { relativePort: slot + 1, portGroup: slot + 1 },
    portGroups: () => [
      { relativePort: 1, portGroup: 1, state: 'activeOptimized' },
      { relativePort: 2, portGroup: 2, state: 'unavailable' },
    ],
    targetName: (volume) => `iqn.2026-01.io.corelet:${volume}`,
  });
}

export const u16 = (value: number): number[] => [value >>> 8, value & 255];
export const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value & 0xffff)];
export const u64 = (value: number): number[] => [...u32(Math.floor(value / 2 ** 32)), ...u32(value % 2 ** 32)];

export const cdb = {
  read10: (lba: number, blocks: number, flags = 0) => [0x28, flags, ...u32(lba), 0, ...u16(blocks), 0],
  write10: (lba: number, blocks: number, flags = 0) => [0x2a, flags, ...u32(lba), 0, ...u16(blocks), 0],
  read16: (lba: number, blocks: number) => [0x88, 0, ...u64(lba), ...u32(blocks), 0, 0],
  write16: (lba: number, blocks: number) => [0x8a, 0, ...u64(lba), ...u32(blocks), 0, 0],
  reserveIn: (action: number, allocation = 1024) => [0x5e, action, 0, 0, 0, 0, 0, ...u16(allocation), 0],
  reserveOut: (action: number, type = 0, lengthBytes = 24) => [0x5f, action, type, 0, 0, ...u32(lengthBytes), 0],
};

export function reserveOutList(key: number, actionKey: number, flags = 0): Uint8Array {
  return encodeReserveOut({
    key: key.toString(16).padStart(16, '0'),
    actionKey: actionKey.toString(16).padStart(16, '0'),
    names: (flags & 8) !== 0,
    allTargetPorts: (flags & 4) !== 0,
    persists: (flags & 1) !== 0,
  });
}
