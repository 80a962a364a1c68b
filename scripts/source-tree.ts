import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';

export const root = join(import.meta.dirname, '..');

export interface SourceFile {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** Files under `folder` (relative to the root) whose name ends in one of `endings`, in a stable order. */
export function filesUnder(folder: string, endings: readonly string[]): SourceFile[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => endings.some((ending) => name.endsWith(ending)))
    .map((name) => join(folder, name))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

export function codeFiles(): SourceFile[] {
  return ['src', 'test', 'bench', 'scripts'].flatMap((folder) => filesUnder(folder, ['.ts', '.tsx']));
}

/** The code with comments blanked and lines kept, so that a rule about code doesn't trip over a sentence about it. */
export function withoutComments(text: string): string {
  const blank = (match: string) => match.replace(/[^\n]/g, ' ');
  // Strings and templates are matched first, so that what looks like a comment inside one stays.
  const token = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
  return text.replace(token, (match) => (match.startsWith('/') ? blank(match) : match));
}

/** Paths, relative to the root, that `file` may name: whatever it quotes that ends like a source file, seen from its folder. */
export function namedFiles(file: SourceFile): string[] {
  const quoted = withoutComments(file.text).matchAll(/'([\w./-]+\.tsx?)'/g);
  return [...quoted].map((match) => normalize(join(dirname(file.path), match[1] as string)));
}

interface ProjectFile {
  readonly references?: readonly { readonly path: string }[];
}

/** Folder of src/ → the folders that the compiler lets it import, from its project file. */
export function projectReferences(): Map<string, string[]> {
  const references = new Map<string, string[]>();
  for (const file of filesUnder('src', ['tsconfig.json'])) {
    const project = JSON.parse(file.text) as ProjectFile;
    const names = (project.references ?? []).map(({ path }) =>
      relative('src', normalize(join(dirname(file.path), path))),
    );
    references.set(relative('src', dirname(file.path)), names.sort());
  }
  return references;
}
