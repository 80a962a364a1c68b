import assert from 'node:assert/strict';
import { test } from 'node:test';
import { metricsText } from '../../../src/admin/metrics.ts';
import { type DeviceHealth, deviceHealth } from '../../../src/store/health.ts';
import { slotStatus, statusOf } from './fake-corelet.ts';

const figures = { version: '0', residentBytes: 1, cpuSeconds: 1, startWallSeconds: 1, eventsRecorded: 1 };
const store = {
  usedBytes: 1,
  sizeBytes: 2,
  syncs: 1000,
  syncMsP50: 0.25,
  syncMsP99: 4,
  syncMsMax: 30,
  badReads: 3,
  damagedMapPages: 0,
  freeSegments: 17,
  badSegments: 1,
  segmentUsesMax: 12,
  segmentUsesMean: 7.5,
  hostBytes: 1000,
  deviceBytes: 2500,
  mapBytes: 1,
  tableBytes: 1,
  checkpoint: 4,
  movedBlocks: 5,
  freedSegments: 6,
  failed: false,
};

const textWith = (device: DeviceHealth): string =>
  metricsText(statusOf(3, { slots: [slotStatus(0), slotStatus(1, { device }), slotStatus(2)] }), figures);

test('the health of the own device is told in base units, and of no other one', () => {
  const text = textWith(deviceHealth(store, { temperatureCelsius: 41.5, wearPercent: 30 }));
  for (const line of [
    'corelet_device_temperature_celsius{slot="1"} 41.5',
    'corelet_device_wear_ratio{slot="1"} 0.3',
    'corelet_device_sync_seconds{slot="1",quantile="0.99"} 0.004',
    'corelet_device_bad_reads_total{slot="1"} 3',
    'corelet_device_free_segments{slot="1"} 17',
    'corelet_device_segment_uses_max{slot="1"} 12',
    'corelet_device_write_amplification_ratio{slot="1"} 2.5',
  ]) {
    assert.ok(text.includes(`\n${line}\n`), line);
  }
  assert.doesNotMatch(text, /corelet_device_\w+\{slot="[02]"/);
});

test('a sensor that isn’t there has no metric: 0 °C would look like a reading', () => {
  const text = textWith(deviceHealth(store, {}));
  assert.doesNotMatch(text, /temperature|power_watts|wear/);
  assert.doesNotMatch(metricsText(statusOf(3), figures), /corelet_device/);
});

test('what goes over the fabric is told: an operator sees what a chassis at rest costs', () => {
  const fabric = { messagesSent: 7, messagesReceived: 6, writes: 5, reads: 4 };
  const text = metricsText(statusOf(3), { ...figures, fabric });
  assert.ok(
    text.includes('\n# TYPE corelet_fabric_messages_sent_total counter\ncorelet_fabric_messages_sent_total 7\n'),
  );
  assert.ok(text.includes('\ncorelet_fabric_writes_total 5\n'));
});
