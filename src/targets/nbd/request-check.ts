import type { BlockDevice, IoErrorCode } from '../../volume/block-device.ts';
import { commandFlags, commands, errors, type ErrorNumber } from '../../wire/nbd/codes.ts';
import type { RequestFields } from '../../wire/nbd/request.ts';

/** What was agreed in the handshake. */
export interface Agreement {
  readonly structuredReplies: boolean;
  /** `base:allocation` was selected for this export. */
  readonly allocation: boolean;
}

function allowedFlags(command: number, agreement: Agreement): number {
  switch (command) {
    case commands.read:
      return agreement.structuredReplies ? commandFlags.fua | commandFlags.df : commandFlags.fua;
    case commands.writeZeroes:
      return commandFlags.fua | commandFlags.noHole | commandFlags.fastZero;
    case commands.blockStatus:
      return commandFlags.fua | commandFlags.reqOne;
    default:
      return commandFlags.fua; // existing clients set it on any command
  }
}

/** The error that a request deserves before the device sees it, or `none`. */
export function checkRequest(
  request: RequestFields,
  device: BlockDevice,
  agreement: Agreement,
  payloadBytesMax: number,
): ErrorNumber {
  const { command, flags, offset, lengthBytes } = request;
  if ((flags & ~allowedFlags(command, agreement)) !== 0) return errors.invalid;
  // Written so that neither side leaves the safe integers, whatever the offset.
  const isOutside = offset > device.sizeBytes - lengthBytes;
  switch (command) {
    case commands.read:
      return isOutside || lengthBytes > payloadBytesMax ? errors.invalid : errors.none;
    case commands.write:
      if (device.readOnly) return errors.permission;
      if (lengthBytes > payloadBytesMax) return errors.invalid;
      return isOutside ? errors.noSpace : errors.none;
    case commands.writeZeroes:
      if (device.readOnly) return errors.permission;
      if (isOutside) return errors.noSpace;
      // Zeros that must keep their space may have to be written: nobody can promise that they are fast.
      return (flags & commandFlags.fastZero) !== 0 && (flags & commandFlags.noHole) !== 0
        ? errors.unsupported
        : errors.none;
    case commands.trim:
      if (device.readOnly) return errors.permission;
      return isOutside ? errors.invalid : errors.none;
    case commands.flush:
      return offset !== 0 || lengthBytes !== 0 ? errors.invalid : errors.none;
    case commands.cache:
      return isOutside ? errors.invalid : errors.none;
    case commands.blockStatus:
      return !agreement.allocation || lengthBytes === 0 || isOutside ? errors.invalid : errors.none;
    default:
      return errors.invalid;
  }
}

/** What the client is told of a device's refusal. `UNKNOWN` and `RETRYABLE` NBD can't tell: the connection ends instead. */
export function errorOf(code: Exclude<IoErrorCode, 'UNKNOWN' | 'RETRYABLE'>, command: number): ErrorNumber {
  switch (code) {
    case 'OUT_OF_RANGE':
      return command === commands.write || command === commands.writeZeroes ? errors.noSpace : errors.invalid;
    case 'NO_SPACE':
      return errors.noSpace;
    case 'READ_ONLY':
    case 'CONFLICT': // another host has reserved the volume
      return errors.permission;
    case 'GONE':
      return errors.shutdown;
    case 'CORRUPT':
      return errors.io;
  }
}
