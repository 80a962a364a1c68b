import { writeU16, writeU32 } from '../big-endian.ts';

/** A target port group of one port (SPC-4 §6.37). */
export interface PortGroup {
  readonly portGroup: number;
  readonly relativePort: number;
  readonly state: 'activeOptimized' | 'unavailable' | 'transitioning';
}

const states = { activeOptimized: 0x0, unavailable: 0x3, transitioning: 0xf } as const;
const supportedStates = 0x80 | 0x08 | 0x01; // transitioning, unavailable, active/optimized
const changedImplicitly = 2;
const groupBytes = 12;
const extendedFormat = 0x10;

// length u32 · extended only: format in bits 6 to 4, implicit transition time in seconds, 2 reserved · for each group:
// 0 state · 1 supported states · 2 group u16 · 5 status code · 7 ports u8 · 10 relative port u16
export function encodePortGroups(groups: readonly PortGroup[], isExtended: boolean): Uint8Array {
  const headBytes = isExtended ? 8 : 4;
  const bytes = new Uint8Array(headBytes + groups.length * groupBytes);
  writeU32(bytes, 0, bytes.length - 4);
  if (isExtended) bytes[4] = extendedFormat;
  groups.forEach((group, i) => {
    const at = headBytes + i * groupBytes;
    bytes[at] = states[group.state];
    bytes[at + 1] = supportedStates;
    writeU16(bytes, at + 2, group.portGroup);
    bytes[at + 5] = changedImplicitly;
    bytes[at + 7] = 1;
    writeU16(bytes, at + 10, group.relativePort);
  });
  return bytes;
}
