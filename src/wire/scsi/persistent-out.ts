import { hexText } from '../../base/bytes.ts';

/** PERSISTENT RESERVE OUT basic parameter list (SPC-4 §6.16.3). */
export interface ReserveOutFields {
  /** The registrant's own key; 16 hex digits. */
  readonly key: string;
  /** What it means depends on the service action. */
  readonly actionKey: string;
  readonly names: boolean;
  readonly allTargetPorts: boolean;
  readonly persists: boolean;
}

// key · service action key · 4 obsolete · 20 SPEC_I_PT bit 3, ALL_TG_PT bit 2, APTPL bit 0 · reserved · 2 obsolete
export const reserveOutBytes = 24;

export function decodeReserveOut(list: Uint8Array): ReserveOutFields {
  const flags = list[20] as number;
  return {
    key: hexText(list.subarray(0, 8)),
    actionKey: hexText(list.subarray(8, 16)),
    names: (flags & 0x08) !== 0,
    allTargetPorts: (flags & 0x04) !== 0,
    persists: (flags & 0x01) !== 0,
  };
}

export function encodeReserveOut(fields: ReserveOutFields): Uint8Array {
  const list = new Uint8Array(reserveOutBytes);
  writeKey(list, 0, fields.key);
  writeKey(list, 8, fields.actionKey);
  list[20] = (fields.names ? 0x08 : 0) | (fields.allTargetPorts ? 0x04 : 0) | (fields.persists ? 0x01 : 0);
  return list;
}

/** 8 bytes from 16 hex digits. */
export function writeKey(bytes: Uint8Array, at: number, key: string): void {
  for (let i = 0; i < 8; i++) bytes[at + i] = Number.parseInt(key.slice(2 * i, 2 * i + 2), 16);
}
