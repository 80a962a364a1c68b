import { cluster, story } from './hunts.ts';
import type { Mutation } from './types.ts';

const operation = 'src/volume/operation.ts';
const session = 'src/volume/session.ts';
const state = 'src/arc/state.ts';
const operations = 'src/arc/operations.ts';
const verify = 'src/volume/verify.ts';

const refusalFinal = {
  file: operation,
  find: 'if (openTries > 0) return this.#cancel(session, number, refusal);',
  replace: '',
};
const noTicket = {
  file: operations,
  find: 'if (pending.needsTicket && !this.#isValid(pending.ticket)) {',
  replace: 'if (pending.number_unused) {',
};

const fencedTaken = {
  file: state,
  find: 'if (known === undefined || epoch < known) return false;',
  replace: 'if (known === undefined) return false;',
};

/** Faults of gateways, of tickets, epochs and cancelling (design §10.1, §10.3, §10.9, §10.10). */
export const gatewayMutations: readonly Mutation[] = [
  {
    name: 'refusal-final-while-a-copy-is-open',
    rule: '§10.1, INV-5',
    what: 'a refusal is final though another copy of the operation was sent; the assert is there',
    edits: [refusalFinal],
    hunt: cluster('deaf', 12),
    expect: ['INV-5'],
  },
  {
    name: 'refusal-final-while-a-copy-is-open-unasserted',
    rule: '§10.1, INV-5',
    what: 'the same without the assert: a host hears "not done" of what is done later',
    edits: [
      refusalFinal,
      {
        file: operation,
        find: "assert(exchange.done && exchange.openTries <= 1, 'INV-5: a refusal is final only if no other copy may land');",
        replace: '',
      },
    ],
    hunt: cluster('deaf', 12),
    expect: ['INV-5', 'INV-2'],
  },
  {
    name: 'cancelled-not-remembered',
    rule: '§10.1, §10.9, INV-5',
    what: 'a cancel is applied and answered, and leaves no memory: a copy of the command that comes later is carried out',
    edits: [
      {
        file: state,
        find: "if (outcome.code !== 'fenced') this.#remember",
        replace: "if (outcome.code !== 'fenced' && outcome.code !== 'cancelled') this.#remember",
      },
    ],
    hunt: story('04b-late-copy-of-a-cancelled-command', 3),
    expect: ['INV-2', 'INV-5', 'STORY'],
  },
  {
    name: 'ticket-unchecked',
    rule: '§10.10, INV-5',
    what: 'a leader takes commands of any age; the assert is there',
    edits: [{ ...noTicket, replace: 'if (pending.needsTicket && this.#replica.now < 0) {' }],
    hunt: cluster('sleepy', 12),
    expect: ['INV-5'],
  },
  {
    name: 'ticket-unchecked-unasserted',
    rule: '§10.10, INV-5',
    what: 'the same without the assert, and gateways send what is too old: a command lands that its host has given up',
    edits: [
      {
        file: 'src/volume/tickets.ts',
        find: 'return command !== undefined && nowMs - command.arrivedAfterMs > ticketLifeMs;',
        replace: 'return command !== undefined && nowMs < command.arrivedAfterMs;',
      },
      { ...noTicket, replace: 'if (pending.needsTicket && this.#replica.now < 0) {' },
      {
        file: operations,
        find: '!pending.needsTicket || this.#replica.now - (pending.ticket?.issuedMs ?? 0) <= ticketLifeMs,',
        replace: 'true,',
      },
    ],
    hunt: cluster('sleepy', 12),
    expect: ['INV-5', 'INV-2', 'STORY'],
  },
  {
    name: 'session-forgets-open-numbers',
    rule: '§10.9, INV-5',
    what: 'a gateway says that it waits for no older answer, though it does',
    edits: [
      {
        file: session,
        find: 'return this.#lowestOpen;',
        replace: 'return this.#lowestOpen + (this.#next - this.#lowestOpen - this.#endedAbove.size > 2 ? 1 : 0);',
      },
    ],
    hunt: cluster('retries', 12),
    expect: ['INV-1', 'INV-2', 'INV-5'],
  },
  {
    name: 'session-of-a-former-incarnation',
    rule: '§10.9, INV-5',
    what: 'a gateway that restarts goes on in the name of the one before',
    edits: [
      {
        file: 'src/volume/gateway.ts',
        find: 'new ArcSession(arc, this.#options.random.u48())',
        replace: 'new ArcSession(arc, Number.parseInt(this.#options.self.slice(0, 8), 16))',
      },
    ],
    hunt: cluster('hot', 12),
    expect: ['INV-1', 'INV-2', 'INV-5'],
  },
  {
    name: 'epoch-unchecked-in-an-unused-arc',
    rule: '§10.3',
    what: 'an arc that does not know a volume takes its operations',
    edits: [
      {
        file: state,
        find: 'if (known === undefined || epoch < known) return false;',
        replace: 'if (known !== undefined && epoch < known) return false;',
      },
      {
        file: state,
        find: 'if (epoch > known) this.epochs.set(volume, epoch);',
        replace: 'if (epoch > (known ?? -1)) this.epochs.set(volume, epoch);',
      },
    ],
    hunt: story('10b-deleted-volume-stale-gateway', 5),
    expect: ['INV-2', 'INV-5', 'INV-6', 'STORY'],
  },
  {
    name: 'fenced-epoch-taken',
    rule: '§10.3, INV-5',
    what: 'an arc that has heard of a newer epoch of a volume takes an operation of an older one; the assert is there',
    edits: [fencedTaken],
    hunt: story('11b-preempted-while-a-write-is-in-flight', 3),
    expect: ['INV-5'],
  },
  {
    name: 'fenced-epoch-taken-unasserted',
    rule: '§10.3, INV-5',
    what: 'the same without the assert: a write that was over by a reset lands on what its host wrote since',
    edits: [
      fencedTaken,
      {
        file: 'src/arc/apply.ts',
        find: 'command.epoch >= (state.epochs.get(range.volume) ?? Number.POSITIVE_INFINITY),',
        replace: 'state.epochs.has(range.volume),',
      },
    ],
    hunt: story('11c-reset-while-a-write-is-in-flight', 3),
    expect: ['INV-2', 'STORY'],
  },
  {
    name: 'dropped-volume-made-again',
    rule: '§10.3',
    what: 'an arc that was told to drop a volume forgets that, and knows it again when its maker, who slept, tells of it',
    edits: [{ file: state, find: "(action === 'raise' || this.dropped.has(volume))", replace: "action === 'raise'" }],
    hunt: story('10c-deleted-while-its-maker-sleeps', 5),
    expect: ['STORY'],
  },
  {
    name: 'preempted-without-an-epoch',
    rule: '§10.3, story 11',
    what: 'a preemption is answered when the record says so, not when every arc has heard of it',
    edits: [
      {
        file: 'src/volume/volumes.ts',
        find: 'const closes = takesRight(before, after);',
        replace: "const closes = takesRight(before, after) && action.kind !== 'preempt';",
      },
    ],
    hunt: story('11b-preempted-while-a-write-is-in-flight', 5),
    expect: ['INV-2', 'STORY'],
  },
  {
    name: 'sent-again-after-a-reset',
    rule: '§10.1, story 4',
    what: 'a gateway that is refused because the volume was reset asks once more under the new epoch',
    edits: [{ file: 'src/volume/device.ts', find: 'if (this.#authority.resets !== resets) break;', replace: '' }],
    hunt: story('11c-reset-while-a-write-is-in-flight', 5),
    expect: ['INV-2', 'STORY'],
  },
  {
    name: 'checksum-unverified',
    rule: 'INV-4',
    what: 'neither the leader nor the gateway compares what it read with its CRC',
    edits: [
      {
        file: verify,
        find: 'if (crc32c(data.subarray(at, at + blockBytes)) !== reply.crcs[present]) return undefined; // INV-4',
        replace: '',
      },
      {
        file: 'src/store/block-reads.ts',
        find: "return crc32c(into) === crc ? ok : this.#bad('CORRUPT', 0);",
        replace: 'return ok;',
      },
      {
        file: 'src/store/block-reads.ts',
        find: 'else if (state === states.damaged || crc32c(bytes) !== crcs[block])',
        replace: 'else if (state === states.damaged)',
      },
    ],
    hunt: cluster('rot', 12),
    expect: ['INV-2', 'INV-4', 'INV-7'],
  },
];
