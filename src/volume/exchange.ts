import type { ArcId, CoreletId } from '../base/ids.ts';
import type { KeyReply, KeyRequest, OpReply, OpRequest, ReadReply, ReadRequest } from '../wire/peer/types.ts';

import type { HostCommand } from './block-device.ts';

export type GatewayReply = OpReply | ReadReply | KeyReply;
export type GatewayQuestion = OpRequest | ReadRequest | KeyRequest;

/**
 * How a question to an arc's leader ended. `timeout`: its deadline passed. `stopped`: whoever asked wants no answer any more.
 * `stale`: it is older than any leader accepts. Of all three the outcome is open if a try is (`openTries`).
 */
export type ExchangeEnd<Reply> = Reply | 'timeout' | 'stopped' | 'stale';

/** Makes the message of one more try. `leader`: whom it is meant for, whose ticket it must carry. */
export type Ask = (request: number, leader: CoreletId) => GatewayQuestion;

/** One question to an arc's leader, asked again until it is answered for good. */
export interface Exchange {
  readonly arc: ArcId;
  readonly ask: Ask;
  readonly settle: (end: ExchangeEnd<GatewayReply>) => void;
  readonly deadlineMs: number;
  /** The host's command that this belongs to; undefined where no ticket is needed. */
  readonly command: HostCommand | undefined;
  tries: number;
  /** Those of them that were not surely refused: their operation may still happen. */
  openTries: number;
  /** Request numbers under which an answer may still come. */
  requests: number[];
  /** Whom the newest try was sent to: the leader, as far as known, or who relays to it. */
  target: CoreletId | undefined;
  /** Who was to answer it as the leader: the target itself, or whom that one relays to. */
  leader: CoreletId | undefined;
  /** Leads, others say, but doesn't answer from here: asked through another voter. */
  silent: CoreletId | undefined;
  /** Of the newest try; while it waits for its next one, when that is due. */
  sentMs: number;
  retryAtMs: number;
  waiting: boolean;
  hint: CoreletId | undefined;
  /** Who shall pass the next try on to `hint`. */
  via: CoreletId | undefined;
  done: boolean;
}
