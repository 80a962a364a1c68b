import { utf8Bytes } from '../base/bytes.ts';
import { normalName } from '../targets/iscsi/names.ts';
import { chapBytesMax, hostNameBytesMax, hostsMax } from '../volume/access.ts';
import type { VolumeRecord } from '../volume/records.ts';
import type { ChangeResult, Volumes } from '../volume/volumes.ts';
import type { AccessChange, AccessInfo, VolumeControl, VolumeErrorCode, VolumeInfo, VolumeResult } from './types.ts';
import { wrongName, wrongSize } from './volume-form.ts';

/** 96 bits, as RFC 7143 §9.2.1 wants it; Windows refuses fewer. */
const chapSecretBytesMin = 12;

/** The checked door to volumes for people: what they ask is examined before anything is changed. */
export class CheckedVolumes implements VolumeControl {
  readonly #volumes: Volumes;
  readonly #copies: number;
  readonly #liveMembers: () => number;

  constructor(volumes: Volumes, copies: number, liveMembers: () => number) {
    this.#volumes = volumes;
    this.#copies = copies;
    this.#liveMembers = liveMembers;
  }

  async create(request: { name: string; sizeBytes: number; copies: number }): Promise<VolumeResult<VolumeInfo>> {
    const { name, sizeBytes, copies } = request;
    const wrong = wrongName(name) ?? wrongSize(sizeBytes);
    if (wrong !== undefined) return refused('INVALID', wrong);
    if (copies !== this.#copies) {
      return refused('INVALID', `this cluster keeps ${this.#copies} copies; asked for: ${copies}`);
    }
    const live = this.#liveMembers();
    if (live < copies) {
      return refused(
        'TOO_FEW_CORELETS',
        `${copies} copies need ${copies} live Corelets; ${live} are live, ${copies - live} missing`,
      );
    }
    return answer(await this.#volumes.create(name, sizeBytes, copies), name);
  }

  async list(): Promise<VolumeResult<readonly VolumeInfo[]>> {
    const records = await this.#volumes.records();
    if (records === 'unavailable')
      return refused('UNAVAILABLE', 'some arcs have no leader now: the list would not be complete');
    return { ok: true, value: records.map(infoOf) };
  }

  async show(name: string): Promise<VolumeResult<VolumeInfo>> {
    return answer(await this.#volumes.show(name), name);
  }

  async access(name: string): Promise<VolumeResult<AccessInfo>> {
    return accessAnswer(await this.#volumes.show(name), name);
  }

  async setAccess(name: string, change: AccessChange): Promise<VolumeResult<AccessInfo>> {
    const wrong = faultOf(change);
    if (wrong !== undefined) return refused('INVALID', wrong);
    const now = await this.#volumes.show(name);
    if (!now.ok) return accessAnswer(now, name);
    const rules = now.record.nextAccess ?? now.record.access;
    const chap = change.chap === undefined ? rules.chap : (change.chap ?? undefined);
    const hosts = change.hosts === undefined || change.hosts === 'any' ? change.hosts : change.hosts.map(hostName);
    const base = { hosts: hosts ?? rules.hosts, readOnly: change.readOnly ?? rules.readOnly };
    return accessAnswer(await this.#volumes.setAccess(name, chap === undefined ? base : { ...base, chap }), name);
  }

  async delete(name: string): Promise<VolumeResult<VolumeInfo>> {
    return answer(await this.#volumes.delete(name), name);
  }
}

/** iSCSI names are compared in lower case (RFC 7143 §4.2.7.2), NQNs as they are. */
function hostName(host: string): string {
  return normalName(host) ?? host;
}

function faultOf({ hosts, chap }: AccessChange): string | undefined {
  if (hosts !== undefined && hosts !== 'any') {
    const names = hosts.map(hostName);
    if (names.length > hostsMax || new Set(names).size !== names.length || !names.every(isHostName))
      return `at most ${hostsMax} different names of hosts, of 1 to ${hostNameBytesMax} bytes each`;
  }
  if (chap === undefined || chap === null) return undefined;
  const { initiator, target } = chap;
  for (const { name, secret } of target === undefined ? [initiator] : [initiator, target]) {
    if (name === '' || utf8Bytes(name).length > chapBytesMax) return `a CHAP name has 1 to ${chapBytesMax} bytes`;
    if (secret.length < chapSecretBytesMin || secret.length > chapBytesMax)
      return `a CHAP secret has ${chapSecretBytesMin} to ${chapBytesMax} bytes`;
  }
  // Who knows the one would know the other (RFC 7143 §9.2.1).
  const isSame =
    target?.secret.length === initiator.secret.length && target.secret.every((byte, i) => byte === initiator.secret[i]);
  return isSame ? 'the secrets of initiator and target must differ' : undefined;
}

function accessAnswer(result: ChangeResult, volume: string): VolumeResult<AccessInfo> {
  if (!result.ok) return answer(result, volume) as { ok: false; code: VolumeErrorCode; message: string };
  const { name, access, nextAccess } = result.record;
  const { hosts, readOnly, chap } = nextAccess ?? access;
  const proved = chap === undefined ? null : { initiator: chap.initiator.name, target: chap.target?.name ?? null };
  return { ok: true, value: { name, hosts, readOnly, chap: proved } };
}

function isHostName(host: string): boolean {
  return host.length > 0 && utf8Bytes(host).length <= hostNameBytesMax;
}

function refused(code: VolumeErrorCode, message: string): { ok: false; code: VolumeErrorCode; message: string } {
  return { ok: false, code, message };
}

function answer(result: ChangeResult, name: string): VolumeResult<VolumeInfo> {
  if (result.ok) return { ok: true, value: infoOf(result.record) };
  switch (result.code) {
    case 'EXISTS':
      return refused('EXISTS', `there is a volume '${name}' already`);
    case 'NOT_FOUND':
      return refused('NOT_FOUND', `there is no volume '${name}'`);
    case 'UNAVAILABLE':
      return refused(
        'UNAVAILABLE',
        `not all arcs answered in time; what was begun for '${name}' is finished by the same command later`,
      );
  }
}

function infoOf(record: VolumeRecord): VolumeInfo {
  const { name, sizeBytes, copies, epoch } = record;
  // A change of access under way is no news to whoever looks: I/O goes on.
  const state = record.state === 'deleted' ? 'deleting' : record.state === 'closing' ? 'open' : record.state;
  return { id: record.id.toString(16).padStart(12, '0'), name, sizeBytes, copies, epoch, state };
}
