import { raw, structure, u16, u32, u8 } from './layout.ts';

// Reservations (NVM command set §3.2.7 ff., base §7.2 ff.). Keys are u64; here 8 bytes as they are sent.

export const registerActions = { register: 0, unregister: 1, replace: 2 } as const;
export const acquireActions = { acquire: 0, preempt: 1, preemptAndAbort: 2 } as const;
export const releaseActions = { release: 0, clear: 1 } as const;

/** Data of Register and of Acquire: two keys. Release has the first alone. */
export const keyPair = structure(16, { key: raw(0, 8), other: raw(8, 8) });
export const oneKey = structure(8, { key: raw(0, 8) });

/** Of Report, with host identifiers of 128 bits; `registrantStatus`s follow. */
export const reservationReport = structure(64, {
  generation: u32(0),
  type: u8(4),
  registrants: u16(5),
  persistent: u8(9),
});
export const registrantStatus = structure(64, {
  cntlid: u16(0),
  isHolder: u8(2),
  key: raw(8, 8),
  hostId: raw(16, 16),
});
