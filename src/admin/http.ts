import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ErrorCode, type ErrorEntry, errorTable } from './errors.ts';

/** Bodies of the API are small objects. */
export const bodyBytesMax = 64 * 1024;

/** Refuses the request with a code of the table. */
export class Refusal extends Error {
  override name = 'Refusal';
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** What a route answers. */
export interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export function jsonReply(status: number, value: unknown): Reply {
  return { status, type: 'application/json', body: `${JSON.stringify(value)}\n` };
}

export function refusalReply(code: ErrorCode, message: string): Reply {
  const entry: ErrorEntry = errorTable[code];
  return jsonReply(entry.status ?? 500, { error: { code, message, next: entry.next } });
}

/** @throws Refusal unless a JSON object of at most `bodyBytesMax` comes with its content type. */
export async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json') throw new Refusal('NOT_JSON', 'the Content-Type must be application/json');
  const text = await readBody(request);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Refusal('BAD_REQUEST', 'the body is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refusal('BAD_REQUEST', 'the body is not a JSON object');
  return value as Record<string, unknown>;
}

async function readBody(request: IncomingMessage): Promise<string> {
  if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax)
    throw new Refusal('BODY_TOO_LARGE', `the body is larger than ${bodyBytesMax} bytes`);
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > bodyBytesMax) throw new Refusal('BODY_TOO_LARGE', `the body is larger than ${bodyBytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

const ipLiteral = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])$/i;

/**
 * A page whose own name was pointed at this address (DNS rebinding) sends that name as Host: only `localhost`, addresses
 * and the name that we listen on are taken.
 */
export function hostIsOurs(host: string | undefined, listenHost: string): boolean {
  const name = (host ?? '').replace(/:\d+$/, '');
  return name === 'localhost' || name === listenHost || ipLiteral.test(name);
}

/** Origin of a page that another Corelet on this machine served. */
export function isLoopbackOrigin(origin: string): boolean {
  return /^http:\/\/(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/.test(origin);
}

export function sendReply(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  const { origin } = request.headers;
  // Other origins may read, where they are a Corelet of this machine, and never change.
  const isReading = request.method === 'GET' || request.method === 'HEAD';
  const cors =
    isReading && origin !== undefined && isLoopbackOrigin(origin)
      ? { 'access-control-allow-origin': origin, vary: 'origin' }
      : {};
  const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : reply.body;
  response.writeHead(reply.status, {
    'content-type': reply.type,
    'content-length': body.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...cors,
    ...reply.headers,
    // What is left of a refused body is not read.
    ...(request.complete ? {} : { connection: 'close' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}
