import { assert } from '../../base/assert.ts';
import type { Reader, Writer } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import type { CoreletId } from '../../base/ids.ts';
import type { Codec } from './codec.ts';
import { readArc, writeU16 } from './fields.ts';
import { peerLimits } from './limits.ts';
import type { Replica, Retire, Route, Routes } from './types.ts';

/** arc, term, leader, configurationIndex, three counts, complete, healBytesLeft, waitsForRoom. */
const routeBytesMin = 35;

type Places = Map<CoreletId, number>;

function place(places: Places, id: CoreletId): void {
  if (!places.has(id)) places.set(id, places.size);
}

/** Numbers the Corelets that the routes name, in order of first mention. */
function placesOf(routes: readonly Route[]): Places {
  const places: Places = new Map();
  for (const route of routes) {
    place(places, route.leader);
    for (const replica of route.voters) place(places, replica.id);
    for (const replica of route.votersOutgoing) place(places, replica.id);
    for (const replica of route.learners) place(places, replica.id);
  }
  return places;
}

// count u8 · (place u16 · generation u32) × count
function writeReplicas(out: Writer, replicas: readonly Replica[], places: Places): void {
  assert(replicas.length <= peerLimits.replicasPerRouteMax, 'too many replicas of one arc');
  out.u8(replicas.length);
  for (const replica of replicas) {
    writeU16(out, places.get(replica.id) as number);
    out.u32(replica.generation);
  }
}

function readPlace(from: Reader, corelets: readonly CoreletId[]): CoreletId {
  const at = from.u16();
  const id = corelets[at];
  if (id === undefined) throw new RemoteProtocolError(`place ${at} of ${corelets.length}`);
  return id;
}

function readReplicas(from: Reader, corelets: readonly CoreletId[]): Replica[] {
  const count = from.u8();
  if (count > peerLimits.replicasPerRouteMax) throw new RemoteProtocolError(`${count} replicas of one arc`);
  const replicas: Replica[] = [];
  for (let i = 0; i < count; i++) replicas.push({ id: readPlace(from, corelets), generation: from.u32() });
  return replicas;
}

function readRoute(from: Reader, corelets: readonly CoreletId[]): Route {
  return {
    arc: readArc(from),
    term: from.u64(),
    leader: readPlace(from, corelets),
    configurationIndex: from.u64(),
    voters: readReplicas(from, corelets),
    votersOutgoing: readReplicas(from, corelets),
    learners: readReplicas(from, corelets),
    complete: from.u8(),
    healBytesLeft: from.u64(),
    waitsForRoom: from.boolean(),
  };
}

// ask boolean · corelets u32 · id 16 bytes × corelets · routes u32 · route × routes
// route: arc u32 · term u64 · leader u16 (place) · configurationIndex u64 · voters · votersOutgoing · learners ·
//        complete u8 · healBytesLeft u64 · waitsForRoom boolean
// A few Corelets hold many arcs: their ids are listed once, so that a full table stays small and cheap to write.
export const routesCodec: Codec<Routes> = {
  encode(out, message) {
    const { routes } = message;
    assert(routes.length <= peerLimits.routesMax, 'too many routes in one message');
    const places = placesOf(routes);
    assert(places.size <= peerLimits.routeCoreletsMax, 'too many Corelets in one message');
    out.boolean(message.ask);
    out.u32(places.size);
    for (const id of places.keys()) out.id(id);
    out.u32(routes.length);
    for (const route of routes) {
      out.u32(route.arc);
      out.u64(route.term);
      writeU16(out, places.get(route.leader) as number);
      out.u64(route.configurationIndex);
      writeReplicas(out, route.voters, places);
      writeReplicas(out, route.votersOutgoing, places);
      writeReplicas(out, route.learners, places);
      out.u8(route.complete);
      out.u64(route.healBytesLeft);
      out.boolean(route.waitsForRoom);
    }
  },
  decode(from) {
    const ask = from.boolean();
    const coreletCount = from.count(peerLimits.routeCoreletsMax, 16);
    const corelets: CoreletId[] = [];
    for (let i = 0; i < coreletCount; i++) corelets.push(from.id() as CoreletId);
    const count = from.count(peerLimits.routesMax, routeBytesMin);
    const routes: Route[] = [];
    for (let i = 0; i < count; i++) routes.push(readRoute(from, corelets));
    return { type: 'routes', ask, routes };
  },
};

// arc u32 · generation u32 · configurationIndex u64
export const retireCodec: Codec<Retire> = {
  encode(out, message) {
    out.u32(message.arc);
    out.u32(message.generation);
    out.u64(message.configurationIndex);
  },
  decode(from) {
    return { type: 'retire', arc: readArc(from), generation: from.u32(), configurationIndex: from.u64() };
  },
};
