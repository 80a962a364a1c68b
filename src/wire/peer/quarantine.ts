import type { VolumeId } from '../../base/ids.ts';
import { readBlocks, readVersions, writeBlocks } from './chunk-blocks.ts';
import type { Codec } from './codec.ts';
import { readArc, readVolume, writeBetweenReplicas } from './fields.ts';
import type { BetweenReplicas } from './types.ts';

/** A leader tells a member: of these blocks, at these versions, two valid contents are known. Give them to nobody (design §10.8). */
export interface QuarantineBlocks extends BetweenReplicas {
  readonly type: 'quarantine';
  readonly volume: VolumeId;
  readonly layer: number;
  readonly chunk: number;
  readonly blocks: Uint16Array;
  readonly versions: Float64Array;
}

// between replicas (20 bytes) · volume u64 · layer u32 · chunk u64 · blocks
export const quarantineCodec: Codec<QuarantineBlocks> = {
  encode(out, message) {
    writeBetweenReplicas(out, message);
    out.u64(message.volume);
    out.u32(message.layer);
    out.u64(message.chunk);
    writeBlocks(out, message.blocks, message.versions);
  },
  decode(from) {
    const between = { arc: readArc(from), fromGeneration: from.u32(), toGeneration: from.u32(), term: from.u64() };
    const place = { volume: readVolume(from), layer: from.u32(), chunk: from.u64() };
    const blocks = readBlocks(from);
    return { type: 'quarantine', ...between, ...place, blocks, versions: readVersions(from, blocks.length) };
  },
};
