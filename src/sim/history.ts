/** What became of an operation. `failed`: its gateway said that it had no effect. `unknown`: nobody said anything that binds. */
export type Outcome = 'open' | 'ok' | 'failed' | 'unknown';

/** `same`: one pattern over the whole range. `compare`: write if the content is what the host takes it for. */
export type OperationKind = 'read' | 'write' | 'zero' | 'trim' | 'same' | 'compare';

/**
 * One host operation. Instants are counted (`invokedAt`, `completedAt`): they order everything that a host could know;
 * milliseconds of virtual time are for the story.
 */
export interface Operation {
  readonly number: number;
  readonly host: number;
  readonly slot: number;
  readonly kind: OperationKind;
  readonly offset: number;
  readonly lengthBytes: number;
  readonly invokedAt: number;
  readonly invokedMs: number;
  /** Later than this it can't take effect any more, whatever becomes of it: its tickets are dead. Infinite: not known. */
  readonly effectByMs: number;
  completedAt: number;
  completedMs: number;
  outcome: Outcome;
  code: string;
}

/** Nothing was ever written, or it was zeroed. Every other value of a register is the number of the write that made it. */
export const zeroValue = 0;

/**
 * The smallest thing that is read and written as a whole: a 4 KiB block, or a 512-byte sector in the part of the volume
 * where hosts write sectors. Each is checked alone: linearizability is local (Herlihy and Wing, 1990, theorem 1).
 */
export type RegisterKey = number;

export interface RegisterOperation {
  readonly operation: Operation;
  /** `compare` wrote `value` because the register held `expected`; `differs` saw that it didn't hold `expected`. */
  kind: 'read' | 'write' | 'compare' | 'differs';
  /** Written, or read. */
  readonly value: number;
  readonly expected?: number;
}

/** Everything hosts did and saw, by register. */
export class History {
  readonly operations: Operation[] = [];
  readonly registers = new Map<RegisterKey, RegisterOperation[]>();
  /** Of every instant: the millisecond of virtual time. Never descends. */
  readonly #instantMs: number[] = [];

  begin(
    fields: Omit<
      Operation,
      'number' | 'invokedAt' | 'completedAt' | 'completedMs' | 'outcome' | 'code' | 'effectByMs'
    > & {
      readonly effectByMs?: number;
    },
  ): Operation {
    const operation: Operation = {
      effectByMs: Number.POSITIVE_INFINITY,
      ...fields,
      number: this.operations.length + 1,
      invokedAt: this.#instantMs.push(fields.invokedMs) - 1,
      completedAt: Number.POSITIVE_INFINITY,
      completedMs: Number.POSITIVE_INFINITY,
      outcome: 'open',
      code: '',
    };
    this.operations.push(operation);
    return operation;
  }

  end(operation: Operation, outcome: 'ok' | 'failed' | 'unknown', atMs: number, code = ''): void {
    operation.outcome = outcome;
    operation.code = code;
    operation.completedMs = atMs;
    // What is unknown may still happen: its interval has no end.
    const at = this.#instantMs.push(atMs) - 1;
    if (outcome !== 'unknown') operation.completedAt = at;
  }

  /** Just before the first instant that came after `ms`; infinite when none did. */
  endOf(ms: number): number {
    let low = 0;
    let high = this.#instantMs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#instantMs[middle] as number) > ms) high = middle;
      else low = middle + 1;
    }
    return low === this.#instantMs.length ? Number.POSITIVE_INFINITY : low - 0.5;
  }

  /** What an operation does to one register, or saw there; what it turned out to be may still be corrected. */
  touch(
    key: RegisterKey,
    operation: Operation,
    kind: RegisterOperation['kind'],
    value: number,
    expected?: number,
  ): RegisterOperation {
    let register = this.registers.get(key);
    if (register === undefined) {
      register = [];
      this.registers.set(key, register);
    }
    const touched = expected === undefined ? { operation, kind, value } : { operation, kind, value, expected };
    register.push(touched);
    return touched;
  }
}
