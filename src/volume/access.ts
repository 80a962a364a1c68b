import type { Reader, Writer } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';

/** Who may use a volume, and how. */
export interface AccessRules {
  /** Names of hosts (iSCSI initiator names, NVMe host NQNs); `any`: everybody, hosts without a name too. */
  readonly hosts: 'any' | readonly string[];
  readonly readOnly: boolean;
  /** What an iSCSI initiator has to prove; without it none is asked. */
  readonly chap?: ChapRules | undefined;
}

/** A name and the secret behind it (RFC 7143 §12.1.3). Kept as it is, since CHAP can't do with less; never printed, logged or listed. */
export interface ChapCredentials {
  readonly name: string;
  readonly secret: Uint8Array;
}

export interface ChapRules {
  readonly initiator: ChapCredentials;
  /** What the target proves to an initiator that asks for it. */
  readonly target?: ChapCredentials | undefined;
}

export const openToAll: AccessRules = { hosts: 'any', readOnly: false };

export const hostsMax = 64;
/** RFC 7143 §4.2.7.1 and NVMe base 4.7 both end at 223 bytes. */
export const hostNameBytesMax = 223;
/** RFC 7143 §12.1.3 allows 255 bytes in a text value; longer secrets than this gain nothing with the digests that there are. */
export const chapBytesMax = 255;

/** Names of hosts that prove who they are where it is asked for: iSCSI's by CHAP, NVMe's by DH-HMAC-CHAP, before anything of theirs is carried out. */
const provable = /^(?:iqn|eui|naa|nqn)\./;

/** Where CHAP is asked for, `any` doesn't mean those that can prove nothing: they come in by name, or not at all. */
export function mayUse(rules: AccessRules, host: string | undefined): boolean {
  if (rules.hosts !== 'any') return host !== undefined && rules.hosts.includes(host);
  return rules.chap === undefined || (host !== undefined && provable.test(host));
}

/** What both allow: in force while a change is under way (design §10.14). */
export function intersection(a: AccessRules, b: AccessRules): AccessRules {
  const readOnly = a.readOnly || b.readOnly;
  const chap = b.chap ?? a.chap;
  const others = b.hosts;
  if (a.hosts === 'any') return rules(others, readOnly, chap);
  if (others === 'any') return rules(a.hosts, readOnly, chap);
  return rules(
    a.hosts.filter((host) => others.includes(host)),
    readOnly,
    chap,
  );
}

function rules(hosts: AccessRules['hosts'], readOnly: boolean, chap: ChapRules | undefined): AccessRules {
  return chap === undefined ? { hosts, readOnly } : { hosts, readOnly, chap };
}

/** Of volume records from this format on, rules say whether there is CHAP. */
const chapFormatMin = 3;

// readOnly boolean · any boolean · if not any: count u32, each a name (u16 length, UTF-8)
// · chap boolean · if so: initiator credentials · mutual boolean · if so: target credentials; each a name (u16 length, UTF-8) and a secret (u32 length, bytes)
export function encodeAccess(writer: Writer, access: AccessRules): void {
  writer.boolean(access.readOnly);
  writer.boolean(access.hosts === 'any');
  if (access.hosts !== 'any') {
    writer.u32(access.hosts.length);
    for (const host of access.hosts) writer.text(host);
  }
  writer.boolean(access.chap !== undefined);
  if (access.chap === undefined) return;
  encodeCredentials(writer, access.chap.initiator);
  writer.boolean(access.chap.target !== undefined);
  if (access.chap.target !== undefined) encodeCredentials(writer, access.chap.target);
}

/** `format`: of the volume record around it. @throws RemoteProtocolError */
export function decodeAccess(reader: Reader, format: number): AccessRules {
  const readOnly = reader.boolean();
  const hosts = reader.boolean() ? 'any' : decodeHosts(reader);
  if (format < chapFormatMin || !reader.boolean()) return { hosts, readOnly };
  const initiator = decodeCredentials(reader);
  const chap = reader.boolean() ? { initiator, target: decodeCredentials(reader) } : { initiator };
  return { hosts, readOnly, chap };
}

function decodeHosts(reader: Reader): readonly string[] {
  const hosts: string[] = [];
  for (let left = reader.count(hostsMax, 2); left > 0; left--) hosts.push(reader.text(hostNameBytesMax));
  if (new Set(hosts).size !== hosts.length) throw new RemoteProtocolError('a host is named twice');
  return hosts;
}

function encodeCredentials(writer: Writer, { name, secret }: ChapCredentials): void {
  writer.text(name);
  writer.blob(secret);
}

function decodeCredentials(reader: Reader): ChapCredentials {
  return { name: reader.text(chapBytesMax), secret: reader.blob(chapBytesMax).slice() };
}
