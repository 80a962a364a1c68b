import type { IncomingMessage } from 'node:http';
import type { AccessInfo, CoreletHandle, CoreletStatus, VolumeErrorCode, VolumeResult } from '../corelet/types.ts';
import { accessChange } from './access-change.ts';
import type { ErrorCode } from './errors.ts';
import { type EventLog, eventsMax } from './events.ts';
import { jsonReply, Refusal, readJson, type Reply } from './http.ts';
import { type FabricFigures, metricsText, type TurnFigures } from './metrics.ts';
import { pageAsset } from './page.ts';
import type {
  AnsweredBy,
  ChassisAnswer,
  EventsAnswer,
  ScrubAnswer,
  SessionsAnswer,
  VersionAnswer,
  VolumesAnswer,
} from './types.ts';

/** What the API answers from. */
export interface AdminSource {
  readonly corelet: CoreletHandle;
  readonly events: EventLog;
  readonly version: string;
  /** What went to and came from other Corelets. */
  readonly fabric?: FabricFigures;
  /** Of the event loop, while hosts were connected. */
  readonly turns?: TurnFigures;
  /** Where the Corelets of the chassis answer, this one included; asked at every request, modules are swapped. */
  peers(): ChassisAnswer['slots'];
  /** Hosts that are connected here. */
  readonly sessions?: () => SessionsAnswer['sessions'];
}

interface Call {
  readonly source: AdminSource;
  readonly request: IncomingMessage;
  readonly query: URLSearchParams;
  /** The path's variable part, decoded. */
  readonly name: string;
}

interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: RegExp;
  readonly answer: (call: Call) => Reply | Promise<Reply>;
}

const routes: readonly Route[] = [
  { method: 'GET', path: /^\/api\/status$/, answer: ({ source }) => jsonReply(200, statusAnswer(source)) },
  { method: 'GET', path: /^\/api\/volumes$/, answer: listVolumes },
  { method: 'POST', path: /^\/api\/volumes$/, answer: createVolume },
  {
    method: 'GET',
    path: /^\/api\/volumes\/([^/]+)$/,
    answer: async ({ source, name }) => jsonReply(200, value(await source.corelet.volumes.show(name))),
  },
  { method: 'DELETE', path: /^\/api\/volumes\/([^/]+)$/, answer: deleteVolume },
  { method: 'GET', path: /^\/api\/scrub$/, answer: ({ source }) => jsonReply(200, scrubAnswer(source)) },
  { method: 'POST', path: /^\/api\/scrub$/, answer: beginScrub },
  { method: 'POST', path: /^\/api\/slots\/(\d{1,5})\/state$/, answer: setSlotState },
  {
    method: 'GET',
    path: /^\/api\/volumes\/([^/]+)\/access$/,
    answer: async ({ source, name }) => accessReply(value(await source.corelet.volumes.access(name))),
  },
  { method: 'POST', path: /^\/api\/volumes\/([^/]+)\/access$/, answer: changeAccess },
  { method: 'GET', path: /^\/api\/sessions$/, answer: ({ source }) => jsonReply(200, sessionsAnswer(source)) },
  { method: 'GET', path: /^\/api\/events$/, answer: listEvents },
  { method: 'GET', path: /^\/api\/chassis$/, answer: ({ source }) => jsonReply(200, chassisAnswer(source)) },
  { method: 'GET', path: /^\/api\/version$/, answer: ({ source }) => jsonReply(200, versionAnswer(source)) },
  { method: 'GET', path: /^\/metrics$/, answer: ({ source }) => metrics(source) },
  {
    method: 'GET',
    path: /^\/(|[a-z-]+\.(?:js|css|svg)|admin\/status-words\.js|base\/units\.js)$/,
    answer: ({ name }) => pageAsset(name),
  },
];

/** @throws Refusal. */
export async function answer(source: AdminSource, request: IncomingMessage): Promise<Reply> {
  const url = new URL(request.url ?? '/', 'http://corelet');
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const matching = routes.filter((route) => route.path.test(url.pathname));
  if (matching.length === 0) throw new Refusal('ROUTE_NOT_FOUND', `no route ${url.pathname}`);
  const route = matching.find((one) => one.method === method);
  if (route === undefined)
    throw new Refusal('METHOD_NOT_ALLOWED', `${url.pathname} takes ${matching.map((one) => one.method).join(', ')}`);
  return route.answer({
    source,
    request,
    query: url.searchParams,
    name: decode(route.path.exec(url.pathname)?.[1] ?? ''),
  });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Refusal('BAD_REQUEST', 'the path is not well encoded');
  }
}

const volumeErrors: Readonly<Record<VolumeErrorCode, ErrorCode>> = {
  EXISTS: 'VOLUME_EXISTS',
  NOT_FOUND: 'VOLUME_NOT_FOUND',
  TOO_FEW_CORELETS: 'TOO_FEW_CORELETS',
  UNAVAILABLE: 'UNAVAILABLE',
  INVALID: 'VOLUME_INVALID',
};

function value<T>(result: VolumeResult<T>): T {
  if (result.ok) return result.value;
  throw new Refusal(volumeErrors[result.code], result.message);
}

async function listVolumes({ source }: Call): Promise<Reply> {
  const listed: VolumesAnswer = { schemaVersion: 1, volumes: value(await source.corelet.volumes.list()) };
  return jsonReply(200, listed);
}

const copiesDefault = 3;

