/** What became of an operation. `failed`: its gateway said that it had no effect. `unknown`: nobody said anything that binds. */
export type Outcome = 'open' | 'ok' | 'failed' | 'unknown';

export type OperationKind = 'read' | 'write' | 'zero' | 'trim';

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
  readonly kind: 'read' | 'write';
  /** Written, or read. */
  readonly value: number;
}

/** Everything hosts did and saw, by register. */
export class History {
  readonly operations: Operation[] = [];
  readonly registers = new Map<RegisterKey, RegisterOperation[]>();
  #instant = 0;

  begin(
    fields: Omit<Operation, 'number' | 'invokedAt' | 'completedAt' | 'completedMs' | 'outcome' | 'code'>,
  ): Operation {
    const operation: Operation = {
      ...fields,
      number: this.operations.length + 1,
      invokedAt: this.#instant++,
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
    const at = this.#instant++;
    if (outcome !== 'unknown') operation.completedAt = at;
  }

  touch(key: RegisterKey, operation: Operation, kind: 'read' | 'write', value: number): void {
    let register = this.registers.get(key);
    if (register === undefined) {
      register = [];
      this.registers.set(key, register);
    }
    register.push({ operation, kind, value });
  }
}
