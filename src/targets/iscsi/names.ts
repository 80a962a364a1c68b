/** What stands before a volume's name in its target name. */
export const targetNamePrefix = 'iqn.2026-01.io.corelet:';
const nameBytesMax = 223; // RFC 7143 §4.2.7.1
const iqnPattern = /^(?:iqn\.\d{4}-\d{2}\.[a-z0-9.:_-]+|eui\.[0-9a-f]{16}|naa\.(?:[0-9a-f]{16}|[0-9a-f]{32}))$/;

export function targetName(volume: string): string {
  return targetNamePrefix + volume;
}

/** Undefined: no volume of ours could have it. */
export function volumeOf(name: string): string | undefined {
  const lower = name.toLowerCase();
  return lower.startsWith(targetNamePrefix) && lower.length > targetNamePrefix.length
    ? lower.slice(targetNamePrefix.length)
    : undefined;
}

/** An initiator's name as it is compared, in lower case (RFC 7143 §4.2.7.2); undefined where it is none. */
export function normalName(name: string): string | undefined {
  const lower = name.toLowerCase();
  return lower.length <= nameBytesMax && iqnPattern.test(lower) ? lower : undefined;
}
