import type { ArcId, CoreletId } from '../base/ids.ts';
import type { KeyReply, OpReply, PeerMessage, ReadReply } from '../wire/peer/types.ts';

export type GatewayReply = OpReply | ReadReply | KeyReply;

/** How a question to an arc's leader ended. `timeout` only where a deadline was given; its outcome is open. */
export type ExchangeEnd<Reply> = { readonly reply: Reply; readonly openTries: number } | 'timeout';

/** One question to an arc's leader, asked again until it is answered for good. */
export interface Exchange {
  readonly arc: ArcId;
  /** The message of one more try. */
  readonly ask: (request: number) => PeerMessage;
  readonly settle: (end: ExchangeEnd<GatewayReply>) => void;
  readonly deadlineMs: number;
  readonly startedMs: number;
  tries: number;
  /** Those of them that were not surely refused: their operation may still happen. */
  openTries: number;
  /** Request numbers under which an answer may still come. */
  requests: number[];
  target: CoreletId | undefined;
  /** Of the newest try; while it waits for its next one, when that is due. */
  sentMs: number;
  retryAtMs: number;
  waiting: boolean;
  hint: CoreletId | undefined;
  done: boolean;
}
