import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from './chassis-file.ts';

const hardwareFileName = 'hardware.json';
const formatVersion = 1;
export const suppliesMax = 2;
export const fansMax = 4;
export const celsiusMax = 120;
export const slownessMax = 1000;

/** A module is so much warmer than the air that comes in, and each fan that stands still adds to it. */
const warmerCelsius = 12;
const perFanCelsius = 8;

/** The passive parts of a simulated chassis, as its sensors show them. Supplies and fans by number, from 1. */
export interface ChassisHardware {
  readonly failedSupplies: readonly number[];
  readonly failedFans: readonly number[];
  readonly inletCelsius: number;
  /** By slot: so many times slower than it is, its flash answers. */
  readonly slowness: Readonly<Record<string, number>>;
}

export const soundHardware: ChassisHardware = { failedSupplies: [], failedFans: [], inletCelsius: 24, slowness: {} };

/** What is written in the data folder; a chassis without a word about it, or with one that can't be read, is sound. */
export function readHardware(dir: string): ChassisHardware {
  try {
    const read = JSON.parse(readFileSync(join(dir, hardwareFileName), 'utf8')) as Partial<ChassisHardware> & {
      formatVersion?: number;
    };
    if (read.formatVersion !== formatVersion) return soundHardware;
    const { failedSupplies, failedFans, inletCelsius, slowness } = { ...soundHardware, ...read };
    return { failedSupplies, failedFans, inletCelsius, slowness };
  } catch {
    return soundHardware;
  }
}

/** Changes whenever somebody wrote the file: what it says needs to be read only then. Costs one look at the folder. */
export function hardwareStamp(dir: string): string {
  const stats = statSync(join(dir, hardwareFileName), { throwIfNoEntry: false });
  return stats === undefined ? '' : `${stats.ino} ${stats.mtimeMs} ${stats.size}`;
}

export function writeHardware(dir: string, hardware: ChassisHardware): void {
  replaceFile(join(dir, hardwareFileName), `${JSON.stringify({ formatVersion, ...hardware }, undefined, 2)}\n`);
}

/** No supply is left: every module has what its capacitors hold, and then none. */
export function isBrownOut({ failedSupplies }: ChassisHardware): boolean {
  return failedSupplies.length >= suppliesMax;
}

export interface HardwareReadings {
  readonly temperatureCelsius: number;
  readonly suppliesTotal: number;
  readonly suppliesFailed: number;
  readonly fansTotal: number;
  readonly fansFailed: number;
}

/** What the sensors of one module show. */
export function readingsOf({ failedSupplies, failedFans, inletCelsius }: ChassisHardware): HardwareReadings {
  return {
    temperatureCelsius: inletCelsius + warmerCelsius + perFanCelsius * failedFans.length,
    suppliesTotal: suppliesMax,
    suppliesFailed: failedSupplies.length,
    fansTotal: fansMax,
    fansFailed: failedFans.length,
  };
}

/** What changed, in sentences: every Corelet sees the same, so that they tell it as one. */
export function changesBetween(before: ChassisHardware, now: ChassisHardware): readonly string[] {
  const told: string[] = [];
  const parts = (name: string, was: readonly number[], is: readonly number[], total: number): void => {
    const left = total - is.length;
    for (const part of is) if (!was.includes(part)) told.push(`${name} ${part} failed; ${left} of ${total} are left.`);
    for (const part of was) if (!is.includes(part)) told.push(`${name} ${part} works again.`);
  };
  parts('Power supply', before.failedSupplies, now.failedSupplies, suppliesMax);
  parts('Fan', before.failedFans, now.failedFans, fansMax);
  if (before.inletCelsius !== now.inletCelsius) told.push(`The air that comes in has ${now.inletCelsius} °C.`);
  return told;
}
