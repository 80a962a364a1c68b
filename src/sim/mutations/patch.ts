import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Edit } from './types.ts';

const root = new URL('../../../', import.meta.url);

/** How often `text` has the place that an edit changes: 1, or the edit is out of date. */
function placesOf(text: string, find: string): number {
  return text.split(find).length - 1;
}

/** Why an edit doesn't fit the source any more; undefined when it does. */
export function whyStale({ file, find, replace }: Edit): string | undefined {
  const places = placesOf(readFileSync(fileURLToPath(new URL(file, root)), 'utf8'), find);
  if (places !== 1) return `${file}: found ${places} times, not once: ${find}`;
  return find === replace ? `${file}: changes nothing: ${find}` : undefined;
}

/**
 * Modules loaded into this thread from here on have the edits in them: production code carries no trace of a mutation.
 * @throws Error when an edit doesn't fit.
 */
export function patchModules(edits: readonly Edit[]): void {
  const byUrl = new Map<string, Edit[]>();
  for (const edit of edits) {
    const stale = whyStale(edit);
    if (stale !== undefined) throw new Error(stale);
    const { href } = new URL(edit.file, root);
    byUrl.set(href, [...(byUrl.get(href) ?? []), edit]);
  }
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const ofFile = byUrl.get(url);
      if (ofFile === undefined) return loaded;
      let source = readFileSync(fileURLToPath(url), 'utf8');
      // A function: `$` in the new text is no pattern.
      for (const { find, replace } of ofFile) source = source.replace(find, () => replace);
      return { ...loaded, source };
    },
  });
}
