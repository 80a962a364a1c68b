import { createInterface } from 'node:readline/promises';
import { stripVTControlCharacters } from 'node:util';
import { CommandFailure } from './failure.ts';

export interface Terminal {
  readonly colour: boolean;
  readonly interactive: boolean;
}

/** Colour only for a terminal that shows it and a user who wants it. */
export function terminal(noColour: boolean): Terminal {
  const { NO_COLOR, TERM } = process.env;
  const interactive = process.stdout.isTTY === true && TERM !== 'dumb';
  return { interactive, colour: interactive && !noColour && (NO_COLOR === undefined || NO_COLOR === '') };
}

const codes = { red: 31, green: 32, yellow: 33, cyan: 36, bold: 1, dim: 2 } as const;
export type Style = keyof typeof codes;

export function paint(out: Terminal, style: Style, text: string): string {
  return out.colour ? `\u001b[${codes[style]}m${text}\u001b[0m` : text;
}

/** Left-aligned columns (right-aligned where named), two spaces between; widths count what is seen. */
export function table(rows: readonly (readonly string[])[], rightAligned: readonly number[] = []): string {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, seen(cell));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => {
        const gap = ' '.repeat((widths[i] ?? 0) - seen(cell));
        return rightAligned.includes(i) ? gap + cell : cell + gap;
      })
      .join('  ')
      .trimEnd();
  return `${rows.map(line).join('\n')}\n`;
}

const seen = (cell: string): number => stripVTControlCharacters(cell).length;

/**
 * Asks that `name` be typed, or takes it from --confirm.
 * @throws CommandFailure NOT_CONFIRMED when it differs, or when there is nobody to ask.
 */
export async function confirm(what: string, name: string, given: string | undefined): Promise<void> {
  if (given === name) return;
  if (given !== undefined)
    throw new CommandFailure('NOT_CONFIRMED', `--confirm says '${given}', not '${name}'; nothing was changed`);
  const hint = `repeat it with --confirm ${name}`;
  if (process.stdin.isTTY !== true)
    throw new CommandFailure('NOT_CONFIRMED', `${what}, and there is no terminal to ask; nothing was changed`, hint);
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`${what}. Type ${name} to go on: `);
    if (answer.trim() !== name) throw new CommandFailure('NOT_CONFIRMED', 'not confirmed; nothing was changed', hint);
  } finally {
    lines.close();
  }
}
