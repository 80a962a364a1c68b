import type { CoreletId } from '../base/ids.ts';
import { encodeMembership } from '../wire/membership/codec.ts';
import type { MembershipMessage } from '../wire/membership/types.ts';
import type { MembershipEffects, MembershipEvent, OutgoingMessage, ViewChange } from './types.ts';

const nobody: readonly CoreletId[] = [];

/** Collects what a step causes until the owner takes it. The register is encoded once per batch, when it is taken. */
export class Outbox {
  readonly #register: () => Uint8Array;
  #persist = false;
  #messages: OutgoingMessage[] = [];
  #viewChanges: ViewChange[] = [];
  #events: MembershipEvent[] = [];
  #asks = new Set<CoreletId>();
  readonly #bodies = new WeakMap<MembershipMessage, Uint8Array>();

  constructor(register: () => Uint8Array) {
    this.#register = register;
  }

  persist(): void {
    this.#persist = true;
  }

  /** The same message object, to many or again later, is encoded once. */
  send(to: CoreletId, message: MembershipMessage, afterSync = false): void {
    let body = this.#bodies.get(message);
    if (body === undefined) {
      body = encodeMembership(message);
      this.#bodies.set(message, body);
    }
    this.#messages.push({ to, body, afterSync });
  }

  viewChange(change: ViewChange): void {
    this.#viewChanges.push(change);
  }

  event(event: MembershipEvent): void {
    this.#events.push(event);
  }

  ask(id: CoreletId): void {
    this.#asks.add(id);
  }

  take(): MembershipEffects {
    const persist = this.#persist ? this.#register() : undefined;
    const effects = {
      persist,
      messages: this.#messages,
      viewChanges: this.#viewChanges,
      events: this.#events,
      asks: this.#asks.size === 0 ? nobody : [...this.#asks],
    };
    this.#persist = false;
    this.#messages = [];
    this.#viewChanges = [];
    this.#events = [];
    this.#asks.clear();
    return effects;
  }
}
