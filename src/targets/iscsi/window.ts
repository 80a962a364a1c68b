import { serialAfter, serialDistance } from '../../wire/iscsi/serial.ts';

/** Where a command stands: its turn, ahead of it (a number before it is missing), or outside what was offered. */
export type Place = 'next' | 'ahead' | 'outside';

/**
 * The command numbers that an initiator may use (RFC 7143 §4.2.2.1). MaxCmdSN is what holds it back; it never shrinks.
 * At most `commandsMax` numbers are offered beyond the commands that are under way.
 */
export class CommandWindow {
  expCmdSn: number;
  maxCmdSn: number;
  readonly #commandsMax: number;

  constructor(firstCmdSn: number, commandsMax: number) {
    this.expCmdSn = firstCmdSn;
    this.#commandsMax = commandsMax;
    this.maxCmdSn = serialAfter(firstCmdSn, commandsMax - 1);
  }

  place(cmdSn: number): Place {
    const ahead = serialDistance(cmdSn, this.expCmdSn);
    if (ahead < 0 || serialDistance(this.maxCmdSn, cmdSn) < 0) return 'outside';
    return ahead === 0 ? 'next' : 'ahead';
  }

  /** The command that was expected has its turn. */
  advance(): void {
    this.expCmdSn = serialAfter(this.expCmdSn, 1);
  }

  /** So many commands are under way: what they leave is offered. */
  offer(underWay: number): void {
    const max = serialAfter(this.expCmdSn, this.#commandsMax - underWay - 1);
    if (serialDistance(max, this.maxCmdSn) > 0) this.maxCmdSn = max;
  }
}
