import { hexText, joined } from '../../base/bytes.ts';
import type { HostReservations, ReservationResult } from '../../volume/block-device.ts';
import type { ReservationAction } from '../../volume/reservation-actions.ts';
import {
  isHolder,
  keyOf,
  noKey,
  type ReservationKey,
  type Reservations,
  type ReservationType,
  reservationTypes,
} from '../../volume/reservations.ts';
import { doNotRetry, ioOpcodes, statuses } from '../../wire/nvme/codes.ts';
import { newController } from '../../wire/nvme/fabrics.ts';
import {
  acquireActions,
  keyPair,
  oneKey,
  registerActions,
  registrantStatus,
  releaseActions,
  reservationReport,
} from '../../wire/nvme/reservation.ts';
import type { Command } from './command.ts';
import { hostIdOf, registrantOf } from './names.ts';
import { transferBytesMax } from './limits.ts';
import type { Queue } from './queue.ts';

const ignoreKeyBit = 8;
const extendedBit = 1;
/** Register, cdw10: that registrations shall not outlive a power loss, which ours always do. */
const forgetAtPowerLoss = 2;

type Asked = ReservationAction | number | 'done';

/** The reservation commands of one host: what they ask of the volume's register, the same that SCSI hosts use. */
export class ReservationCommands {
  readonly #queue: Queue;
  readonly #reservations: HostReservations;
  readonly #id: string;

  constructor(queue: Queue, reservations: HostReservations, hostId: string) {
    this.#queue = queue;
    this.#reservations = reservations;
    this.#id = registrantOf(hostId);
  }

  /** Undefined: no reservation command. */
  plan(command: Command): number | undefined {
    switch (command.opcode) {
      case ioOpcodes.reservationRegister:
      case ioOpcodes.reservationAcquire:
        command.toControllerBytes = keyPair.sizeBytes;
        return statuses.success;
      case ioOpcodes.reservationRelease:
        command.toControllerBytes = oneKey.sizeBytes;
        return statuses.success;
      case ioOpcodes.reservationReport:
        command.toHostBytes = 4 * (command.cdw10 + 1);
        if (command.toHostBytes > transferBytesMax) return statuses.invalidField | doNotRetry;
        // Host identifiers here have 128 bits: the short form can't tell them.
        return (command.cdw11 & extendedBit) === 1 ? statuses.success : statuses.hostIdFormat | doNotRetry;
      default:
        return undefined;
    }
  }

  execute(command: Command): void {
    void this.#execute(command);
  }

