import { writeU16, writeU32 } from '../big-endian.ts';

/** One command as REPORT SUPPORTED OPERATION CODES tells of it (SPC-4 §6.34). */
export interface SupportedCommand {
  readonly opcode: number;
  /** Undefined: its operation code has no service actions. */
  readonly serviceAction?: number | undefined;
  /** As long as the CDB: which bits are looked at; the operation code itself at 0. */
  readonly usage: readonly number[];
}

const timeoutsBytes = 12;

// All: length u32, then for each: opcode · reserved · service action u16 · reserved · CTDP bit 1, SERVACTV bit 0 · CDB length u16 ·
// with time-outs: length u16 (0Ah) · reserved · command specific · nominal u32 · recommended u32 (0: none is told)
export function encodeAllCommands(commands: readonly SupportedCommand[], withTimeouts: boolean): Uint8Array {
  const each = 8 + (withTimeouts ? timeoutsBytes : 0);
  const bytes = new Uint8Array(4 + commands.length * each);
  writeU32(bytes, 0, bytes.length - 4);
  commands.forEach((command, i) => {
    const at = 4 + i * each;
    bytes[at] = command.opcode;
    writeU16(bytes, at + 2, command.serviceAction ?? 0);
    bytes[at + 5] = (withTimeouts ? 2 : 0) | (command.serviceAction === undefined ? 0 : 1);
    writeU16(bytes, at + 6, command.usage.length);
    if (withTimeouts) writeU16(bytes, at + 8, timeoutsBytes - 2);
  });
  return bytes;
}

const supported = 3;
const notSupported = 1;

// One: reserved · CTDP bit 7, SUPPORT · CDB length u16 · usage · time-outs as above
export function encodeOneCommand(command: SupportedCommand | undefined, withTimeouts: boolean): Uint8Array {
  if (command === undefined) return Uint8Array.of(0, notSupported, 0, 0);
  const length = command.usage.length;
  const bytes = new Uint8Array(4 + length + (withTimeouts ? timeoutsBytes : 0));
  bytes[1] = supported | (withTimeouts ? 0x80 : 0);
  writeU16(bytes, 2, length);
  bytes.set(command.usage, 4);
  if (withTimeouts) writeU16(bytes, 4 + length, timeoutsBytes - 2);
  return bytes;
}
