import { type Segments, segmentStates } from './segments.ts';
import type { SyncTimes } from './sync-times.ts';

/** What a machine knows of its device beside what the store measures; what it doesn't know is left out. */
export interface DeviceSensors {
  readonly temperatureCelsius?: number;
  readonly powerWatts?: number;
  /** Life used, 0 … 100 and more, as the device itself estimates it. */
  readonly wearPercent?: number;
  /** Of the chassis that it sits in, and how many of them don't work. */
  readonly suppliesTotal?: number;
  readonly suppliesFailed?: number;
  readonly fansTotal?: number;
  readonly fansFailed?: number;
}

/** What the store measures of its device. Times in milliseconds, over the newest syncs. */
export interface StoreHealth {
  /** Space that holds something that counts, and how much of it there may be; the rest of the device is the reserve. */
  readonly usedBytes: number;
  readonly sizeBytes: number;
  readonly syncs: number;
  readonly syncMsP50: number;
  readonly syncMsP99: number;
  readonly syncMsMax: number;
  /** Blocks that were corrupt or unreadable, since the start. */
  readonly badReads: number;
  readonly damagedMapPages: number;
  readonly freeSegments: number;
  /** Segments that are not used any more, because something in them can't be read. */
  readonly badSegments: number;
  /** How often segments were taken into use: on raw flash, erased. */
  readonly segmentUsesMax: number;
  readonly segmentUsesMean: number;
  /** Data that arcs appended, and all that was written for it, since the start: the quotient is the write amplification. */
  readonly hostBytes: number;
  readonly deviceBytes: number;
  /** Memory of map pages and changes, and of the chunk tables. */
  readonly mapBytes: number;
  readonly tableBytes: number;
  /** Number of the newest checkpoint; 0: none. */
  readonly checkpoint: number;
  /** Blocks that were copied to give space back, and segments given back, since the start. */
  readonly movedBlocks: number;
  readonly freedSegments: number;
  readonly failed: boolean;
}

/** Everything that is known of a device's health: what the store measures, and what the machine says. */
export interface DeviceHealth extends StoreHealth, DeviceSensors {
  /** Bytes written per byte that arcs appended, since the start; 1 before the first. */
  readonly writeAmplification: number;
}

export function deviceHealth(store: StoreHealth, sensors: DeviceSensors): DeviceHealth {
  return { ...store, ...sensors, writeAmplification: writeAmplification(store) };
}

export function writeAmplification(health: Pick<StoreHealth, 'hostBytes' | 'deviceBytes'>): number {
  return health.hostBytes === 0 ? 1 : health.deviceBytes / health.hostBytes;
}

type Measured = 'syncMsP50' | 'syncMsP99' | 'syncMsMax' | 'badSegments' | 'segmentUsesMax' | 'segmentUsesMean';

export function healthOf(segments: Segments, syncTimes: SyncTimes): Pick<StoreHealth, Measured> {
  const count = segments.layout.segmentCount;
  let usesMax = 0;
  let usesSum = 0;
  for (let segment = 0; segment < count; segment++) {
    const uses = segments.uses(segment);
    usesSum += uses;
    if (uses > usesMax) usesMax = uses;
  }
  return {
    syncMsP50: syncTimes.percentile(50),
    syncMsP99: syncTimes.percentile(99),
    syncMsMax: syncTimes.percentile(100),
    badSegments: segments.count(segmentStates.bad),
    segmentUsesMax: usesMax,
    segmentUsesMean: usesSum / count,
  };
}
