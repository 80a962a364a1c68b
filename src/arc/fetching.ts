import { blockBytes, type CoreletId, type Version } from '../base/ids.ts';
import type { ChunkMap } from '../store/types.ts';
import type { Fetch, FetchReply } from '../wire/peer/fetch.ts';
import type { ReplicaContext } from './context.ts';
import type { Replica } from './replica.ts';

/** Blocks asked of a peer at once. */
export const fetchBlocksMax = 64;
/** Answers under way, per Corelet's replica of an arc. */
const answersMax = 8;

type Held = Pick<FetchReply, 'blocks' | 'versions' | 'crcs' | 'emptyBlocks' | 'emptyVersions' | 'data'>;
const nothing: Held = {
  blocks: new Uint16Array(0),
  versions: new Float64Array(0),
  crcs: new Uint32Array(0),
  emptyBlocks: new Uint16Array(0),
  emptyVersions: new Float64Array(0),
  data: [],
};
const underWay = new WeakMap<Replica, number>();

/** Gives a peer the blocks that it can't read: only what was read and verified here now, at the version wanted. */
export async function answerFetch(
  replica: Replica,
  context: ReplicaContext,
  from: CoreletId,
  fetch: Fetch,
): Promise<void> {
  const answers = underWay.get(replica) ?? 0;
  const refused = !replica.installed || fetch.blocks.length > fetchBlocksMax;
  if (refused || answers >= answersMax || replica.core.appliedIndex < fetch.floor) {
    replica.transmit(from, replyTo(fetch, refused ? 'none' : 'behind', nothing));
    return;
  }
  underWay.set(replica, answers + 1);
  try {
    const loaded = replica.map.load(fetch);
    const page = loaded instanceof Promise ? await loaded : loaded;
    replica.transmit(from, replyTo(fetch, 'ok', await heldOf(context, fetch, page)));
  } finally {
    underWay.set(replica, (underWay.get(replica) ?? 1) - 1);
  }
}

async function heldOf(context: ReplicaContext, fetch: Fetch, page: ChunkMap | undefined): Promise<Held> {
  const empty: { block: number; version: Version }[] = [];
  const wanted: { block: number; version: Version; crc: number; bytes: Uint8Array; ok: boolean }[] = [];
  const reads: Promise<void>[] = [];
  for (const [i, block] of fetch.blocks.entries()) {
    const version = page?.versions[block] ?? 0;
    const position = page?.positions[block] ?? 0;
    if (fetch.versions[i] !== 0 && fetch.versions[i] !== version) continue;
    if (position === 0) {
      empty.push({ block, version });
      continue;
    }
    const held = { block, version, crc: page?.crcs[block] ?? 0, bytes: new Uint8Array(blockBytes), ok: false };
    wanted.push(held);
    const read = context.store.readBlocks([position], [held.crc], held.bytes);
    reads.push(
      read.then((result) => {
        held.ok = result.ok;
      }),
    );
  }
  await Promise.all(reads);
  const good = wanted.filter(({ ok }) => ok);
  return {
    blocks: Uint16Array.from(good, ({ block }) => block),
    versions: Float64Array.from(good, ({ version }) => version),
    crcs: Uint32Array.from(good, ({ crc }) => crc),
    emptyBlocks: Uint16Array.from(empty, ({ block }) => block),
    emptyVersions: Float64Array.from(empty, ({ version }) => version),
    data: good.map(({ bytes }) => bytes),
  };
}

function replyTo(fetch: Fetch, code: FetchReply['code'], held: Held): FetchReply {
  const { arc, request, term } = fetch;
  const between = { arc, fromGeneration: fetch.toGeneration, toGeneration: fetch.fromGeneration, term };
  return { type: 'fetchReply', ...between, request, code, ...held };
}
