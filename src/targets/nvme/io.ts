import { assert } from '../../base/assert.ts';
import { chunkBytes } from '../../base/ids.ts';
import { joined } from '../../base/bytes.ts';
import { Abandonment } from '../../volume/abandonment.ts';
import {
  type BlockDevice,
  type CompareResult,
  compareBytesMax,
  type IoErrorCode,
  type IoResult,
  type ReadResult,
} from '../../volume/block-device.ts';
import { doNotRetry, fabricsOpcode, fabricsTypes, ioOpcodes, statuses } from '../../wire/nvme/codes.ts';
import { fuseMask, fuses } from '../../wire/nvme/command.ts';
import { readU32, readU64 } from '../../wire/little-endian.ts';
import type { Command } from './command.ts';
import type { Controller } from './controller.ts';
import { FusedPair } from './fused.ts';
import {
  chunkWeightBytes,
  deallocateBlocksMax,
  deallocateRangeBlocksMax,
  deallocateRangesMax,
  deallocateWeightBytes,
  inCapsuleBytesMax,
  lbaBytes,
  transferBytesMax,
} from './limits.ts';
import { countRead, countWrite } from './log-pages.ts';
import { namespaceId } from './names.ts';
import type { Executor, Queue } from './queue.ts';
import { ReservationCommands } from './reserving.ts';

const two32 = 0x1_0000_0000;
const rangeBytes = 16;
const rangesBytesMax = 256 * rangeBytes;
/** DSM, cdw11: the ranges may be given back. */
const deallocateBit = 4;
/** Write Zeroes, cdw12: the space may be given back. */
const zeroesDeallocateBit = 1 << 25;

/** Commands of one queue for I/O, on the volume's only namespace. */
export class IoExecutor implements Executor {
  readonly inCapsuleBytesMax = inCapsuleBytesMax;
  readonly #queue: Queue;
  readonly #controller: Controller;
  readonly #device: BlockDevice;
  readonly #fused: FusedPair;
  readonly #reservations: ReservationCommands | undefined;

  constructor(queue: Queue, controller: Controller, device: BlockDevice) {
    this.#queue = queue;
    this.#controller = controller;
    this.#device = device;
    this.#fused = new FusedPair(queue, (command) => this.#compareAndWrite(command));
    if (device.reservations !== undefined)
      this.#reservations = new ReservationCommands(queue, device.reservations, controller.hostId);
  }

  // ---- what a command moves, and whether it may -----------------------------------------------------------------------

  plan(command: Command): void {
    command.refusal = this.#refusal(command);
    this.#fused.planned(command);
  }

