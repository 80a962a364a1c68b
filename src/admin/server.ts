import type { IncomingMessage, ServerResponse } from 'node:http';
import { hostIsOurs, Refusal, refusalReply, sendReply } from './http.ts';
import { type AdminSource, answer } from './routes.ts';

// An `import` of node:http evaluates its lazy exports too, a WebSocket client among them: 11 MB in every Corelet.
const { createServer } = process.getBuiltinModule('node:http');

export const adminLimits = {
  connectionsMax: 256,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  keepAliveMs: 5_000,
} as const;

export interface AdminServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Serves the admin API, the metrics and the page. @throws the listen error (EADDRINUSE …). */
export function listenAdmin(
  source: AdminSource,
  address: { readonly host: string; readonly port: number },
): Promise<AdminServer> {
  const server = createServer(
    {
      headersTimeout: adminLimits.headersTimeoutMs,
      requestTimeout: adminLimits.requestTimeoutMs,
      keepAliveTimeout: adminLimits.keepAliveMs,
    },
    (request, response) => void serve(source, address.host, request, response),
  );
  server.maxConnections = adminLimits.connectionsMax;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: address.host, port: address.port }, () => {
      server.off('error', reject);
      const bound = server.address();
      resolve({
        port: typeof bound === 'object' && bound !== null ? bound.port : address.port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      });
    });
  });
}

async function serve(
  source: AdminSource,
  host: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    guard(host, request);
    sendReply(request, response, await answer(source, request));
  } catch (error) {
    if (response.headersSent || response.destroyed) return;
    const refusal = error instanceof Refusal ? error : undefined;
    // The message of an unexpected error stays in the log: it may name what a stranger needn't know.
    if (refusal === undefined) console.error(`admin: ${request.method} ${request.url}:`, error);
    sendReply(
      request,
      response,
      refusalReply(refusal?.code ?? 'INTERNAL', refusal?.message ?? 'the request failed; see the log of the slot'),
    );
  }
}

/** @throws Refusal for what a page of a foreign origin may have sent. */
function guard(listenHost: string, request: IncomingMessage): void {
  const { host, origin } = request.headers;
  if (!hostIsOurs(host, listenHost)) throw new Refusal('BAD_HOST', `Host ${host ?? '(none)'} is not this Corelet's`);
  const isReading = request.method === 'GET' || request.method === 'HEAD';
  if (!isReading && origin !== undefined && origin !== `http://${host}`)
    throw new Refusal('BAD_HOST', `changes from origin ${origin} are refused`);
}
