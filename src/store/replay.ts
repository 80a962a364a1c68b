import { type ArcId, blockBytes } from '../base/ids.ts';
import type { LoadedCheckpoint } from './checkpoint-load.ts';
import type { Anchor, CheckpointArc, LogStart } from './checkpoint.ts';
import { decodeBatch } from './decode-batch.ts';
import { type Layout, segmentOf } from './layout.ts';
import { type Gap, LossBook, lossRegister } from './loss.ts';
import type { MapSpace } from './map-space.ts';
import type { DecodedRecord, MapPageRecord, MovedRecord, TableRecord } from './records.ts';
import type { ScannedBatch } from './scan.ts';
import { segmentStates } from './segments.ts';
import type { ArcCheckpoint, DevicePosition, LostBatches, RecoveryVisitor } from './types.ts';

/** What a restart makes of the records, once it is known which batches count: who hears of them, and which do nothing. */
export class Replay {
  readonly #layout: Layout;
  readonly #visitor: RecoveryVisitor;
  readonly #registers: Map<string, Uint8Array>;
  readonly #space: MapSpace;
  readonly #loaded: LoadedCheckpoint | undefined;
  /** Arcs of which the log is told; with a checkpoint, not before the place where it took their state. */
  readonly #told = new Set<ArcId>();
  /** Before the first table of a checkpoint come the registers, and with them what is known of earlier losses. */
  #sawTable = false;
  /** Of the others: where in the log their state is. */
  readonly #awaited = new Map<ArcId, Pick<CheckpointArc, 'sequence'> & { readonly position: DevicePosition }>();
  /** Without a checkpoint the log tells of every arc. */
  #tellsAll: boolean;
  /** Batches that are gone, each with the arcs that the checkpoint knows from behind it. */
  readonly gaps: Gap[] = [];
  /** Set behind the last of them. */
  readonly #registersSince = new Set<string>();
  /** A checkpoint table that was durable before its anchor was written: a log without it has lost its end. */
  proof: number | undefined;
  records = 0;

  /** `registers` and `space` get what the log says of them; `newest`: the newest anchor, though its checkpoint be damaged. */
  constructor(
    layout: Layout,
    visitor: RecoveryVisitor,
    registers: Map<string, Uint8Array>,
    space: MapSpace,
    loaded: LoadedCheckpoint | undefined,
    newest: Anchor | undefined,
  ) {
    this.#layout = layout;
    this.#visitor = visitor;
    this.#registers = registers;
    this.#space = space;
    this.#loaded = loaded;
    this.proof = newest?.table.position;
    this.#tellsAll = loaded === undefined;
  }

  /** Tells what the checkpoint holds. Returns where the log goes on from there; undefined: at its beginning. */
  begin(): LogStart | undefined {
    const loaded = this.#loaded;
    if (loaded === undefined) return undefined;
    const { start, arcs } = loaded.checkpoint;
    this.#setCounting(false); // up to the segment table, everything is counted in it
    this.#visitor.checkpointBegins?.();
    for (const { arc, sequence, state } of arcs) {
      if (sequence >= start.sequence) this.#awaited.set(arc, { sequence, position: state.position });
      else this.#told.add(arc);
      this.#visitor.arcCheckpoint?.(arc, loaded.arcs.get(arc) as ArcCheckpoint);
    }
    return start;
  }

