import { RemoteProtocolError } from '../../base/errors.ts';
import { readU16, readU32, readU64 } from '../big-endian.ts';
import type { BlockFields } from './cdb.ts';

const headBytes = 8;
const descriptorBytes = 16;

// UNMAP parameter list (SBC-3 §5.28): data length u16 · descriptors' length u16 · 4 reserved · for each: LBA u64 · blocks u32 · 4 reserved
/** `descriptorsMax`: more is refused before memory is taken for them, as `undefined`. @throws RemoteProtocolError */
export function decodeUnmap(list: Uint8Array, descriptorsMax: number): readonly BlockFields[] | undefined {
  if (list.length === 0) return [];
  if (list.length < headBytes) throw new RemoteProtocolError('an unmap list without a head');
  const lengthBytes = readU16(list, 2);
  if (headBytes + lengthBytes > list.length || readU16(list, 0) < lengthBytes)
    throw new RemoteProtocolError('unmap descriptors past the end');
  // What is left of a descriptor that was cut off is no descriptor.
  const count = Math.floor(lengthBytes / descriptorBytes);
  if (count > descriptorsMax) return undefined;
  return Array.from({ length: count }, (_, i) => {
    const at = headBytes + i * descriptorBytes;
    return { lba: readU64(list, at), blocks: readU32(list, at + 8) };
  });
}
