import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Two dozen Corelets start at once: what the first one compiled, the others load.
const isBuilt = import.meta.filename.endsWith('.js');
if (isBuilt) enableCompileCache(join(import.meta.dirname, '..', '.compile-cache'));
const { dispatch } = await import('./dispatch.ts');
await dispatch(process.argv.slice(2));
