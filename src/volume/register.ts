import type { ArcId } from '../base/ids.ts';
import { arcOfKey } from '../ring/keys.ts';
import type { KeyEntry, KeyReply } from '../wire/peer/types.ts';
import type { Gateway } from './gateway.ts';

/** Keys are read or set within this, or the answer is "unavailable" and the outcome open. */
export const keyTimeoutMs = 10_000;

/** The key's version by this change; after `unavailable` the outcome is open. */
export type SetResult = number | 'mismatch' | 'unavailable';

/** The cluster's linearizable keys: each lives in the state machine of the arc that it hashes to (design §4). */
export class KeyRegister {
  readonly #gateway: Gateway;
  readonly #arcs: number;

  constructor(gateway: Gateway, arcs: number) {
    this.#gateway = gateway;
    this.#arcs = arcs;
  }

  /** The key's value and version; `undefined`: there is none. */
  async get(key: string): Promise<KeyEntry | undefined | 'unavailable'> {
    const entries = await this.#read(arcOfKey(key, this.#arcs), key, false);
    return entries === 'unavailable' ? entries : entries[0];
  }

  /** All keys with a prefix, from every arc; each arc's answer is linearizable, their union is not one moment. */
  async list(prefix: string): Promise<readonly KeyEntry[] | 'unavailable'> {
    const arcs = Array.from({ length: this.#arcs }, (_, arc) => this.#read(arc as ArcId, prefix, true));
    const all: KeyEntry[] = [];
    for (const entries of await Promise.all(arcs)) {
      if (entries === 'unavailable') return entries;
      all.push(...entries);
    }
    return all;
  }

  /** Compare-and-set; `expectedVersion` 0: must not exist; an empty value deletes. After `unavailable` the outcome is open. */
  async set(key: string, expectedVersion: number, value: Uint8Array): Promise<SetResult> {
    const body = { kind: 'key', key, expectedVersion, value } as const;
    const outcome = await this.#gateway.operate(arcOfKey(key, this.#arcs), body, { timeoutMs: keyTimeoutMs });
    if (outcome.code === 'ok') return outcome.version;
    return outcome.code === 'mismatch' ? 'mismatch' : 'unavailable';
  }

  async #read(arc: ArcId, key: string, prefix: boolean): Promise<readonly KeyEntry[] | 'unavailable'> {
    const end = await this.#gateway.exchange<KeyReply>(
      arc,
      (request) => ({ type: 'keyRead', request, arc, key, prefix }),
      keyTimeoutMs,
    );
    return typeof end === 'string' || end.code !== 'ok' ? 'unavailable' : end.entries;
  }
}