async function createVolume({ source, request }: Call): Promise<Reply> {
  const { name, sizeBytes, copies = copiesDefault, ...others } = await readJson(request);
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) throw new Refusal('BAD_REQUEST', `unknown field '${unknown}'`);
  if (typeof name !== 'string') throw new Refusal('BAD_REQUEST', "'name' must be a string");
  if (!Number.isSafeInteger(sizeBytes)) throw new Refusal('BAD_REQUEST', "'sizeBytes' must be a whole number");
  if (!Number.isSafeInteger(copies)) throw new Refusal('BAD_REQUEST', "'copies' must be a whole number");
  return jsonReply(
    201,
    value(await source.corelet.volumes.create({ name, sizeBytes: sizeBytes as number, copies: copies as number })),
  );
}

async function deleteVolume({ source, request, name }: Call): Promise<Reply> {
  // A body is optional; where there is one it must be ours.
  const hasBody =
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
  if (hasBody) {
    const { confirm } = await readJson(request);
    if (confirm !== undefined && confirm !== name)
      throw new Refusal('BAD_REQUEST', "'confirm' is not the volume's name");
  }
  return jsonReply(200, value(await source.corelet.volumes.delete(name)));
}

/** Of the Corelet that answers: each scrubs what it holds. */
async function beginScrub({ source, request }: Call): Promise<Reply> {
  const { volume, ...others } = await readJson(request);
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) throw new Refusal('BAD_REQUEST', `unknown field '${unknown}'`);
  if (volume !== undefined && typeof volume !== 'string') throw new Refusal('BAD_REQUEST', "'volume' must be a string");
  if (volume !== undefined) value(await source.corelet.volumes.show(volume));
  void source.corelet.scrub(volume);
  return jsonReply(202, scrubAnswer(source));
}

function scrubAnswer(source: AdminSource): ScrubAnswer {
  const { scrub, answeredBy } = source.corelet.status();
  return { schemaVersion: 1, answeredBy, scrub: scrub ?? null };
}

/** Asks the members to agree that a slot's Corelet drains, or is live again; done when the status says so. */
async function setSlotState({ source, request, name }: Call): Promise<Reply> {
  const { state, ...others } = await readJson(request);
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) throw new Refusal('BAD_REQUEST', `unknown field '${unknown}'`);
  if (state !== 'draining' && state !== 'live') throw new Refusal('BAD_REQUEST', "'state' must be draining or live");
  const slot = source.corelet.status().slots.find((one) => one.slot === Number(name));
  if (slot === undefined) throw new Refusal('SLOT_NOT_FOUND', `no slot ${name}`);
  if (!source.corelet.setMemberState(slot.id, state).ok)
    throw new Refusal('SLOT_NOT_FOUND', `the Corelet in slot ${name} is no member`);
  return jsonReply(202, { schemaVersion: 1, answeredBy: self(source), slot: slot.slot, id: slot.id, asked: state });
}

function accessReply(access: AccessInfo): Reply {
  return jsonReply(200, { schemaVersion: 1, ...access });
}

async function changeAccess({ source, request, name }: Call): Promise<Reply> {
  return accessReply(value(await source.corelet.volumes.setAccess(name, accessChange(await readJson(request)))));
}

function sessionsAnswer(source: AdminSource): SessionsAnswer {
  return { schemaVersion: 1, answeredBy: self(source), sessions: source.sessions?.() ?? [] };
}

function listEvents({ source, query }: Call): Reply {
  const slot = count(query, 'slot');
  const arc = count(query, 'arc');
  const sinceWallMs = count(query, 'since');
  const limit = Math.min(count(query, 'limit') ?? 200, eventsMax);
  const corelet = query.get('corelet');
  // An event may name the module and not its slot.
  const inSlot =
    slot === undefined
      ? []
      : source.corelet
          .status()
          .slots.filter((one) => one.slot === slot)
          .map((one) => one.id);
  const corelets = corelet === null ? inSlot : [...inSlot, corelet];
  const asked = { corelets, limit, ...(slot === undefined ? {} : { slot }), ...(arc === undefined ? {} : { arc }) };
  const events = source.events.query(sinceWallMs === undefined ? asked : { ...asked, sinceWallMs });
  const found: EventsAnswer = { schemaVersion: 1, answeredBy: self(source), events };
  return jsonReply(200, found);
}

function count(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new Refusal('BAD_REQUEST', `'${name}' must be a number`);
  return Number(text);
}

function self({ corelet }: AdminSource): AnsweredBy {
  return corelet.status().answeredBy;
}

function statusAnswer(source: AdminSource): CoreletStatus {
  const status = source.corelet.status();
  const portals = new Map(source.peers().map(({ slot, iscsi }) => [slot, iscsi]));
  const slots = status.slots.map((slot) => {
    const iscsi = portals.get(slot.slot);
    return iscsi === undefined ? slot : { ...slot, iscsi };
  });
  return { ...status, slots };
}

function chassisAnswer(source: AdminSource): ChassisAnswer {
  return { schemaVersion: 1, answeredBy: self(source), slots: source.peers() };
}

function versionAnswer(source: AdminSource): VersionAnswer {
  return { schemaVersion: 1, version: source.version, runtime: process.version };
}

function metrics(source: AdminSource): Reply {
  const { user, system } = process.cpuUsage();
  const text = metricsText(source.corelet.status(), {
    version: source.version,
    residentBytes: process.memoryUsage.rss(),
    cpuSeconds: (user + system) / 1e6,
    startWallSeconds: Math.round(Date.now() / 1000 - process.uptime()),
    eventsRecorded: source.events.recordedTotal,
    ...(source.fabric === undefined ? {} : { fabric: source.fabric }),
    ...(source.turns === undefined ? {} : { turns: source.turns }),
  });
  return { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: text };
}
