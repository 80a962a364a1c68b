import { formatBytes } from '../base/units.ts';
import { isVolumeName } from '../volume/records.ts';

/** 8 TiB: 2^23 chunks. */
export const volumeSizeMax = 8 * 1024 ** 4;
const sizeStepBytes = 512;

/** Why there can be no volume of this name, as the rest of a sentence; undefined: there can. */
export function wrongName(name: string): string | undefined {
  if (isVolumeName(name)) return undefined;
  return `'${name}' can't be a volume's name: 1 to 64 of a-z, 0-9, '.', '_' and '-', a letter or digit at both ends`;
}

/** Why there can be no volume of this size; undefined: there can. */
export function wrongSize(sizeBytes: number): string | undefined {
  const fits = Number.isSafeInteger(sizeBytes) && sizeBytes > 0 && sizeBytes <= volumeSizeMax;
  if (fits && sizeBytes % sizeStepBytes === 0) return undefined;
  return `a volume's size is a multiple of ${sizeStepBytes} bytes above 0, at most ${formatBytes(volumeSizeMax)}, not ${sizeBytes} bytes`;
}
