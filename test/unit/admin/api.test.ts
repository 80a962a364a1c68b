import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import { EventLog } from '../../../src/admin/events.ts';
import { bodyBytesMax } from '../../../src/admin/http.ts';
import type { SessionsAnswer } from '../../../src/admin/types.ts';
import { type AdminServer, listenAdmin } from '../../../src/admin/server.ts';
import { fakeCorelet, idOf, slotStatus, statusOf } from './fake-corelet.ts';

const status = statusOf(6);
const corelet = fakeCorelet(() => status);
let wallMs = 1_000;
const events = new EventLog(undefined, () => wallMs++);
const peers = [
  { slot: 0, admin: 'http://127.0.0.1:7400', nbd: '127.0.0.1:10809', iscsi: '127.0.0.1:3260', nvme: '127.0.0.1:4420' },
];
const session = {
  protocol: 'iscsi',
  volume: 'vol',
  host: 'iqn.2026-01.test:web1',
  session: '00023d000001',
  from: '127.0.0.1:40000',
  to: '127.0.0.1:3260',
  sinceWallMs: 1,
  commands: 2,
  negotiated: { headerDigest: true },
};
let server: AdminServer;

before(async () => {
  const source = { corelet, events, version: '0.1.0', peers: () => peers, sessions: () => [session] };
  server = await listenAdmin(source, { host: '127.0.0.1', port: 0 });
});
after(() => server.close());
beforeEach(() => corelet.made.clear());

interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

