import type { ClusterShape } from '../cluster.ts';
import { likely, type Places, placesOf, type Sentence, understand } from './grammar.ts';
import { StoryProblem } from './problem.ts';
import type { Stage } from './stage.ts';

/** What a sentence does. */
export type Act = (stage: Stage, places: Places) => Promise<void> | void;

export interface StoryLine {
  readonly line: number;
  readonly text: string;
  readonly act: Act;
  readonly places: Places;
}

/** One scenario, read and understood. */
export interface Story {
  readonly file: string;
  /** The first comment: what it is about. */
  readonly title: string;
  /** Rules of design §10 that it is about, named in comments as `rule 5`. */
  readonly rules: readonly number[];
  readonly shape: ClusterShape;
  /** Of the volume `v`. */
  readonly chunks: number;
  readonly flashBytes: number;
  readonly segmentBytes: number;
  readonly lines: readonly StoryLine[];
}

const opening = 'cluster <slots:count> slots <arcs:count> arcs <copies:count> copies';
/** What may follow the opening. */
const settings = ['volume <chunks:count> chunks', 'flash <mebibytes:count> MiB'];
export const headSentences: readonly string[] = [opening, ...settings];

const linesMax = 500;
const usualFlashBytes = 48 * 2 ** 20;
const segmentBytes = 2 * 2 ** 20;

/** Reads a scenario. @throws StoryProblem with file and line where it isn't understood. */
export function readStory(file: string, text: string, sentences: readonly Sentence<Act>[]): Story {
  const raw = text.split('\n');
  if (raw.length > linesMax) throw new StoryProblem(file, linesMax, `a story has at most ${linesMax} lines`);
  const spoken = raw
    .map((full, at) => ({
      line: at + 1,
      text: full
        .replace(/(^|\s)#.*$/, '')
        .trim()
        .replaceAll(/\s+/g, ' '),
    }))
    .filter((line) => line.text !== '');
  const comments = raw.filter((line) => line.startsWith('#')).map((line) => line.replace(/^#\s?/, ''));
  const first = spoken.shift();
  const shape = first === undefined ? undefined : placesOf(opening, first.text);
  if (first === undefined || shape === undefined) {
    throw new StoryProblem(file, first?.line ?? 1, `a story begins with: ${opening}`);
  }
  let chunks = 4;
  let flashBytes = usualFlashBytes;
  for (let next = spoken[0]; next !== undefined; next = spoken[0]) {
    const found = settings.map((setting) => placesOf(setting, next.text)).find((places) => places !== undefined);
    if (found === undefined) break;
    if (found['chunks'] !== undefined) chunks = Number(found['chunks']);
    if (found['mebibytes'] !== undefined) flashBytes = Number(found['mebibytes']) * 2 ** 20;
    spoken.shift();
  }
  return {
    file,
    title: comments[0] ?? '',
    rules: [...new Set(rulesIn(comments.join('\n')))].sort((a, b) => a - b),
    shape: { slots: Number(shape['slots']), arcs: Number(shape['arcs']), copies: Number(shape['copies']) },
    chunks,
    flashBytes,
    segmentBytes,
    lines: spoken.map((line) => ({ ...line, ...meant(file, line, sentences) })),
  };
}

/** `rule 5`, `rules 3 and 14`, `rules 1, 9 and 10`. */
function rulesIn(text: string): number[] {
  const found: number[] = [];
  for (const [, list = ''] of text.matchAll(/\brules? (\d+(?:(?:, | and |,\n| and\n)\d+)*)/gi)) {
    for (const [number] of list.matchAll(/\d+/g)) found.push(Number(number));
  }
  return found;
}

function meant(
  file: string,
  { line, text }: { readonly line: number; readonly text: string },
  sentences: readonly Sentence<Act>[],
): { readonly act: Act; readonly places: Places } {
  const found = understand(sentences, text);
  if (found !== undefined) return { act: found.sentence.run, places: found.places };
  const hints = likely(sentences, text).map((pattern) => `\n    ${pattern}`);
  const hint = hints.length === 0 ? 'no sentence begins so' : `sentences that begin so:${hints.join('')}`;
  throw new StoryProblem(file, line, `not understood: ${text}\n  ${hint}`);
}
