import type { CoreletId } from '../base/ids.ts';

/**
 * INV-10: another process speaks in this Corelet's name, from a copy of its device, and was started later. What that one told
 * isn't known here, so this process never speaks again. Started anew from its device, it asks the others what was told.
 */
export class Superseded extends Error {
  override name = 'Superseded';

  constructor(id: CoreletId, by: CoreletId) {
    super(`another process was started later as ${id}, and ${by} speaks with that one: is its device a copy?`);
  }
}