  #refusal(command: Command): number {
    const controller = this.#controller;
    if (controller.isOver) return statuses.commandInterrupted;
    if (!controller.isReady) return statuses.commandSequenceError | doNotRetry;
    const { opcode, nsid } = command;
    if (opcode === fabricsOpcode) return disconnectRefusal(command.nsid & 0xff);
    const isForAll = opcode === ioOpcodes.flush && nsid === 0xffff_ffff;
    if ((nsid !== namespaceId && !isForAll) || !controller.hasNamespace) return statuses.invalidNamespace | doNotRetry;
    if (!controller.isAnaOptimized) return statuses.anaInaccessible;
    switch (opcode) {
      case ioOpcodes.flush:
        return statuses.success;
      case ioOpcodes.read:
      case ioOpcodes.write:
      case ioOpcodes.compare:
        return this.#planTransfer(command);
      case ioOpcodes.writeZeroes:
        command.weightBytes = Math.ceil(lengthOf(command) / chunkBytes) * chunkWeightBytes;
        return this.#place(command);
      case ioOpcodes.datasetManagement:
        // Linux sends a whole page, however few ranges are in it.
        command.toControllerBytes = command.sglLengthBytes;
        command.weightBytes = deallocateWeightBytes;
        return command.sglLengthBytes < rangesOf(command) * rangeBytes || command.sglLengthBytes > rangesBytesMax
          ? statuses.sglLengthInvalid | doNotRetry
          : statuses.success;
      default:
        return this.#reservations?.plan(command) ?? statuses.invalidOpcode | doNotRetry;
    }
  }

  #planTransfer(command: Command): number {
    const lengthBytes = lengthOf(command);
    if (lengthBytes > transferBytesMax) return statuses.invalidField | doNotRetry;
    if (command.opcode === ioOpcodes.read) command.toHostBytes = lengthBytes;
    else command.toControllerBytes = lengthBytes;
    return this.#place(command);
  }

  /** Where on the volume; a start above 2^53 is inexact, and surely out of range. */
  #place(command: Command): number {
    const offset = (command.cdw11 * two32 + command.cdw10) * lbaBytes;
    if (offset + lengthOf(command) > this.#device.sizeBytes) return statuses.lbaOutOfRange | doNotRetry;
    command.offset = offset;
    return statuses.success;
  }

  // ---- execution ------------------------------------------------------------------------------------------------------

  execute(command: Command): void {
    const { offset } = command;
    if ((command.flags & fuseMask) !== fuses.none) return this.#fused.ready(command);
    switch (command.opcode) {
      case ioOpcodes.read:
      case ioOpcodes.compare:
        void this.#device.read(offset, lengthOf(command)).then(command.whenRead);
        return;
      case ioOpcodes.write:
        command.abandonment = new Abandonment();
        void this.#device.write(offset, command.parts, command).then(command.whenDone);
        return;
      case ioOpcodes.flush:
        void this.#device.flush().then(command.whenDone);
        return;
      case ioOpcodes.writeZeroes: {
        command.abandonment = new Abandonment();
        const mayPunch = (command.cdw12 & zeroesDeallocateBit) !== 0;
        void this.#device.zero(offset, lengthOf(command), { mayPunch }, command).then(command.whenDone);
        return;
      }
      case ioOpcodes.datasetManagement:
        return this.#deallocate(command);
      case fabricsOpcode:
        return this.#disconnect(command);
      default:
        assert(this.#reservations !== undefined, 'only planned commands are carried out', command.opcode);
        this.#reservations.execute(command);
    }
  }

  /** The queue ends when no write of it can land any more (design §3). */
  #disconnect(command: Command): void {
    const queue = this.#queue;
    queue.giveUp();
    queue.hold(command);
    void queue.settled().then(() => {
      if (queue.isClosed) return;
      queue.complete(command, statuses.success);
      queue.listener.finish();
    });
  }

  #deallocate(command: Command): void {
    const bytes = joined(command.parts);
    const isDeallocation = (command.cdw11 & deallocateBit) !== 0;
    const ranges: { readonly offset: number; readonly lengthBytes: number }[] = [];
    let blocks = 0;
    for (let at = 0; at < rangesOf(command) * rangeBytes; at += rangeBytes) {
      const lengthBlocks = readU32(bytes, at + 4);
      const offset = readU64(bytes, at + 8) * lbaBytes;
      const lengthBytes = lengthBlocks * lbaBytes;
      if (offset + lengthBytes > this.#device.sizeBytes)
        return this.#fail(command, statuses.lbaOutOfRange | doNotRetry);
      blocks += lengthBlocks;
      if (lengthBlocks > deallocateRangeBlocksMax || blocks > deallocateBlocksMax)
        return this.#fail(command, statuses.sizeLimitExceeded | doNotRetry);
      if (lengthBytes > 0) ranges.push({ offset, lengthBytes });
    }
    if (rangesOf(command) > deallocateRangesMax) return this.#fail(command, statuses.sizeLimitExceeded | doNotRetry);
    // Hints on how data will be used change nothing.
    if (!isDeallocation || ranges.length === 0) return this.#queue.complete(command, statuses.success);
    command.abandonment = new Abandonment();
    const trims = ranges.map(({ offset, lengthBytes }) => this.#device.trim(offset, lengthBytes, command));
    void Promise.all(trims).then((results) => {
      const worst =
        results.find((result) => !result.ok && result.code === 'UNKNOWN') ?? results.find((result) => !result.ok);
      command.whenDone(worst ?? { ok: true });
    });
  }

  /** Both of a fused pair, all their data there; `command`: the second. */
  #compareAndWrite(command: Command): void {
    const first = command.partner as Command;
    command.abandonment = new Abandonment();
    const expected = joined(first.parts);
    const data = joined(command.parts);
    const endInChunk = (command.offset % chunkBytes) + data.length;
    if (data.length > compareBytesMax || endInChunk > chunkBytes) {
      this.#fused.fail(command, statuses.atomicWriteUnitExceeded | doNotRetry);
      return;
    }
    void this.#device.compareAndWrite(command.offset, expected, data, command).then(command.whenCompared);
  }

  // ---- the device's answers ---------------------------------------------------------------------------------------------

  readDone(command: Command, result: ReadResult): void {
    if (!result.ok) return this.#failed(command, result.code);
    countRead(this.#controller.shared, lengthOf(command));
    if (command.opcode === ioOpcodes.compare) {
      const isEqual = equalPieces(result.parts, command.parts);
      return this.#queue.complete(command, isEqual ? statuses.success : statuses.compareFailure);
    }
    let partsBytes = 0;
    for (const part of result.parts) partsBytes += part.length;
    assert(partsBytes === command.toHostBytes, 'INV-4: a read returns exactly the bytes asked for');
    this.#queue.complete(command, statuses.success, 0, 0, result.parts);
  }

  ioDone(command: Command, result: IoResult): void {
    if (!result.ok) return this.#failed(command, result.code);
    if (command.opcode === ioOpcodes.write) countWrite(this.#controller.shared, command.toControllerBytes);
    this.#queue.complete(command, statuses.success);
  }

  comparedDone(command: Command, result: CompareResult): void {
    if (!result.ok && result.code === 'MISCOMPARE') return this.#fused.fail(command, statuses.compareFailure);
    if (!result.ok) {
      const status = this.#statusOf(command, result.code);
      if (status !== undefined) this.#fused.fail(command, status);
      return;
    }
    countWrite(this.#controller.shared, command.toControllerBytes);
    this.#fused.succeed(command);
  }

  #failed(command: Command, code: IoErrorCode): void {
    const status = this.#statusOf(command, code);
    if (status !== undefined) this.#fail(command, status);
  }

  /** Undefined: it can't be told; the host's controller ends, unanswered (design §3). */
  #statusOf(command: Command, code: IoErrorCode): number | undefined {
    const controller = this.#controller;
    switch (code) {
      case 'UNKNOWN':
        this.#queue.complete(command, statuses.commandInterrupted);
        this.#queue.listener.drop();
        return undefined;
      case 'RETRYABLE':
        return statuses.commandInterrupted | (controller.acceptsRetryDelay ? retryDelay1 : 0);
      case 'GONE':
        if (controller.hasNamespace) {
          controller.hasNamespace = false;
          controller.isNamespaceChanged = true;
          controller.events.raise('namespaceChanged');
        }
        return statuses.invalidNamespace | doNotRetry;
      case 'OUT_OF_RANGE':
        return statuses.lbaOutOfRange | doNotRetry;
      case 'NO_SPACE':
        return statuses.capacityExceeded | doNotRetry;
      case 'READ_ONLY':
        return statuses.namespaceProtected | doNotRetry;
      case 'CORRUPT':
        return statuses.unrecoveredRead | doNotRetry;
      case 'CONFLICT':
        return statuses.reservationConflict | doNotRetry;
    }
  }

  #fail(command: Command, status: number): void {
    this.#controller.errors.add(this.#queue.qid, command, status);
    this.#queue.complete(command, status);
  }

  refused(command: Command): void {
    this.#controller.errors.add(this.#queue.qid, command, command.refusal);
    this.#fused.refused(command);
  }
}

/** CRD: after the delay that identify names first. */
const retryDelay1 = 1 << 11;

function rangesOf(command: Command): number {
  return (command.cdw10 & 0xff) + 1;
}

function lengthOf(command: Command): number {
  return ((command.cdw12 & 0xffff) + 1) * lbaBytes;
}

function disconnectRefusal(type: number): number {
  if (type === fabricsTypes.disconnect) return statuses.success;
  return (type === fabricsTypes.connect ? statuses.commandSequenceError : statuses.invalidOpcode) | doNotRetry;
}

/** Whether two lists of pieces hold the same bytes; as many, by their plan. */
function equalPieces(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  let j = 0;
  let at = 0;
  for (const piece of a) {
    for (let i = 0; i < piece.length; i++) {
      while (at === (b[j] as Uint8Array).length) {
        j += 1;
        at = 0;
      }
      if (piece[i] !== (b[j] as Uint8Array)[at]) return false;
      at += 1;
    }
  }
  return true;
}
