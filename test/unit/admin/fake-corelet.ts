import type { ClusterId, CoreletId } from '../../../src/base/ids.ts';
import { neverScrubbed } from '../../../src/healing/scrub.ts';
import type { AccessInfo, CoreletHandle, CoreletStatus, SlotStatus, VolumeInfo } from '../../../src/corelet/types.ts';

export const idOf = (slot: number): CoreletId => slot.toString(16).padStart(32, '0') as CoreletId;

export function slotStatus(slot: number, change: Partial<SlotStatus> = {}): SlotStatus {
  const idle = { copies: 32, leads: 10, usedBytes: 2 ** 20, sizeBytes: 2 ** 30, safeToPull: true, why: '' };
  return { slot, id: idOf(slot), state: 'live', ...idle, ...change };
}

export function statusOf(slots: number, change: Partial<CoreletStatus> = {}): CoreletStatus {
  return {
    schemaVersion: 1,
    cluster: 'c'.repeat(32) as ClusterId,
    answeredBy: { id: idOf(0), slot: 0 },
    view: { number: 7, members: slots, frozen: false },
    slots: Array.from({ length: slots }, (_, slot) => slotStatus(slot)),
    arcs: { total: 256, full: 256, reduced: 0, noRedundancy: 0, unavailable: 0, waitingForRoom: 0 },
    rebuild: { bytesLeft: 0, bytesPerSecond: 0, secondsLeft: null },
    lossesSurvivable: 1,
    ...change,
  };
}

/** A Corelet that keeps volumes in a map and says what it is told to say. */
export function fakeCorelet(status: () => CoreletStatus): CoreletHandle & { readonly made: Map<string, VolumeInfo> } {
  const made = new Map<string, VolumeInfo>();
  let access: Omit<AccessInfo, 'name'> = { hosts: 'any', readOnly: false, chap: null };
  const missing = (name: string) => ({ ok: false, code: 'NOT_FOUND', message: `no volume named '${name}'` }) as const;
  return {
    made,
    id: idOf(0),
    catalog: { open: async () => 'NOT_FOUND', list: async () => [] },
    isConnected: () => true,
    rules: { rules: async () => 'NOT_FOUND', namesFor: async () => [] },
    status,
    onSlotsChanged: () => {},
    inspect: () => [],
    setMemberState: () => ({ ok: true }),
    scrub: async () => ({ ok: true, value: neverScrubbed }),
    failed: new Promise(() => {}),
    leave: async () => {},
    stop: async () => {},
    volumes: {
      async create(request) {
        if (made.has(request.name)) return { ok: false, code: 'EXISTS', message: `volume '${request.name}' exists` };
        const volume: VolumeInfo = { id: '1', ...request, epoch: 1, state: 'open' };
        made.set(request.name, volume);
        return { ok: true, value: volume };
      },
      list: async () => ({ ok: true, value: [...made.values()] }),
      async show(name) {
        const value = made.get(name);
        return value === undefined ? missing(name) : { ok: true, value };
      },
      async access(name) {
        return made.has(name) ? { ok: true, value: { name, ...access } } : missing(name);
      },
      async setAccess(name, change) {
        if (!made.has(name)) return missing(name);
        const { hosts = access.hosts, readOnly = access.readOnly, chap } = change;
        const proved =
          chap === undefined || chap === null
            ? null
            : { initiator: chap.initiator.name, target: chap.target?.name ?? null };
        access = { hosts, readOnly, chap: proved };
        return { ok: true, value: { name, ...access } };
      },
      async delete(name) {
        const value = made.get(name);
        made.delete(name);
        return value === undefined ? missing(name) : { ok: true, value };
      },
    },
  };
}
