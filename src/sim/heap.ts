/** An event to come. `cancel` leaves it in the heap as a husk, which is passed over. */
export class Scheduled<Owner> {
  readonly atMs: number;
  /** Order among events of one instant: as they were scheduled. */
  readonly sequence: number;
  readonly owner: Owner;
  run: (() => void) | undefined;
  #heap: { husks: number } | undefined;

  constructor(heap: { husks: number }, atMs: number, sequence: number, owner: Owner, run: () => void) {
    this.#heap = heap;
    this.atMs = atMs;
    this.sequence = sequence;
    this.owner = owner;
    this.run = run;
  }

  cancel(): void {
    if (this.run === undefined) return;
    this.run = undefined;
    if (this.#heap !== undefined) this.#heap.husks++;
  }

  /** Out of the heap, yet still to run: a paused owner keeps it, and may cancel it before it runs. */
  taken(): void {
    this.#heap = undefined;
  }
}

const husksWorthSweeping = 4096;

function before<Owner>(a: Scheduled<Owner>, b: Scheduled<Owner>): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}

/** A binary heap by (time, order of scheduling). Cancelled events are swept when they are most of it. */
export class EventHeap<Owner> {
  husks = 0;
  #items: Scheduled<Owner>[] = [];
  #sequence = 0;

  get size(): number {
    return this.#items.length - this.husks;
  }

  push(atMs: number, owner: Owner, run: () => void): Scheduled<Owner> {
    const item = new Scheduled(this, atMs, this.#sequence++, owner, run);
    this.#items.push(item);
    this.#up(this.#items.length - 1);
    if (this.husks > husksWorthSweeping && this.husks * 2 > this.#items.length) this.#sweep();
    return item;
  }

  peek(): Scheduled<Owner> | undefined {
    let top = this.#items[0];
    while (top !== undefined && top.run === undefined) {
      this.husks--;
      this.#removeTop();
      top = this.#items[0];
    }
    return top;
  }

  /** Takes what `peek` showed. */
  pop(): void {
    this.#items[0]?.taken();
    this.#removeTop();
  }

  #removeTop(): void {
    const last = this.#items.pop();
    if (last === undefined || this.#items.length === 0) return;
    this.#items[0] = last;
    this.#down(0);
  }

  #up(start: number): void {
    const items = this.#items;
    let at = start;
    const item = items[at] as Scheduled<Owner>;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = items[parentAt] as Scheduled<Owner>;
      if (!before(item, parent)) break;
      items[at] = parent;
      at = parentAt;
    }
    items[at] = item;
  }

  #down(start: number): void {
    const items = this.#items;
    let at = start;
    const item = items[at] as Scheduled<Owner>;
    for (;;) {
      let childAt = 2 * at + 1;
      if (childAt >= items.length) break;
      let child = items[childAt] as Scheduled<Owner>;
      const right = items[childAt + 1];
      if (right !== undefined && before(right, child)) {
        child = right;
        childAt++;
      }
      if (!before(child, item)) break;
      items[at] = child;
      at = childAt;
    }
    items[at] = item;
  }

  #sweep(): void {
    this.#items = this.#items.filter((item) => item.run !== undefined);
    this.husks = 0;
    for (let at = (this.#items.length >> 1) - 1; at >= 0; at--) this.#down(at);
  }
}
