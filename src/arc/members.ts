import { assert } from '../base/assert.ts';
import type { Reader, Writer } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { CoreletId, Generation } from '../base/ids.ts';
import type { Configuration, MemberId } from '../consensus/types.ts';
import type { Replica } from '../wire/peer/types.ts';

export type { Configuration, MemberId };

/** What consensus calls a member: the Corelet and the generation of its replica (INV-10: another generation is another voter). */
export function memberId(id: CoreletId, generation: Generation): MemberId {
  const member = `${id}.${generation}`;
  const known = replicas.get(member);
  if (known !== undefined) return known.member;
  remember({ member, id, generation });
  return member;
}

/** One text for each member in the whole Corelet: comparing a text with itself costs no look at its characters. */
const replicas = new Map<MemberId, Replica & { readonly member: MemberId }>();
const replicasMax = 65_536;

function remember(replica: Replica & { readonly member: MemberId }): void {
  if (replicas.size >= replicasMax) replicas.clear();
  replicas.set(replica.member, replica);
}

export function replicaOf(member: MemberId): Replica {
  const known = replicas.get(member);
  if (known !== undefined) return known;
  const dot = member.indexOf('.');
  assert(dot === 32, `not a member id: ${member}`);
  const replica = { member, id: member.slice(0, dot) as CoreletId, generation: Number(member.slice(dot + 1)) };
  remember(replica);
  return replica;
}

export const membersPerSetMax = 16;

function encodeMembers(writer: Writer, members: readonly MemberId[]): void {
  writer.u8(members.length);
  for (const member of members) {
    const replica = replicaOf(member);
    writer.id(replica.id);
    writer.u32(replica.generation);
  }
}

function decodeMembers(reader: Reader): MemberId[] {
  const count = reader.u8();
  if (count > membersPerSetMax) throw new RemoteProtocolError(`${count} members in a configuration`);
  const members: MemberId[] = [];
  for (let i = 0; i < count; i++) {
    const id = reader.id() as CoreletId;
    members.push(memberId(id, reader.u32()));
  }
  return members;
}

/** voters · outgoing voters · learners, each: count u8, then (id 16, generation u32). */
export function encodeConfiguration(writer: Writer, configuration: Configuration): void {
  encodeMembers(writer, configuration.voters);
  encodeMembers(writer, configuration.votersOutgoing);
  encodeMembers(writer, configuration.learners);
}

export function decodeConfiguration(reader: Reader): Configuration {
  return { voters: decodeMembers(reader), votersOutgoing: decodeMembers(reader), learners: decodeMembers(reader) };
}

/** That Corelet's replicas in it; one that votes in both sets comes twice. */
export function membersOf({ voters, votersOutgoing, learners }: Configuration, id: CoreletId): MemberId[] {
  return [...voters, ...votersOutgoing, ...learners].filter((member) => replicaOf(member).id === id);
}

export function holdsMember(configuration: Configuration, member: MemberId): boolean {
  return (
    configuration.voters.includes(member) ||
    configuration.votersOutgoing.includes(member) ||
    configuration.learners.includes(member)
  );
}
