import fc from 'fast-check';
import type { Prng } from '../../../src/base/prng.ts';
import { headerBytes } from '../../../src/wire/iscsi/header.ts';
import { pduKinds } from './pdus.ts';

const dataBytesMax = 2048;

/** A PDU of any kind, mutated, with about as much data as it claims, or cut short. */
export function hostilePdu(random: Prng): Uint8Array {
  const kind = pduKinds[random.below(pduKinds.length)] as (typeof pduKinds)[number];
  const [fields] = fc.sample(kind.fields, { numRuns: 1, seed: random.u32() | 0 });
  const header = new Uint8Array(headerBytes);
  kind.codec.encode(fields, header, 0);
  // Mostly believable lengths and numbers: else everything ends at the first check.
  const dataBytes = random.chance(0.7) ? random.below(dataBytesMax) : 0;
  if (random.chance(0.9)) header.set([0, dataBytes >>> 16, dataBytes >>> 8, dataBytes], 4);
  if (random.chance(0.6)) header.set([0, 0, 0, 1 + random.below(200)], 24);
  if (random.chance(0.6)) header.set([0, 0, 0, 100 + random.below(20)], 16);
  if (random.chance(0.5)) header.set([0, 0, random.below(16), 0], 20);
  for (let changes = random.below(4); changes > 0; changes--) header[random.below(headerBytes)] = random.below(256);
  const bytes = new Uint8Array(headerBytes + ((dataBytes + 3) & ~3));
  bytes.set(header);
  bytes.set(random.bytes(dataBytes), headerBytes);
  return random.chance(0.05) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}
