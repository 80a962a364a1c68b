import type { VolumeId } from '../../base/ids.ts';
import { writeU32 } from '../../wire/big-endian.ts';
import {
  naaBytes,
  naaDesignator,
  nameDesignator,
  portGroupDesignator,
  relativePortDesignator,
  t10VendorDesignator,
} from '../../wire/scsi/designator.ts';
import type { TargetPort } from './types.ts';

export const vendor = 'CORELET';
export const product = 'VOLUME';

/**
 * NAA 6 needs a company's 24 bits. Nobody has registered ours: this number has the bit set that says "locally administered", which no
 * registered one has.
 */
const company = 0x02c0de;
const two32 = 0x1_0000_0000;

/** The same through every Corelet, for ever: volume ids are random and never used again. 6h · company, 24 bits · 0, 36 bits · volume id, 64 bits */
export function naaOf(volume: VolumeId): Uint8Array {
  const bytes = new Uint8Array(naaBytes);
  writeU32(bytes, 0, ((0x6000_0000 | (company << 4)) >>> 0) & 0xffff_fff0);
  writeU32(bytes, 8, Math.floor(volume / two32));
  writeU32(bytes, 12, volume % two32);
  return bytes;
}

export function serialOf(volume: VolumeId): string {
  return volume.toString(16).padStart(16, '0');
}

/** What names the logical unit itself: what EXTENDED COPY may name it by. */
export function unitDesignators(volume: VolumeId): readonly Uint8Array[] {
  return [naaDesignator(naaOf(volume)), t10VendorDesignator(vendor, serialOf(volume))];
}

/** Of VPD page 83h: the unit, then the port that it is seen through. */
export function allDesignators(volume: VolumeId, port: TargetPort, targetName: string): readonly Uint8Array[] {
  const group = port.portGroup.toString(16).padStart(4, '0');
  return [
    ...unitDesignators(volume),
    relativePortDesignator(port.relativePort),
    portGroupDesignator(port.portGroup),
    // RFC 7143 §4.2.7.2: a target port's name is the target's with the portal group's tag.
    nameDesignator('targetPort', `${targetName},t,0x${group}`),
    nameDesignator('targetDevice', targetName),
  ];
}
