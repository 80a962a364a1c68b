import { unreachable } from '../base/assert.ts';
import { Reader, Writer } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { VolumeId } from '../base/ids.ts';
import type { Configuration, EntryKind } from '../consensus/types.ts';
import { entryKinds } from '../consensus/types.ts';
import { type EpochAction, epochActions } from '../wire/peer/types.ts';
import { decodeConfiguration, encodeConfiguration } from './members.ts';

/** Which operation an entry carries out: the gateway's session, its number there, and the lowest number still open. */
export interface OpId {
  readonly session: number;
  readonly number: number;
  readonly lowestOpen: number;
}

/**
 * What an entry does when it is applied. Block data, its range and CRCs travel beside the head (store, wire);
 * every command is physical: applying never reads a block (docs/decisions: leader-evaluated read-modify-write).
 */
export type Command =
  | { readonly kind: 'noop' }
  | { readonly kind: 'configuration'; readonly configuration: Configuration }
  | ({ readonly kind: 'openSession' } & OpId)
  | ({ readonly kind: 'write'; readonly epoch: number } & OpId)
  | ({ readonly kind: 'zero'; readonly epoch: number } & OpId)
  | ({
      readonly kind: 'epoch';
      readonly volume: VolumeId;
      readonly epoch: number;
      readonly action: EpochAction;
    } & OpId)
  | ({
      readonly kind: 'key';
      readonly key: string;
      readonly expectedVersion: number;
      readonly value: Uint8Array;
    } & OpId)
  | ({ readonly kind: 'cancel' } & OpId)
  /** What a compare-and-write came to whose bytes differ: an entry, so that a retry gets the same answer. */
  | ({
      readonly kind: 'miscompare';
      readonly volume: VolumeId;
      readonly epoch: number;
      /** Of the first difference, from the start of what was compared. */
      readonly byteOffset: number;
    } & OpId);

const codes = { openSession: 1, write: 2, zero: 3, epoch: 4, key: 5, cancel: 6, miscompare: 7 } as const;

export const keyTextMax = 512;
export const keyValueBytesMax = 60 * 1024;

const scratch = new Writer(512);

// head of a command entry: code u8 · session u64 · number u64 · lowestOpen u64 · fields of the kind
// head of a configuration entry: the configuration. Head of a noop: empty.
export function encodeHead(command: Command): Uint8Array {
  scratch.reset();
  switch (command.kind) {
    case 'noop':
      break;
    case 'configuration':
      encodeConfiguration(scratch, command.configuration);
      break;
    case 'openSession':
      encodeOp(codes.openSession, command);
      break;
    case 'write':
      encodeOp(codes.write, command);
      scratch.u64(command.epoch);
      break;
    case 'zero':
      encodeOp(codes.zero, command);
      scratch.u64(command.epoch);
      break;
    case 'epoch':
      encodeOp(codes.epoch, command);
      scratch.u64(command.volume);
      scratch.u64(command.epoch);
      scratch.u8(epochActions.indexOf(command.action));
      break;
    case 'key':
      encodeOp(codes.key, command);
      scratch.text(command.key);
      scratch.u64(command.expectedVersion);
      scratch.blob(command.value);
      break;
    case 'cancel':
      encodeOp(codes.cancel, command);
      break;
    case 'miscompare':
      encodeOp(codes.miscompare, command);
      scratch.u64(command.volume);
      scratch.u64(command.epoch);
      scratch.u32(command.byteOffset);
      break;
    default:
      unreachable(command);
  }
  return scratch.copy();
}

function encodeOp(code: number, op: OpId): void {
  scratch.u8(code);
  scratch.u64(op.session);
  scratch.u64(op.number);
  scratch.u64(op.lowestOpen);
}

/** @throws RemoteProtocolError */
export function decodeHead(kind: EntryKind, head: Uint8Array): Command {
  if (kind === entryKinds.noop) return { kind: 'noop' };
  const reader = new Reader(head);
  if (kind === entryKinds.configuration) return { kind: 'configuration', configuration: decodeConfiguration(reader) };
  const code = reader.u8();
  const session = reader.u64();
  const number = reader.u64();
  const lowestOpen = reader.u64();
  switch (code) {
    case codes.openSession:
      return { kind: 'openSession', session, number, lowestOpen };
    case codes.write:
      return { kind: 'write', session, number, lowestOpen, epoch: reader.u64() };
    case codes.zero:
      return { kind: 'zero', session, number, lowestOpen, epoch: reader.u64() };
    case codes.epoch: {
      const volume = reader.u64() as VolumeId;
      const epoch = reader.u64();
      const action = epochActions[reader.u8()];
      if (action === undefined) throw new RemoteProtocolError('unknown epoch action');
      return { kind: 'epoch', session, number, lowestOpen, volume, epoch, action };
    }
    case codes.key:
      return {
        kind: 'key',
        session,
        number,
        lowestOpen,
        key: reader.text(keyTextMax),
        expectedVersion: reader.u64(),
        value: reader.blob(keyValueBytesMax).slice(), // kept for long: must not hold a whole received frame
      };
    case codes.cancel:
      return { kind: 'cancel', session, number, lowestOpen };
    case codes.miscompare: {
      const volume = reader.u64() as VolumeId;
      const epoch = reader.u64();
      return { kind: 'miscompare', session, number, lowestOpen, volume, epoch, byteOffset: reader.u32() };
    }
    default:
      throw new RemoteProtocolError(`unknown command ${code}`);
  }
}
