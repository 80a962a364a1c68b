import assert from 'node:assert/strict';
import type { ArcId, CoreletId } from '../../../src/base/ids.ts';
import type { Random } from '../../../src/ports/random.ts';
import type { GatewayReply } from '../../../src/volume/exchange.ts';
import { Gateway } from '../../../src/volume/gateway.ts';
import { RouteTable } from '../../../src/volume/routes.ts';
import type { Relay } from '../../../src/wire/peer/relay.ts';
import type { OpRequest, PeerMessage, ReplyCode } from '../../../src/wire/peer/types.ts';
import { ManualClock } from '../nbd/clocks.ts';

export const self = 'f'.repeat(32) as CoreletId;
export const a = 'a'.repeat(32) as CoreletId;
export const b = 'b'.repeat(32) as CoreletId;
export const c = 'c'.repeat(32) as CoreletId;
export const arc = 0 as ArcId;

export interface Sent {
  readonly to: CoreletId;
  readonly message: PeerMessage;
}

/** A gateway whose peers are the test: it sees every message and gives every answer, on a clock that it moves itself. */
export class Leaders {
  readonly clock = new ManualClock();
  readonly dead = new Set<CoreletId>();
  readonly sent: Sent[] = [];
  readonly wanted: boolean[] = [];
  readonly doubted: CoreletId[] = [];
  readonly routes = new RouteTable(1);
  readonly gateway: Gateway;

  constructor() {
    let drawn = 0;
    const random: Random = {
      u32: () => ++drawn,
      u48: () => ++drawn,
      fraction: () => 0.5,
      bytes: (count) => new Uint8Array(count),
    };
    this.gateway = new Gateway({
      self,
      incarnation: 1,
      clock: this.clock,
      random,
      routes: this.routes,
      send: (to, message) => {
        this.sent.push({ to, message });
        return true;
      },
      isAlive: (id) => !this.dead.has(id),
      doubt: ({ leader }) => void this.doubted.push(leader),
      candidates: () => [a, b, c],
      wantTickets: (wanted) => void this.wanted.push(wanted),
    });
    this.lead(a, 1);
    this.clock.advance(10_000);
  }

  lead(leader: CoreletId, term: number): void {
    const voters = [a, b, c].map((id) => ({ id, generation: 1 }));
    const shape = { voters, votersOutgoing: [], learners: [], complete: 3, healBytesLeft: 0, waitsForRoom: false };
    this.routes.update({ arc, term, leader, configurationIndex: 1, ...shape });
    this.gateway.routeChanged(arc);
  }

  /** The newest operation, relayed or not, once `turns` of waiting callbacks have run. */
  async op(kind: OpRequest['body']['kind']): Promise<{ readonly to: CoreletId; readonly op: OpRequest }> {
    for (let turn = 0; turn < 100; turn++) {
      for (let at = this.sent.length - 1; at >= 0; at--) {
        const { to, message } = this.sent[at] as Sent;
        const question = message.type === 'relay' ? message.question : message;
        if (question.type === 'op' && question.body.kind === kind) return { to, op: question };
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.fail(`no ${kind} was sent`);
  }

  count(kind: OpRequest['body']['kind']): number {
    return this.sent.filter(({ message }) => message.type === 'op' && message.body.kind === kind).length;
  }

  relays(): { readonly to: CoreletId; readonly relay: Relay }[] {
    return this.sent.flatMap(({ to, message }) => (message.type === 'relay' ? [{ to, relay: message }] : []));
  }

  answer(from: CoreletId, op: OpRequest, code: ReplyCode, leader?: CoreletId): void {
    const reply: GatewayReply = { type: 'opReply', request: op.request, code, leader, version: 1 };
    this.gateway.receive(from, reply);
  }

  /** The session that every first operation opens. */
  async opened(): Promise<void> {
    const { to, op } = await this.op('openSession');
    this.answer(to, op, 'ok');
  }
}
