import type { DeviceHistory, Moment } from './corruption-device.ts';
import type { MemoryFlash } from './corruption-flash.ts';
import { anatomyOf, type LivePlaces, type Target, targetsOf } from './corruption-targets.ts';

const pageBytes = 4096;
const sectorBytes = 512;

/** One way to damage one place. */
export interface Case {
  readonly target: Target;
  readonly damage: 'flipped' | 'zeroed' | 'swapped' | 'older' | 'misdirected' | 'unreadable' | 'dead';
  readonly detail: string;
  apply(flash: MemoryFlash): void;
}

function flip(flash: MemoryFlash, at: number, bit: number): void {
  const byte = flash.peek(at, 1);
  byte[0] = (byte[0] as number) ^ (1 << bit);
  flash.poke(at, byte);
}

function down(position: number, step: number): number {
  return position - (position % step);
}

/** The whole pages that hold the target. */
function pagesOf({ position, bytes }: Target): { from: number; length: number } {
  const from = down(position, pageBytes);
  return { from, length: Math.ceil((position + bytes - from) / pageBytes) * pageBytes };
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function* ownDamages(target: Target): IterableIterator<Case> {
  for (const [i, offset] of target.flips.entries()) {
    const bit = (i * 5 + 1) % 8;
    const at = target.position + offset;
    yield { target, damage: 'flipped', detail: `bit ${bit} of byte ${offset}`, apply: (flash) => flip(flash, at, bit) };
  }
  const { from, length } = pagesOf(target);
  const sector = down(target.position, sectorBytes);
  const zero = (at: number, bytes: number) => (flash: MemoryFlash) => flash.poke(at, new Uint8Array(bytes));
  yield { target, damage: 'zeroed', detail: 'a sector', apply: zero(sector, sectorBytes) };
  yield { target, damage: 'zeroed', detail: 'all pages', apply: zero(from, length) };
  yield { target, damage: 'unreadable', detail: '', apply: (flash) => flash.fail(from, length, 'latent') };
  yield { target, damage: 'dead', detail: '', apply: (flash) => flash.fail(from, length, 'dead') };
}

/** Exchanges the target with another of its kind, byte for byte: each is valid, but at the wrong place. */
function* swaps(target: Target, others: readonly Target[]): IterableIterator<Case> {
  const other = others.find((one) => one.position !== target.position && one.bytes === target.bytes);
  if (other === undefined) return;
  yield {
    target,
    damage: 'swapped',
    detail: `with ${other.position}`,
    apply: (flash) => {
      const mine = flash.peek(target.position, target.bytes);
      flash.poke(target.position, flash.peek(other.position, other.bytes));
      flash.poke(other.position, mine);
    },
  };
}

/** A write that was meant for another place hit this one: a page of some other kind. */
function* misdirections(target: Target, pages: readonly Target[]): IterableIterator<Case> {
  const { from } = pagesOf(target);
  for (const page of pages.filter(({ position }, i) => position !== from && (i + from / pageBytes) % 6 === 0)) {
    const apply = (flash: MemoryFlash): void => flash.poke(from, flash.peek(page.position, pageBytes));
    yield { target, damage: 'misdirected', detail: `a page of ${page.kind}`, apply };
  }
}

interface Earlier {
  readonly moment: Moment;
  readonly targets: readonly Target[];
  readonly label: string;
}

/** What lay at the same place at an earlier moment, and what the same object was then. */
function* olderVersions(target: Target, now: Moment, earlier: readonly Earlier[]): IterableIterator<Case> {
  const { from, length } = pagesOf(target);
  const seen: Uint8Array[] = [now.flash.peek(from, length)];
  for (const { moment, targets, label } of earlier) {
    const before = moment.flash.peek(from, length);
    if (!seen.some((bytes) => same(bytes, before))) {
      seen.push(before);
      yield { target, damage: 'older', detail: `the place, ${label}`, apply: (flash) => flash.poke(from, before) };
    }
    if (target.name === '') continue;
    const object = targets.find(({ name, kind }) => name === target.name && kind === target.kind);
    if (object === undefined) continue;
    const bytes = moment.flash.peek(object.position, Math.max(object.bytes, target.bytes));
    if (seen.some((known) => same(bytes, known.subarray(0, bytes.length)))) continue;
    yield {
      target,
      damage: 'older',
      detail: `the object, ${label}`,
      apply: (flash) => flash.poke(target.position, bytes),
    };
  }
}

export interface LiveMoment {
  readonly moment: Moment;
  readonly live: LivePlaces;
  readonly label: string;
}

/** Every case of damage to one place, class by class. */
export async function casesOf(history: DeviceHistory, moments: readonly LiveMoment[]): Promise<Case[]> {
  const earlier: Earlier[] = [];
  for (const { moment, live, label } of moments.slice(1)) {
    earlier.push({ moment, targets: targetsOf(await anatomyOf(moment.flash.clone()), live), label });
  }
  const [now] = moments as [LiveMoment];
  const targets = targetsOf(await anatomyOf(now.moment.flash.clone()), now.live);
  const samples = new Map<string, Target>();
  for (const target of targets) {
    if (target.position % pageBytes === 0 && !samples.has(target.kind)) samples.set(target.kind, target);
  }
  const cases: Case[] = [];
  for (const target of targets) {
    const alike = targets.filter(({ kind }) => kind === target.kind);
    const after = alike.slice(alike.indexOf(target) + 1);
    cases.push(...ownDamages(target));
    cases.push(...swaps(target, [...after, ...alike]));
    cases.push(...misdirections(target, [...samples.values()]));
    cases.push(...olderVersions(target, history.now, earlier));
  }
  return cases;
}
