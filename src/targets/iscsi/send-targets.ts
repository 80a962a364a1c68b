import type { TextPair } from '../../wire/iscsi/text.ts';
import type { TargetDirectory } from './directory.ts';
import { targetName, volumeOf } from './names.ts';

/**
 * The answer to SendTargets (RFC 7143 §4.3, appendix C): each volume that the initiator may use, with every Corelet's portal, this
 * one's first, as the initiator reached it. An empty value means the session's own target.
 */
export async function targetsText(
  directory: TargetDirectory,
  session: { readonly initiator: string; readonly volume: string | undefined; readonly localAddress: string },
  value: string,
): Promise<readonly TextPair[] | 'retry' | 'invalid'> {
  const named = value === 'All' ? undefined : value === '' ? session.volume : volumeOf(value);
  if (value !== 'All' && named === undefined) return 'invalid';
  const volumes = await directory.volumesFor(session.initiator);
  if (volumes === 'retry') return 'retry';
  const pairs: TextPair[] = [];
  const portals = [{ address: session.localAddress, groupTag: directory.groupTag }, ...directory.otherPortals()];
  for (const volume of volumes) {
    if (named !== undefined && volume !== named) continue;
    pairs.push(['TargetName', targetName(volume)]);
    for (const { address, groupTag } of portals) pairs.push(['TargetAddress', `${address},${groupTag}`]);
  }
  return pairs;
}
