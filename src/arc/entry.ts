import { assert } from '../base/assert.ts';
import { type ArcId, blockBytes, type LogIndex } from '../base/ids.ts';
import type { Entry, EntryKind } from '../consensus/types.ts';
import type { BlockRange, DevicePosition, StoredEntry } from '../store/types.ts';
import type { WireEntry } from '../wire/peer/types.ts';
import { type Command, decodeHead, encodeHead } from './command.ts';

/** An entry as a replica holds it: what travels, what it does, and where its data lies here. */
export interface EntryBody {
  /** The encoded command; undefined once applied (it may be a view that would keep a whole received frame alive). */
  head: Uint8Array | undefined;
  readonly command: Command;
  readonly range: BlockRange | undefined;
  readonly crcs: Uint32Array;
  /** Undefined once applied: then it is read back from `position` when a follower needs it. */
  data: readonly Uint8Array[] | undefined;
  /** Of the first data block on this Corelet's device; undefined without data, or before it was appended. */
  position: DevicePosition | undefined;
}

export type ArcEntry = Entry<EntryBody>;

const noCrcs = new Uint32Array(0);
const noData: readonly Uint8Array[] = [];
/** What an entry costs in a message beside its data. */
const entryOverheadBytes = 128;

export function entryBytes(range: BlockRange | undefined, headBytes: number, hasData: boolean): number {
  return entryOverheadBytes + headBytes + (hasData && range !== undefined ? range.blockCount * blockBytes : 0);
}

export function bodyOf(
  command: Command,
  range?: BlockRange,
  crcs: Uint32Array = noCrcs,
  data: readonly Uint8Array[] = noData,
): EntryBody {
  return { head: encodeHead(command), command, range, crcs, data, position: undefined };
}

/** @throws RemoteProtocolError */
export function entryFromWire(wire: WireEntry): ArcEntry {
  const kind = wire.kind as EntryKind;
  const command = decodeHead(kind, wire.head);
  const entry = {
    term: wire.term,
    index: wire.index,
    kind,
    bytes: entryBytes(wire.range, wire.head.length, wire.crcs.length > 0),
    body: { head: wire.head, command, range: wire.range, crcs: wire.crcs, data: wire.data, position: undefined },
  };
  return command.kind === 'configuration' ? { ...entry, configuration: command.configuration } : entry;
}

/** @throws RemoteProtocolError */
export function entryFromStore(stored: StoredEntry): ArcEntry {
  const kind = stored.kind as EntryKind;
  const command = decodeHead(kind, stored.head);
  const hasData = stored.position !== undefined;
  const entry = {
    term: stored.term,
    index: stored.index,
    kind,
    bytes: entryBytes(stored.range, stored.head.length, hasData),
    body: {
      head: undefined,
      command,
      range: stored.range,
      crcs: stored.crcs,
      data: hasData ? undefined : noData,
      position: stored.position,
    },
  };
  return command.kind === 'configuration' ? { ...entry, configuration: command.configuration } : entry;
}

export function wireEntry(entry: ArcEntry, data: readonly Uint8Array[]): WireEntry {
  const body = bodyIn(entry);
  return {
    term: entry.term,
    index: entry.index,
    kind: entry.kind,
    head: headOf(body),
    range: body.range,
    crcs: body.crcs,
    data,
  };
}

export function headOf(body: EntryBody): Uint8Array {
  return body.head ?? encodeHead(body.command);
}

/** What the memory of an applied entry needs not hold: all of it can be had again from the store. */
export function forgetPayload(body: EntryBody): void {
  body.head = undefined;
  if (body.position !== undefined) body.data = undefined;
}

/** Configuration and noop entries are made by the core without a body: given one where they enter the log. */
export function ensureBody(entry: ArcEntry): EntryBody {
  entry.body ??= bodyOf(
    entry.configuration === undefined
      ? { kind: 'noop' }
      : { kind: 'configuration', configuration: entry.configuration },
  );
  return entry.body;
}

export function bodyIn(entry: ArcEntry): EntryBody {
  assert(entry.body !== undefined, 'an entry without a body', entry.index);
  return entry.body;
}

/** Whether the entry's data begins in [from, to) on the device. */
export function liesIn(entry: ArcEntry | undefined, from: DevicePosition, to: DevicePosition): boolean {
  const position = entry?.body?.position;
  return position !== undefined && position >= from && position < to;
}

/** The entry as the store reads it back. */
export function storedShape(arc: ArcId, entry: ArcEntry, commit: LogIndex): StoredEntry {
  const body = bodyIn(entry);
  return {
    arc,
    term: entry.term,
    index: entry.index,
    kind: entry.kind,
    commit,
    head: headOf(body),
    range: body.range,
    crcs: body.crcs,
    position: body.position,
  };
}
