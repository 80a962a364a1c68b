import type { Reader, Writer } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';

/** Who may use a volume, and how. */
export interface AccessRules {
  /** Names of hosts (iSCSI initiator names, NVMe host NQNs); `any`: everybody, hosts without a name too. */
  readonly hosts: 'any' | readonly string[];
  readonly readOnly: boolean;
}

export const openToAll: AccessRules = { hosts: 'any', readOnly: false };

export const hostsMax = 64;
/** RFC 7143 §4.2.7.1 and NVMe base 4.7 both end at 223 bytes. */
export const hostNameBytesMax = 223;

export function mayUse(rules: AccessRules, host: string | undefined): boolean {
  return rules.hosts === 'any' || (host !== undefined && rules.hosts.includes(host));
}

/** What both allow: in force while a change is under way (design §10.14). */
export function intersection(a: AccessRules, b: AccessRules): AccessRules {
  const readOnly = a.readOnly || b.readOnly;
  if (a.hosts === 'any') return { hosts: b.hosts, readOnly };
  if (b.hosts === 'any') return { hosts: a.hosts, readOnly };
  const others = b.hosts;
  return { hosts: a.hosts.filter((host) => others.includes(host)), readOnly };
}

// readOnly boolean · any boolean · if not any: count u32, each a name (u16 length, UTF-8)
export function encodeAccess(writer: Writer, rules: AccessRules): void {
  writer.boolean(rules.readOnly);
  writer.boolean(rules.hosts === 'any');
  if (rules.hosts === 'any') return;
  writer.u32(rules.hosts.length);
  for (const host of rules.hosts) writer.text(host);
}

/** @throws RemoteProtocolError */
export function decodeAccess(reader: Reader): AccessRules {
  const readOnly = reader.boolean();
  if (reader.boolean()) return { hosts: 'any', readOnly };
  const hosts: string[] = [];
  for (let left = reader.count(hostsMax, 2); left > 0; left--) hosts.push(reader.text(hostNameBytesMax));
  if (new Set(hosts).size !== hosts.length) throw new RemoteProtocolError('a host is named twice');
  return { hosts, readOnly };
}
