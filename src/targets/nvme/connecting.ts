import { hexText } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { doNotRetry, fabricsOpcode, fabricsTypes, statuses } from '../../wire/nvme/codes.ts';
import {
  connectAttributes,
  connectData,
  type ConnectFields,
  connectOf,
  newController,
} from '../../wire/nvme/fabrics.ts';
import type { Command } from './command.ts';
import { adminInCapsuleBytesMax } from './limits.ts';
import type { Executor, Queue } from './queue.ts';

export interface ConnectRequest extends ConnectFields {
  readonly cntlid: number;
  readonly subsystemNqn: string;
  readonly hostNqn: string;
  /** 32 hex digits. */
  readonly hostId: string;
}

/** `parameterAt`: of the field that was wrong; `inData`: in the data, not in the command (base §6.3, IPO and IATTR). */
export type ConnectResult =
  | { readonly ok: true; readonly result: number }
  | { readonly ok: false; readonly status: number; readonly parameterAt?: number; readonly inData?: boolean };

const offsets = { recordFormat: 40, hostId: 0, cntlid: 16, subsystemNqn: 256, hostNqn: 512 } as const;

export function wrongParameter(parameterAt: number, inData: boolean): ConnectResult {
  return { ok: false, status: statuses.connectInvalidParameters | doNotRetry, parameterAt, inData };
}

/** A connection before it is a controller's queue: it understands Connect, and nothing else. */
export class Unconnected implements Executor {
  readonly inCapsuleBytesMax = adminInCapsuleBytesMax;
  readonly #queue: Queue;
  readonly #connect: (queue: Queue, request: ConnectRequest) => Promise<ConnectResult>;
  #isAsked = false;

  constructor(queue: Queue, connect: (queue: Queue, request: ConnectRequest) => Promise<ConnectResult>) {
    this.#queue = queue;
    this.#connect = connect;
  }

  plan(command: Command): void {
    const isConnect = command.opcode === fabricsOpcode && (command.nsid & 0xff) === fabricsTypes.connect;
    if (!isConnect) command.refusal = statuses.invalidOpcode | doNotRetry;
    else if (this.#isAsked) command.refusal = statuses.commandSequenceError | doNotRetry;
    else {
      command.toControllerBytes = connectData.sizeBytes;
      this.#isAsked = true;
    }
  }

  execute(command: Command): void {
    const request = requestOf(command);
    if ('ok' in request) return this.#answer(command, request);
    void this.#connect(this.#queue, request).then((result) => this.#answer(command, result));
  }

  #answer(command: Command, result: ConnectResult): void {
    if (result.ok) {
      this.#queue.complete(command, statuses.success, result.result);
      return;
    }
    this.#isAsked = false;
    const { status, parameterAt, inData } = result;
    const where = parameterAt === undefined ? 0 : parameterAt | (inData === true ? 0x1_0000 : 0);
    this.#queue.complete(command, status, where);
  }

  refused(): void {
    this.#isAsked = false;
  }
  readDone(): void {}
  ioDone(): void {}
  comparedDone(): void {}
}

function requestOf(command: Command): ConnectRequest | ConnectResult {
  const fields = connectOf(command);
  if (fields.recordFormat !== 0)
    return { ok: false, status: statuses.connectIncompatibleFormat | doNotRetry, parameterAt: offsets.recordFormat };
  const bytes = new Uint8Array(connectData.sizeBytes);
  let at = 0;
  for (const part of command.parts) {
    bytes.set(part, at);
    at += part.length;
  }
  try {
    const { hostId, cntlid, subsystemNqn, hostNqn } = connectData.decode(bytes);
    return { ...fields, cntlid, subsystemNqn, hostNqn, hostId: hexText(hostId) };
  } catch (error) {
    if (!(error instanceof RemoteProtocolError)) throw error;
    const isSubsystem = !bytes.subarray(offsets.subsystemNqn, offsets.hostNqn).includes(0);
    return wrongParameter(isSubsystem ? offsets.subsystemNqn : offsets.hostNqn, true);
  }
}

export const connectOffsets = { ...offsets, qid: 42, sqSize: 44 } as const;

export function isNewController(cntlid: number): boolean {
  return cntlid === newController;
}

export function hasFlowControl(cattr: number): boolean {
  return (cattr & connectAttributes.noFlowControl) === 0;
}
