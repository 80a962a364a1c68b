import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { errorsPage } from '../../../src/admin/errors.ts';

test('docs/errors.md tells every error as the code knows it', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/errors.md'), 'utf8');
  assert.equal(page, errorsPage(), 'make it anew: node src/admin/errors-page.ts');
});
