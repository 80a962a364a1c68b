/**
 * One sentence of the language: `pattern` has literal words and `<name:kind>` places; `…` in the table of kinds is what
 * each kind of place looks like.
 */
export interface Sentence<Run> {
  readonly pattern: string;
  readonly run: Run;
}

const slot = '(?:\\d+|[A-Z]\\w*)';
const slotList = `${slot}(?:, ?${slot})*`;
const slots = `(?:all but ${slotList}|all|${slotList})`;
const value = '(?:zeros|[A-Z]\\w*)';

/** What may stand in a place, by its kind. */
export const placeKinds = {
  /** A slot by number, or by a name that a `let` gave it. */
  slot,
  slots,
  /** Groups that a partition separates: `0,1 | 2,3,4`. */
  groups: `${slots}(?: \\| ${slots})+`,
  /** `block 3`, `blocks 3..5`, `sector 3.7`, each perhaps `of chunk 2`. */
  range: '(?:block \\d+|blocks \\d+\\.\\.\\d+|sectors? \\d+\\.\\d+(?:\\.\\.\\d+)?)(?: of chunk \\d+)?(?: on v\\d*)?',
  host: 'h\\d+',
  value,
  values: `${value}(?: or ${value})*`,
  name: '[A-Z]\\w*',
  names: '[A-Z]\\w*(?:, ?[A-Z]\\w*)*',
  label: '[a-z]\\w*',
  state: '[a-z]+(?:-[a-z]+)*',
  labels: '[a-z]\\w*(?:, ?[a-z]\\w*)*',
  /** `300 ms`, `5 s`. */
  time: '\\d+(?:\\.\\d+)? (?:ms|s)',
  number: '\\d+(?:\\.\\d+)?',
  count: '\\d+',
  /** Types of messages, as in src/wire/peer/types.ts. */
  types: '[a-z]\\w*(?:, ?[a-z]\\w*)*',
  outcomes: '[A-Za-z_]+(?: or [A-Za-z_]+)*',
  event: '[a-z]+(?:[.-][a-z]+)*',
  volume: 'v\\d*',
  rest: '.+',
} as const;
export type PlaceKind = keyof typeof placeKinds;

export type Places = Readonly<Record<string, string>>;

const compiled = new Map<string, RegExp>();

function expressionOf(pattern: string): RegExp {
  let expression = compiled.get(pattern);
  if (expression !== undefined) return expression;
  const source = pattern
    .split(/(<\w+:\w+>)/)
    .map((piece) => {
      const place = /^<(\w+):(\w+)>$/.exec(piece);
      if (place === null) return piece.replace(/[|.+?^$()[\]{}\\*]/g, '\\$&');
      return `(?<${place[1]}>${placeKinds[place[2] as PlaceKind]})`;
    })
    .join('');
  expression = new RegExp(`^${source}$`);
  compiled.set(pattern, expression);
  return expression;
}

/** What stands in the places of `pattern`, if `text` is such a sentence. */
export function placesOf(pattern: string, text: string): Places | undefined {
  return expressionOf(pattern).exec(text)?.groups ?? (expressionOf(pattern).test(text) ? {} : undefined);
}

/** The first sentence that `text` is, with its places. */
export function understand<Run>(
  sentences: readonly Sentence<Run>[],
  text: string,
): { readonly sentence: Sentence<Run>; readonly places: Places } | undefined {
  for (const sentence of sentences) {
    const places = placesOf(sentence.pattern, text);
    if (places !== undefined) return { sentence, places };
  }
  return undefined;
}

/** Sentences that begin with the same word: what the writer may have meant. */
export function likely<Run>(sentences: readonly Sentence<Run>[], text: string): readonly string[] {
  const [first = ''] = text.split(' ');
  return sentences.filter(({ pattern }) => pattern.split(' ')[0] === first).map(({ pattern }) => pattern);
}

export function place(places: Places, name: string): string {
  const text = places[name];
  if (text === undefined) throw new RangeError(`no place ${name}`);
  return text;
}

export function milliseconds(text: string): number {
  const [count = '', unit] = text.split(' ');
  return Number(count) * (unit === 's' ? 1000 : 1);
}

export function listOf(text: string): readonly string[] {
  return text.split(/, ?/);
}
