import type { CoreletId } from '../base/ids.ts';
import type { View } from '../ring/view.ts';
import type { Alert } from '../wire/membership/types.ts';
import type { Outbox } from './outbox.ts';
import { ringsOf } from './rings.ts';
import type { Tally } from './tally.ts';
import type { MembershipLimits } from './types.ts';
import type { Watch } from './watch.ts';

/** So many subjects in one alert concern everybody. */
const manySilent = 3;

/** How one Corelet's accusations reach the others, and what it does about theirs. */
export class Alarm {
  readonly #self: CoreletId;
  readonly #limits: MembershipLimits;
  readonly #watch: Watch;
  readonly #tally: Tally;
  readonly #outbox: Outbox;
  #sequence = 0;
  #nextMs = 0;

  constructor(
    self: CoreletId,
    limits: MembershipLimits,
    senses: { readonly watch: Watch; readonly tally: Tally },
    outbox: Outbox,
  ) {
    this.#self = self;
    this.#limits = limits;
    this.#watch = senses.watch;
    this.#tally = senses.tally;
    this.#outbox = outbox;
  }

  /** A new view, or something urgent: the next word is due. */
  renew(nowMs: number): void {
    this.#nextMs = nowMs;
  }

  /**
   * Says whom we accuse, whole and again, so that a lost message costs one interval. `changed`: at once. `leaving`: we go.
   */
  speak(view: View, changed: boolean, leaving: boolean, nowMs: number): void {
    const subjects = this.#subjects(view, nowMs);
    if (!changed && (nowMs < this.#nextMs || (subjects.length === 0 && !leaving))) return;
    this.#nextMs = nowMs + this.#limits.alertRepeatMs;
    this.#sequence++;
    const viewNumber = view.number;
    const hears = this.#watch.hears();
    const alert = { type: 'alert', viewNumber, sequence: this.#sequence, hears, subjects } as const;
    this.#tally.hear(view, this.#self, alert, nowMs);
    for (const id of this.#listeners(view, subjects)) this.#outbox.send(id, alert);
    if (!leaving) return;
    const goodbye = { type: 'leave', viewNumber } as const;
    for (const { id } of view.members) if (id !== this.#self) this.#outbox.send(id, goodbye);
  }

  /**
   * A silence that one has noticed is looked into by all who watch that member: at rest each alone would notice it late.
   * When several are silent the network may be divided, and everybody finds out on which side it is.
   */
  hear(view: View, from: CoreletId, alert: Alert, nowMs: number): void {
    this.#tally.hear(view, from, alert, nowMs);
    const rings = ringsOf(view);
    const many = alert.subjects.length >= manySilent;
    for (const id of alert.subjects) {
      if (this.#watch.isLive(id) && (many || rings.observes(this.#self, id))) this.#outbox.ask(id);
    }
  }

  #subjects(view: View, nowMs: number): CoreletId[] {
    const subjects = new Set(this.#watch.accused());
    const rings = ringsOf(view);
    for (const id of this.#tally.stuck(view, nowMs)) if (rings.observes(this.#self, id)) subjects.add(id);
    return [...subjects];
  }

  // An observer's word counts, so all hear it. Another's is a hint to the observers.
  #listeners(view: View, subjects: readonly CoreletId[]): Set<CoreletId> {
    const rings = ringsOf(view);
    const counts = subjects.some((id) => rings.observes(this.#self, id));
    const told = counts ? view.members.map((member) => member.id) : subjects.flatMap((id) => rings.observersOf(id));
    const others = new Set(told);
    others.delete(this.#self);
    return others;
  }
}
