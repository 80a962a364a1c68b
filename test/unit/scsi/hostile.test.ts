import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { commandRows } from '../../../src/targets/scsi/table.ts';
import { Initiator, mebi, serverOver } from './initiator.ts';
import { MemoryVolume } from './memory-volume.ts';

const known = new Set([0x00, 0x02, 0x04, 0x08, 0x18]);

test('whatever CDB and data a host sends, it gets an answer within what was announced, and its neighbour notices nothing', async () => {
  const volume = new MemoryVolume('v', 4 * mebi);
  volume.store.remembersCalls = false;
  const server = serverOver([volume]);
  const host = await Initiator.ready(server);
  const row = fc.constantFrom(...commandRows);
  // Commands that exist, with fields that are small, huge, or anything.
  const byte = fc.oneof(fc.constant(0), fc.constant(255), fc.nat({ max: 255 }), fc.nat({ max: 3 }));
  const cdb = fc
    .tuple(row, fc.array(byte, { minLength: 16, maxLength: 16 }))
    .map(([{ opcode, serviceAction }, bytes]) => {
      bytes[0] = opcode;
      if (serviceAction !== undefined) bytes[1] = ((bytes[1] as number) & 0xe0) | serviceAction;
      return bytes;
    });
  const anyCdb = fc.array(byte, { minLength: 1, maxLength: 16 });
  await fc.assert(
    fc.asyncProperty(fc.oneof(cdb, anyCdb), fc.uint8Array({ maxLength: 2048 }), byte, async (bytes, out, lun) => {
      const result = await host.run(bytes, out, lun > 3 ? 0 : lun);
      assert.ok(known.has(result.status), `status ${result.status}`);
      assert.equal(result.status === 2, result.sense !== undefined);
      assert.ok(result.data.length <= result.transferBytes || result.transferBytes === 0);
    }),
    { numRuns: 3000 },
  );
  const other = await Initiator.ready(serverOver([volume]), 'iqn.2026-01.test:b');
  await other.good([0x12, 0, 0, 0, 96, 0]);
});
