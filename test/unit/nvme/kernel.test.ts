import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { identifyController, identifyNamespace } from '../../../src/wire/nvme/identify.ts';
import { anaGroup, anaHeader, discoveryEntry, discoveryHeader, healthLog } from '../../../src/wire/nvme/logs.ts';

// What Linux 6.1's own target (nvmet-tcp, a RAM disk of 256 MiB, on 127.0.0.1:4420) answered to nvme-cli, read with our layouts: a field
// at the wrong place would read as something else than what nvme-cli showed.

const captured = JSON.parse(readFileSync(join(import.meta.dirname, 'nvmet.golden.json'), 'utf8')) as Record<
  string,
  string
>;
function bytesOf(name: string): Uint8Array {
  const text = captured[name];
  assert.ok(text !== undefined, name);
  return new Uint8Array(gunzipSync(Buffer.from(text, 'base64')));
}

const subsystemNqn = 'nqn.2026-01.test:nvmet';

test('Identify Controller of the kernel’s target reads as nvme-cli shows it', () => {
  const fields = identifyController.decode(bytesOf('controller'));
  const wanted = {
    model: 'Linux',
    recommendedBurst: 6,
    sharing: 0xb,
    mdts: 0,
    cntlid: 1,
    version: 0x1_0300,
    offeredEvents: 0x900,
    controllerType: 1,
    abortLimit: 3,
    asyncEventLimit: 3,
    firmwareSlots: 3,
    logAttributes: 7,
    errorLogEntries: 127,
    keepAliveUnits: 10,
    anaTransitionSeconds: 10,
    anaCapabilities: 31,
    anaGroupIdMax: 128,
    anaGroups: 128,
    sqEntrySizes: 0x66,
    cqEntrySizes: 0x44,
    commandsMax: 1024,
    namespaces: 1024,
    optionalCommands: 0xc,
    volatileWriteCache: 1,
    sglSupport: 0x10_0001,
    namespacesAllowed: 1024,
    subsystemNqn,
    capsuleUnits: 1028,
    responseUnits: 1,
    sglDescriptors: 1,
    powerCentiwatts: 2500,
  };
  for (const [name, value] of Object.entries(wanted)) assert.equal(fields[name as keyof typeof fields], value, name);
});

test('Identify Namespace of the kernel’s target reads as nvme-cli shows it', () => {
  const fields = identifyNamespace.decode(bytesOf('namespace'));
  assert.deepEqual([fields.sizeBlocks, fields.capacityBlocks, fields.usedBlocks], [524_288, 524_288, 524_288]);
  assert.deepEqual([fields.features, fields.sharing, fields.anaGroup, fields.blockSizeLog2], [0x12, 1, 1, 9]);
  assert.deepEqual([fields.atomicWrite, fields.atomicPowerFail, fields.atomicCompare], [7, 7, 7]);
  assert.deepEqual([fields.writeGranularity, fields.writeAlignment], [7, 7]);
});

test('the ANA and health logs of the kernel’s target read as nvme-cli shows them', () => {
  const ana = bytesOf('ana');
  assert.equal(anaHeader.decode(ana).groups, 1);
  const { group, namespaces, state } = anaGroup.decode(ana, anaHeader.sizeBytes);
  assert.deepEqual([group, namespaces, state], [1, 1, 1]);
  const health = healthLog.decode(bytesOf('health'));
  assert.deepEqual([health.criticalWarning, health.sparePercent, health.mediaErrors], [0, 0, 0]);
});

test('the discovery log of the kernel’s target reads as nvme-cli shows it', () => {
  const log = bytesOf('discovery');
  const { records, recordFormat } = discoveryHeader.decode(log);
  assert.deepEqual([records, recordFormat], [2, 0]);
  const entry = discoveryEntry.decode(log, discoveryHeader.sizeBytes + discoveryEntry.sizeBytes);
  assert.deepEqual([entry.transport, entry.addressFamily, entry.subsystemType, entry.cntlid], [3, 1, 2, 0xffff]);
  assert.deepEqual([entry.subsystemNqn, entry.requirements, entry.portId], [subsystemNqn, 4, 1]);
  assert.deepEqual(
    [entry.address, entry.service].map((text) => text.replaceAll('\0', '').trim()),
    ['127.0.0.1', '4420'],
  );
});