function call(method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const request = httpRequest(
      { host: '127.0.0.1', port: server.port, method, path, headers: { ...length, ...headers }, agent: false },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

const json = { 'content-type': 'application/json' };

function refused(got: Got, httpStatus: number, code: string): void {
  assert.equal(got.status, httpStatus, got.text);
  const { error } = JSON.parse(got.text) as { error: { code: string; message: string; next: string } };
  assert.equal(error.code, code);
  assert.ok(error.message.length > 0 && error.next.length > 0, 'says what happened and what to try');
}

test('any Corelet answers the status of the chassis, to scripts and to metrics', async () => {
  const got = await call('GET', '/api/status');
  const slots = status.slots.map((slot) => (slot.slot === 0 ? { ...slot, iscsi: '127.0.0.1:3260' } : slot));
  assert.deepEqual(JSON.parse(got.text), { ...status, slots }, 'with where iSCSI is served');
  const metrics = (await call('GET', '/metrics')).text;
  assert.match(metrics, /^corelet_arcs\{state="full"\} 256$/m);
  assert.match(metrics, /^corelet_slot_safe_to_pull\{slot="5"\} 1$/m);
  for (const line of metrics.trimEnd().split('\n')) {
    assert.match(
      line,
      /^(# (HELP|TYPE) corelet_[a-z_]+ .+|corelet_[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?[\d.e+-]+)$/,
    );
  }
});

test('volumes are made, listed, shown and deleted', async () => {
  const made = await call('POST', '/api/volumes', JSON.stringify({ name: 'a b', sizeBytes: 4096 }), json);
  assert.equal(made.status, 201);
  assert.equal((JSON.parse(made.text) as { copies: number }).copies, 3);
  assert.equal((JSON.parse((await call('GET', '/api/volumes')).text) as { volumes: unknown[] }).volumes.length, 1);
  assert.equal((await call('GET', '/api/volumes/a%20b')).status, 200);
  refused(
    await call('POST', '/api/volumes', JSON.stringify({ name: 'a b', sizeBytes: 4096 }), json),
    409,
    'VOLUME_EXISTS',
  );
  refused(await call('DELETE', '/api/volumes/a%20b', JSON.stringify({ confirm: 'b' }), json), 400, 'BAD_REQUEST');
  assert.equal((await call('DELETE', '/api/volumes/a%20b')).status, 200);
  refused(await call('GET', '/api/volumes/a%20b'), 404, 'VOLUME_NOT_FOUND');
});

test('who may use a volume is shown and changed; secrets go in and never come out', async () => {
  await call('POST', '/api/volumes', JSON.stringify({ name: 'vol', sizeBytes: 4096 }), json);
  const post = (body: object): Promise<Got> => call('POST', '/api/volumes/vol/access', JSON.stringify(body), json);
  const initiator = { name: 'web1', secret: 'a-secret-of-many-bytes' };
  const target = { name: 'array', secret: 'another-secret-of-many' };
  const changed = await post({ hosts: ['iqn.2026-01.test:web1'], readOnly: true, chap: { initiator, target } });
  const access = { hosts: ['iqn.2026-01.test:web1'], readOnly: true, chap: { initiator: 'web1', target: 'array' } };
  assert.deepEqual(JSON.parse(changed.text), { schemaVersion: 1, name: 'vol', ...access });
  const shown = await call('GET', '/api/volumes/vol/access');
  assert.equal(shown.text, changed.text);
  assert.ok(!shown.text.includes('secret'));
  assert.equal((JSON.parse((await post({ chap: null })).text) as { chap: unknown }).chap, null);
  for (const wrong of [
    { hosts: 'some' },
    { hosts: [5] },
    { readOnly: 'yes' },
    { chap: 'web1' },
    { chap: { initiator: { name: 'web1' } } },
    { chap: { initiator, target: [] } },
    { chap: { initiator: { ...initiator, algorithm: 'md5' } } },
    { colour: 'red' },
  ])
    refused(await post(wrong), 400, 'BAD_REQUEST');
  refused(await call('GET', '/api/volumes/nothing/access'), 404, 'VOLUME_NOT_FOUND');
});

test('connected hosts are listed by the Corelet that serves them', async () => {
  const { sessions, answeredBy } = JSON.parse((await call('GET', '/api/sessions')).text) as SessionsAnswer;
  assert.equal(answeredBy.slot, 0);
  assert.deepEqual(sessions, [session]);
});

test('what is not a request is refused with a code, and makes nothing', async () => {
  const post = (body: string, headers = json): Promise<Got> => call('POST', '/api/volumes', body, headers);
  refused(await post('{"name":"x","sizeBytes":1}', { 'content-type': 'text/plain' }), 415, 'NOT_JSON');
  refused(await post('{'), 400, 'BAD_REQUEST');
  refused(await post('[]'), 400, 'BAD_REQUEST');
  refused(await post('{"name":5,"sizeBytes":1}'), 400, 'BAD_REQUEST');
  refused(await post('{"name":"x","sizeBytes":"1GiB"}'), 400, 'BAD_REQUEST');
  refused(await post('{"name":"x","sizeBytes":1,"colour":"red"}'), 400, 'BAD_REQUEST');
  refused(await post(`{"name":"${'x'.repeat(bodyBytesMax)}"}`), 413, 'BODY_TOO_LARGE');
  refused(await call('GET', '/api/nothing'), 404, 'ROUTE_NOT_FOUND');
  refused(await call('GET', '/../package.json'), 404, 'ROUTE_NOT_FOUND');
  refused(await call('PUT', '/api/volumes', '{}', json), 405, 'METHOD_NOT_ALLOWED');
  refused(await call('GET', '/api/volumes/%ff'), 400, 'BAD_REQUEST');
  refused(await call('GET', '/api/events?limit=-1'), 400, 'BAD_REQUEST');
  assert.equal(corelet.made.size, 0);
});

test('pages of other origins can neither read nor change; a page of another Corelet here can read', async () => {
  refused(await call('GET', '/api/status', undefined, { host: 'evil.example:80' }), 403, 'BAD_HOST');
  const body = '{"name":"x","sizeBytes":4096}';
  refused(await call('POST', '/api/volumes', body, { ...json, origin: 'http://evil.example' }), 403, 'BAD_HOST');
  refused(await call('POST', '/api/volumes', body, { ...json, origin: 'http://127.0.0.1:1' }), 403, 'BAD_HOST');
  const sibling = await call('GET', '/api/status', undefined, { origin: 'http://127.0.0.1:7401' });
  assert.equal(sibling.headers['access-control-allow-origin'], 'http://127.0.0.1:7401');
  const stranger = await call('GET', '/api/status', undefined, { origin: 'http://evil.example' });
  assert.equal(stranger.headers['access-control-allow-origin'], undefined);
  refused(await call('OPTIONS', '/api/volumes', undefined, { origin: 'http://evil.example' }), 403, 'BAD_HOST');
  assert.equal(corelet.made.size, 0);
});

test('events of a slot are found by slot and by the module that sits in it', async () => {
  events.record({ kind: 'liveness.lapsed', slot: 3, text: 'Slot 3 was not heard.' });
  events.record({ kind: 'arc.replica-added', corelet: idOf(3), arc: 9, text: 'Arc 9 got a replica.' });
  events.record({ kind: 'liveness.lapsed', slot: 4, text: 'Slot 4 was not heard.' });
  const texts = async (query: string): Promise<string[]> => {
    const answer = JSON.parse((await call('GET', `/api/events?${query}`)).text) as { events: { text: string }[] };
    return answer.events.map(({ text }) => text);
  };
  assert.deepEqual(await texts('slot=3'), ['Slot 3 was not heard.', 'Arc 9 got a replica.']);
  assert.deepEqual(await texts('slot=3&arc=9'), ['Arc 9 got a replica.']);
  assert.deepEqual(await texts('limit=1'), ['Slot 4 was not heard.']);
  assert.equal(slotStatus(3).id, idOf(3));
});

test('the page is served with a policy that lets no other host in, and knows where else to go', async () => {
  const page = await call('GET', '/');
  assert.equal(page.status, 200);
  assert.match(String(page.headers['content-security-policy']), /default-src 'none'/);
  assert.doesNotMatch(page.text, /https?:\/\//, 'nothing from other hosts');
  assert.equal((await call('GET', '/page.css')).status, 200);
  assert.deepEqual((JSON.parse((await call('GET', '/api/chassis')).text) as { slots: unknown }).slots, peers);
});
