import type { LoginIdentity } from './login.ts';
import type { SessionParameters } from './negotiation.ts';

/** A session as it is told to operators. */
export interface SessionInfo {
  readonly initiator: string;
  readonly isid: string;
  /** Undefined: a discovery session. */
  readonly volume: string | undefined;
  readonly tsih: number;
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly parameters: SessionParameters;
  readonly sinceWallMs: number;
  readonly commands: number;
}

/** A session in its full-feature phase, as the registry knows it. */
export interface OpenSession {
  readonly info: Omit<SessionInfo, 'tsih'>;
  /** Ends it unanswered. Settles when its tasks are over and its nexus is gone. */
  end(): Promise<void>;
}

const tsihMax = 0xffff;

/** The sessions of this Corelet. A login of the same initiator port to the same target ends the session before it first (RFC 7143 §6.3.5). */
export class Sessions {
  readonly #byTsih = new Map<number, OpenSession>();
  readonly #byNexus = new Map<string, OpenSession>();
  /** Logins under way, one after the other for each nexus. */
  readonly #entering = new Map<string, Promise<unknown>>();
  #tsih = 0;

  has(tsih: number): boolean {
    return this.#byTsih.has(tsih);
  }

  list(): readonly SessionInfo[] {
    return [...this.#byTsih].map(([tsih, { info }]) => ({ ...info, tsih }));
  }

  /** Runs `enter` when no other session of this nexus lives. */
  async replacing<Result>(identity: LoginIdentity, enter: () => Promise<Result>): Promise<Result> {
    const key = nexusKey(identity);
    const before = this.#entering.get(key) ?? Promise.resolve();
    const mine = before.then(async () => {
      await this.#byNexus.get(key)?.end();
      return enter();
    });
    const settled = mine.then(nothing, nothing);
    this.#entering.set(key, settled);
    void settled.then(() => {
      if (this.#entering.get(key) === settled) this.#entering.delete(key);
    });
    return mine;
  }

  /** @returns its handle; undefined when there are too many. */
  add(identity: LoginIdentity, session: OpenSession): number | undefined {
    if (this.#byTsih.size >= tsihMax) return undefined;
    do this.#tsih = (this.#tsih % tsihMax) + 1;
    while (this.#byTsih.has(this.#tsih));
    this.#byTsih.set(this.#tsih, session);
    this.#byNexus.set(nexusKey(identity), session);
    return this.#tsih;
  }

  remove(identity: LoginIdentity, tsih: number): void {
    const session = this.#byTsih.get(tsih);
    this.#byTsih.delete(tsih);
    const key = nexusKey(identity);
    if (this.#byNexus.get(key) === session) this.#byNexus.delete(key);
  }

  of(volume: string): readonly OpenSession[] {
    return [...this.#byTsih.values()].filter(({ info }) => info.volume === volume);
  }
}

function nothing(): void {}

function nexusKey({ initiator, isid, volume }: LoginIdentity): string {
  return `${initiator},i,${isid},${volume ?? ''}`;
}