  end(): void {
    this.#setCounting(true);
    for (const [name, value] of this.#registers) if (name !== lossRegister) this.#visitor.register(name, value);
  }

  /**
   * Of an arc that may have had records there nothing more is told until a state replaces all that was said of it: what
   * follows would have a gap. `nextPosition`: of the batch behind, where there is one.
   */
  lost(batches: LostBatches, nextPosition: DevicePosition | undefined): void {
    const { fromSequence, toSequence } = batches;
    const spared = new Set<ArcId>();
    for (const [arc, { sequence }] of this.#awaited) {
      if (sequence <= toSequence) this.#awaited.delete(arc);
      else if (this.#sawTable) spared.add(arc);
    }
    this.#tellsAll = false;
    this.#told.clear();
    this.#registersSince.clear();
    this.gaps.push({ fromSequence, toSequence, spared });
    if (this.#isSegmentTableIn(batches.position, nextPosition)) this.#setCounting(true);
    this.#visitor.lost?.(batches);
  }

  #isSegmentTableIn(from: DevicePosition, to: DevicePosition | undefined): boolean {
    const table = this.#loaded?.checkpoint.segments.position;
    if (table === undefined || table < from) return false;
    const isSame = (position: DevicePosition): boolean =>
      segmentOf(this.#layout, position) === segmentOf(this.#layout, from);
    return isSame(table) && (to === undefined || !isSame(to) || table < to);
  }

  /** What was lost by earlier restarts, and by this one. */
  lossBook(): { readonly book: LossBook; readonly isNew: boolean } {
    const book = LossBook.decode(this.#registers.get(lossRegister));
    book.passed(this.#loaded?.checkpoint.start.sequence ?? 0);
    const found = this.gaps.filter((gap) => !book.knows(gap));
    for (const gap of found) book.add(gap, this.#registersSince);
    return { book, isNew: found.length > 0 };
  }

  visit(batch: ScannedBatch): void {
    for (const record of decodeBatch(batch)) {
      this.records++;
      this.#visit(record, batch.header.sequence);
    }
  }

  #visit(record: DecodedRecord, sequence: number): void {
    switch (record.type) {
      case 'entry':
        if (this.#tells(record.entry.arc)) this.#visitor.entry(record.entry);
        return;
      case 'truncate':
        if (this.#tells(record.arc)) this.#visitor.truncated(record.arc, record.fromIndex);
        return;
      case 'hardState':
        if (this.#tells(record.arc)) this.#visitor.hardState(record.arc, record.state);
        return;
      case 'arcState':
        // One that the checkpoint doesn't know begins here.
        if (!this.#awaited.has(record.arc)) this.#told.add(record.arc);
        if (this.#tells(record.arc)) this.#visitor.arcState(record.arc, record.state);
        return;
      case 'chunkCopy':
        if (this.#tells(record.copy.arc)) this.#visitor.chunkCopy(record.copy);
        return;
      case 'moved':
        this.#moved(record.moved, sequence);
        return;
      case 'table':
        this.#table(record.table);
        return;
      case 'mapPage':
        this.#mapPage(record.page);
        return;
      case 'applied':
        if (this.#tells(record.arc)) this.#visitor.appliedUpTo?.(record.arc, record.index);
        return;
      case 'freed':
        this.#freed(record.segment);
        return;
      case 'register':
        this.#registers.set(record.name, record.value);
        this.#registersSince.add(record.name);
        return;
      case 'cut':
        return;
    }
  }

  #setCounting(counting: boolean): void {
    const { segments } = this.#space;
    if (segments !== undefined) segments.counting = counting;
  }

  #tells(arc: ArcId): boolean {
    return this.#tellsAll || this.#told.has(arc);
  }

  #table(table: TableRecord): void {
    this.#sawTable = true;
    if (table.position === this.proof) this.proof = undefined;
    if (table.position === this.#loaded?.checkpoint.segments.position) this.#setCounting(true);
    if (this.#awaited.get(table.arc)?.position !== table.position) return;
    this.#awaited.delete(table.arc);
    this.#told.add(table.arc);
  }

  #mapPage({ arc, key, position, mapped, newest }: MapPageRecord): void {
    if (this.#tells(arc)) this.#space.of(arc).pageWritten(key, position, mapped, newest);
  }

  /** Before the arc's state was taken, what was moved is in its pages. */
  #moved(moved: MovedRecord, sequence: number): void {
    const { segments } = this.#space;
    if (segments !== undefined && this.#followsSegments) {
      const segment = segmentOf(this.#layout, moved.position);
      if (segments.state(segment) !== segmentStates.moved) {
        segments.take(segment, segmentStates.moved, sequence, moved.generation);
      }
      segments.reach(segment, moved.position + moved.blocks.length * blockBytes);
    }
    if (this.#tells(moved.arc)) this.#space.moved(moved);
  }

  /** Up to the segment table of the checkpoint all is in it; behind a gap, who knows on which side of the table. */
  get #followsSegments(): boolean {
    return this.gaps.length > 0 || this.#space.segments?.counting === true;
  }

  #freed(segment: number): void {
    const { segments } = this.#space;
    if (segments === undefined || !this.#followsSegments || segment >= this.#layout.segmentCount) return;
    segments.free(segment);
  }
}
