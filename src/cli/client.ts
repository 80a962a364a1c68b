import { type ApiError, isErrorCode } from '../admin/errors.ts';
import { readChassis } from '../chassis/chassis-file.ts';
import { type Invocation, integerOption, usage } from './command.ts';
import { CommandFailure } from './failure.ts';

// Not imported: see admin/server.ts. Here it is the time to load that counts.
const { request: httpRequest } = process.getBuiltinModule('node:http');

export const defaultDataFolder = './corelet-data';
/** An answer larger than this is not ours. */
const answerBytesMax = 16 * 1024 * 1024;
const timeoutMsDefault = 10_000;
/** One Corelet that hangs must not use up the time for the others. */
const tryMsMax = 4_000;

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Admin addresses to try, in order. `--admin`, else CORELET_ADMIN, else chassis.json; the chassis's others after the one named. */
export function adminAddresses(invocation: Invocation): readonly string[] {
  const named = invocation.text('admin') ?? (process.env['CORELET_ADMIN'] || undefined);
  const found = readChassis(invocation.text('data') ?? defaultDataFolder);
  const listed = found.ok ? found.chassis.slots : [];
  if (named !== undefined) {
    const url = adminUrl(invocation, named);
    const siblings = listed.some((slot) => slot.admin === url) ? listed.map((slot) => slot.admin) : [];
    return [url, ...siblings.filter((other) => other !== url)];
  }
  if (!found.ok) throw new CommandFailure('NO_CHASSIS', found.message);
  // Slots with a process first: the others are tried all the same, chassis.json may be older than what runs.
  return [...listed].sort((a, b) => Number(a.pid === null) - Number(b.pid === null)).map((slot) => slot.admin);
}

function adminUrl(invocation: Invocation, text: string): string {
  try {
    const url = new URL(text.includes('://') ? text : `http://${text}`);
    if (url.protocol === 'http:') return url.origin;
  } catch {
    // Told below.
  }
  throw usage(invocation.spec, `the admin address must be like http://127.0.0.1:7400, not '${text}'`);
}

/** The client that `--admin`, CORELET_ADMIN, `--data` and `--timeout` ask for. */
export function clientFor(invocation: Invocation): ChassisClient {
  const seconds = integerOption(invocation, 'timeout', { min: 1, max: 86_400, otherwise: timeoutMsDefault / 1000 });
  return new ChassisClient(adminAddresses(invocation), seconds * 1000);
}

/** The API of the chassis: of whichever Corelet answers first. */
export class ChassisClient {
  readonly addresses: readonly string[];
  readonly #timeoutMs: number;

  constructor(addresses: readonly string[], timeoutMs: number = timeoutMsDefault) {
    this.addresses = addresses;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Asks the Corelets one after the other until one answers. A change is passed on only where the one before surely didn't get it.
   * @throws CommandFailure with the API's code, NOBODY_ANSWERS or TIMED_OUT.
   */
  async ask<T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<T> {
    const deadline = Date.now() + this.#timeoutMs;
    let timedOut = false;
    for (const address of this.addresses) {
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) break;
      const outcome = await send(address, method, path, body, method === 'GET' ? Math.min(leftMs, tryMsMax) : leftMs);
      if (typeof outcome === 'object') return unwrap<T>(outcome);
      if (outcome === 'TIMED_OUT') timedOut = true;
      if (outcome !== 'UNREACHABLE' && method !== 'GET')
        throw new CommandFailure('TIMED_OUT', `${address} took the request but gave no answer`);
    }
    if (timedOut) throw new CommandFailure('TIMED_OUT', `no Corelet answered within ${this.#timeoutMs / 1000} s`);
    throw new CommandFailure('NOBODY_ANSWERS', `no Corelet answers at ${describe(this.addresses)}`);
  }

  /** Every Corelet that answers, at once; those that don't are left out. */
  async askAll<T>(path: string): Promise<readonly { readonly address: string; readonly value: T }[]> {
    const limitMs = Math.min(this.#timeoutMs, tryMsMax);
    const answers = await Promise.all(
      this.addresses.map(async (address) => ({
        address,
        outcome: await send(address, 'GET', path, undefined, limitMs),
      })),
    );
    const good: { address: string; value: T }[] = [];
    for (const { address, outcome } of answers) {
      if (typeof outcome === 'object' && outcome.status === 200) good.push({ address, value: outcome.body as T });
    }
    if (good.length === 0)
      throw new CommandFailure('NOBODY_ANSWERS', `no Corelet answers at ${describe(this.addresses)}`);
    return good;
  }
}

function describe(addresses: readonly string[]): string {
  return addresses.length === 1
    ? (addresses[0] as string)
    : `${addresses[0]} or the ${addresses.length - 1} other addresses`;
}

function unwrap<T>(answer: Answer): T {
  if (answer.status < 400) return answer.body as T;
  const error = (answer.body as Partial<ApiError> | undefined)?.error;
  if (error === undefined || !isErrorCode(error.code))
    throw new CommandFailure('FAILED', `the Corelet answered with HTTP status ${answer.status}`);
  throw new CommandFailure(error.code, error.message, error.next);
}

/** `UNREACHABLE`: the request surely wasn't received. `BROKEN`, `TIMED_OUT`: it may have been. */
type Outcome = Answer | 'UNREACHABLE' | 'BROKEN' | 'TIMED_OUT';

export function send(
  address: string,
  method: string,
  path: string,
  body: unknown,
  timeoutMs: number,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const headers =
      payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) };
    const request = httpRequest(`${address}${path}`, { method, headers, agent: false }, (response) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      response.on('data', (part: Buffer) => {
        bytes += part.length;
        if (bytes > answerBytesMax) request.destroy();
        else parts.push(part);
      });
      response.on('end', () =>
        settle({ status: response.statusCode ?? 0, body: parse(Buffer.concat(parts).toString('utf8')) }),
      );
      response.on('error', () => settle('BROKEN'));
    });
    const timer = setTimeout(() => {
      settle('TIMED_OUT');
      request.destroy();
    }, timeoutMs);
    const settle = (outcome: Outcome): void => {
      clearTimeout(timer);
      resolve(outcome);
    };
    request.on('error', (error: NodeJS.ErrnoException) => {
      settle(
        error.code === 'ECONNREFUSED' || error.code === 'EHOSTUNREACH' || error.code === 'ENOTFOUND'
          ? 'UNREACHABLE'
          : 'BROKEN',
      );
    });
    request.end(payload);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
