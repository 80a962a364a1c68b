import { assert } from '../base/assert.ts';
import type { LogIndex } from '../base/ids.ts';
import type { ArcMap } from '../store/map.ts';
import type { StoredChunkCopy } from '../store/types.ts';
import type { EntryBody } from './entry.ts';
import type { ArcState, Outcome } from './state.ts';

/**
 * Applies one committed entry to an arc's state and block map; used by a running replica and by replay alike, so that
 * both come to the same (INV-6). A block takes an entry only if the entry is newer than what the block holds: copied
 * blocks may be ahead of the log, and replay over them changes nothing.
 */
export function applyToMap(state: ArcState, map: ArcMap, body: EntryBody, index: LogIndex): Outcome {
  const { command, range } = body;
  const { outcome, blocks } = state.apply(command, range, index);
  if (blocks) {
    assert(range !== undefined, 'a block operation has a range');
    assert(
      'epoch' in command && command.epoch >= (state.epochs.get(range.volume) ?? Number.POSITIVE_INFINITY),
      'INV-5: no block changes by an operation of a fenced epoch',
    );
    if (command.kind === 'write') {
      assert(body.position !== undefined, 'INV-1: applied data lies in the log');
      map.set(range, body.position, index, body.crcs);
    } else {
      map.clear(range, index);
    }
  } else if (command.kind === 'epoch' && command.action === 'drop' && outcome.code === 'ok') {
    map.dropVolume(command.volume);
  }
  return outcome;
}

/** The newest version among copied blocks: until the log has been applied up to it, they are ahead of the rest. */
export function newestIn(copy: StoredChunkCopy): LogIndex {
  let newest = 0;
  for (const version of copy.versions) if (version > newest) newest = version;
  for (const version of copy.emptyVersions) if (version > newest) newest = version;
  return newest;
}
