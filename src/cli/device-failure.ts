import type { ErrorCode } from '../admin/errors.ts';
import type { UnownedCode } from '../corelet/device.ts';
import type { RefusedFlash } from '../platform/flash-file.ts';
import { CommandFailure } from './failure.ts';

const refusedCodes = {
  NOT_FOUND: 'DEVICE_NOT_FOUND',
  IN_USE: 'DEVICE_IN_USE',
  INVALID: 'DEVICE',
} as const satisfies Record<RefusedFlash['code'], ErrorCode>;

const unownedCodes = {
  UNFORMATTED: 'DEVICE_BLANK',
  FOREIGN: 'DEVICE_FOREIGN',
  VERSION: 'DEVICE_VERSION',
  CORRUPT: 'DEVICE_DAMAGED',
} as const satisfies Record<UnownedCode, ErrorCode>;

/** A device that can't be opened. */
export function refusedDevice({ code, message }: RefusedFlash): CommandFailure {
  return new CommandFailure(refusedCodes[code], message, code === 'INVALID' ? 'look at the path' : undefined);
}

/** A device that isn't a Corelet's, or not one that this program can use. */
export function unownedDevice(path: string, code: UnownedCode, message: string): CommandFailure {
  return new CommandFailure(unownedCodes[code], `${path}: ${message}`);
}