  async #execute(command: Command): Promise<void> {
    const state = await this.#reservations.state();
    if (state === 'RETRYABLE') return this.#queue.complete(command, statuses.commandInterrupted);
    if (state === 'GONE') return this.#queue.complete(command, statuses.invalidNamespace | doNotRetry);
    if (command.opcode === ioOpcodes.reservationReport) {
      const data = reportOf(state, command.toHostBytes);
      return this.#queue.complete(command, statuses.success, 0, 0, [data]);
    }
    const asked = this.#asked(command, state);
    if (asked === 'done') return this.#queue.complete(command, statuses.success);
    if (typeof asked === 'number') return this.#queue.complete(command, asked | doNotRetry);
    this.#answer(command, await this.#reservations.change(asked));
  }

  #answer(command: Command, result: ReservationResult): void {
    if (result.ok) return this.#queue.complete(command, statuses.success);
    switch (result.code) {
      case 'CONFLICT':
        return this.#queue.complete(command, statuses.reservationConflict | doNotRetry);
      case 'INVALID_KEY':
      case 'INVALID_TYPE':
        return this.#queue.complete(command, statuses.invalidField | doNotRetry);
      case 'FULL':
        return this.#queue.complete(command, statuses.capacityExceeded | doNotRetry);
      case 'GONE':
        return this.#queue.complete(command, statuses.invalidNamespace | doNotRetry);
      case 'RETRYABLE':
        return this.#queue.complete(command, statuses.commandInterrupted);
      case 'UNKNOWN': // whether it holds can't be told: the host asks again over another connection
        this.#queue.complete(command, statuses.commandInterrupted);
        return this.#queue.listener.drop();
    }
  }

  #asked(command: Command, state: Reservations): Asked {
    const bytes = joined(command.parts);
    const action = command.cdw10 & 7;
    const own = keyOf(state, this.#id);
    switch (command.opcode) {
      case ioOpcodes.reservationRegister:
        return this.#register(command, action, bytes, own);
      case ioOpcodes.reservationAcquire:
        return this.#acquire(command, action, bytes, own);
      default:
        return this.#release(command, action, bytes, own);
    }
  }

  #register({ cdw10 }: Command, action: number, bytes: Uint8Array, own: ReservationKey | undefined): Asked {
    if (cdw10 >>> 30 === forgetAtPowerLoss) return statuses.invalidField;
    const pair = keyPair.decode(bytes);
    const key = keyFrom(pair.key);
    const newKey = keyFrom(pair.other);
    const ignoreKey = (cdw10 & ignoreKeyBit) !== 0;
    const { register, unregister, replace } = registerActions;
    const common = { kind: 'register', id: this.#id } as const;
    if (action === register) {
      if (newKey === noKey) return statuses.invalidField;
      if (own === newKey) return 'done';
      return own === undefined ? { ...common, key: noKey, newKey, ignoreKey: false } : statuses.reservationConflict;
    }
    if (action !== unregister && action !== replace) return statuses.invalidField;
    if (own === undefined) return statuses.reservationConflict;
    if (action === replace && newKey === noKey) return statuses.invalidField;
    return { ...common, key, newKey: action === unregister ? noKey : newKey, ignoreKey };
  }

  #acquire({ cdw10 }: Command, action: number, bytes: Uint8Array, own: ReservationKey | undefined): Asked {
    const pair = keyPair.decode(bytes);
    const key = this.#currentKey(cdw10, keyFrom(pair.key), own);
    const type = typeOf(cdw10);
    if (type === undefined) return statuses.invalidField;
    if (key === undefined) return statuses.reservationConflict;
    if (action === acquireActions.acquire) return { kind: 'reserve', id: this.#id, key, type };
    if (action !== acquireActions.preempt && action !== acquireActions.preemptAndAbort) return statuses.invalidField;
    // With either nothing of the victim's can land any more: there is nothing left to abort.
    return { kind: 'preempt', id: this.#id, key, victim: keyFrom(pair.other), type };
  }

  #release({ cdw10 }: Command, action: number, bytes: Uint8Array, own: ReservationKey | undefined): Asked {
    const key = this.#currentKey(cdw10, keyFrom(oneKey.decode(bytes).key), own);
    if (key === undefined) return statuses.reservationConflict;
    if (action === releaseActions.clear) return { kind: 'clear', id: this.#id, key };
    const type = typeOf(cdw10);
    if (action !== releaseActions.release || type === undefined) return statuses.invalidField;
    return { kind: 'release', id: this.#id, key, type };
  }

  #currentKey(cdw10: number, told: ReservationKey, own: ReservationKey | undefined): ReservationKey | undefined {
    return (cdw10 & ignoreKeyBit) !== 0 ? own : told;
  }
}

function typeOf(cdw10: number): ReservationType | undefined {
  return reservationTypes[((cdw10 >>> 8) & 0xff) - 1];
}

/** The same number means the same key to a SCSI host, which sends it the other way round. */
function keyFrom(bytes: Uint8Array): ReservationKey {
  return hexText(bytes.toReversed());
}
function keyBytes(key: ReservationKey): Uint8Array {
  return bytesOfHex(key).reverse();
}

function bytesOfHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

const unknownHost = new Uint8Array(16);

/** Registrants of other protocols have no host identifier: theirs is told as zeros. */
function reportOf(state: Reservations, lengthBytes: number): Uint8Array {
  const { registrants, held, generation } = state;
  const whole = new Uint8Array(reservationReport.sizeBytes + registrants.length * registrantStatus.sizeBytes);
  reservationReport.write(whole, 0, {
    generation,
    type: held === undefined ? 0 : 1 + reservationTypes.indexOf(held.type),
    registrants: registrants.length,
    persistent: 1,
  });
  for (const [i, { id, key }] of registrants.entries()) {
    const hostId = hostIdOf(id);
    registrantStatus.write(whole, reservationReport.sizeBytes + i * registrantStatus.sizeBytes, {
      cntlid: newController,
      isHolder: isHolder(state, id) ? 1 : 0,
      key: keyBytes(key),
      hostId: hostId === undefined ? unknownHost : bytesOfHex(hostId),
    });
  }
  const data = new Uint8Array(lengthBytes);
  data.set(whole.subarray(0, lengthBytes));
  return data;
}
