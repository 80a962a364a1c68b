import type { IoErrorCode, IoResult } from '../../volume/block-device.ts';
import { senseCodes, senseKeys, statuses } from '../../wire/scsi/codes.ts';
import type { Sense } from '../../wire/scsi/sense.ts';

/** How a command ended, before its sense data has a format. `UNKNOWN`: no answer would be true. */
export type Reply = Answer | 'UNKNOWN';

export interface Answer {
  readonly status: number;
  readonly sense?: Sense | undefined;
  readonly dataIn: readonly Uint8Array[];
  readonly transferBytes: number;
}

const nothing: readonly Uint8Array[] = [];

export const good: Answer = { status: statuses.good, dataIn: nothing, transferBytes: 0 };
export const conflict: Answer = { status: statuses.reservationConflict, dataIn: nothing, transferBytes: 0 };
export const busy: Answer = { status: statuses.busy, dataIn: nothing, transferBytes: 0 };

/** Done, of data-out. */
export function moved(transferBytes: number): Answer {
  return { status: statuses.good, dataIn: nothing, transferBytes };
}

/** Parameter data, cut at the allocation length (SPC-4 §4.2.5.6). */
export function data(bytes: Uint8Array, allocationBytes: number): Answer {
  const sent = bytes.subarray(0, allocationBytes);
  return { status: statuses.good, dataIn: sent.length === 0 ? nothing : [sent], transferBytes: sent.length };
}

export function failed(sense: Sense): Answer {
  return { status: statuses.checkCondition, sense, dataIn: nothing, transferBytes: 0 };
}

export function illegal(code: number): Sense {
  return { key: senseKeys.illegalRequest, code };
}
export function invalidCdb(byte: number, bit?: number): Sense {
  return { key: senseKeys.illegalRequest, code: senseCodes.invalidFieldInCdb, field: { inCdb: true, byte, bit } };
}
export function invalidParameter(byte: number, bit?: number): Sense {
  const field = { inCdb: false, byte, bit };
  return { key: senseKeys.illegalRequest, code: senseCodes.invalidFieldInParameters, field };
}
export const outOfRange: Sense = illegal(senseCodes.lbaOutOfRange);
export const writeProtected: Sense = { key: senseKeys.dataProtect, code: senseCodes.writeProtected };

export function isSense(value: object): value is Sense {
  return 'key' in value && 'code' in value;
}

/** What a host hears of the device's refusal. */
export function refused(code: IoErrorCode): Reply {
  switch (code) {
    case 'OUT_OF_RANGE':
      return failed(outOfRange);
    case 'NO_SPACE':
      return failed({ key: senseKeys.dataProtect, code: senseCodes.spaceAllocationFailed });
    case 'READ_ONLY':
      return failed(writeProtected);
    case 'RETRYABLE':
      return busy;
    case 'UNKNOWN':
      return 'UNKNOWN';
    case 'GONE':
      return failed(illegal(senseCodes.lunNotSupported));
    case 'CORRUPT':
      return failed({ key: senseKeys.mediumError, code: senseCodes.unrecoveredReadError });
    case 'CONFLICT':
      return conflict;
  }
}

/** `transferBytes`: what was moved when it went well. */
export function ended(result: IoResult, transferBytes: number): Reply {
  return result.ok ? moved(transferBytes) : refused(result.code);
}
