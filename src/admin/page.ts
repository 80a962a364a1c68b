import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Refusal, type Reply } from './http.ts';

const root = join(import.meta.dirname, '../..');
const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  js: 'text/javascript; charset=utf-8',
};
/** The page runs its own code only, and talks to Corelets of this machine only. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' http://127.0.0.1:* http://localhost:*; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * A file of the page: scripts as compiled, the rest as written. `name` has no folder in it, but for the modules that the
 * page shares with the commands (the route names them); empty: the page.
 */
export async function pageAsset(name: string): Promise<Reply> {
  const file = name === '' ? 'index.html' : name;
  const extension = file.slice(file.lastIndexOf('.') + 1);
  const folder = extension !== 'js' ? 'src/dashboard' : file.includes('/') ? 'dist' : 'dist/dashboard';
  try {
    const body = await readFile(join(root, folder, file));
    return {
      status: 200,
      type: types[extension] ?? 'application/octet-stream',
      body,
      headers: { 'content-security-policy': policy, 'referrer-policy': 'no-referrer' },
    };
  } catch {
    throw new Refusal('ROUTE_NOT_FOUND', `no such file of the page: ${file}`);
  }
}
