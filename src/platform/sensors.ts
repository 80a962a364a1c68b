import { readdirSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { blockFolder, diskFolder } from './flash-file-device.ts';

/** What the machine knows of a device's state; what it doesn't know is left out. */
export interface SensorReadings {
  readonly temperatureCelsius?: number;
  readonly powerWatts?: number;
  /** Life used, as the device estimates it: 0 … 100, and above when it lives longer than it was made for. */
  readonly wearPercent?: number;
}

/** Where its readings can be asked for; undefined where there is no such sensor. */
interface Sensors {
  readonly temperature: string | undefined;
  readonly power: string | undefined;
  readonly wear: string | undefined;
}

/** Devices made of others that are looked through: a file system on an encrypted or a logical volume. */
const layersMax = 4;

/**
 * Finds the sensors of the device at `path`, or of the one under the file system that a file lies on. None are found where
 * that can't be told: several disks below, or none (tmpfs, overlay).
 */
export function findSensors(path: string, sysfs = '/sys'): Sensors {
  const none: Sensors = { temperature: undefined, power: undefined, wear: undefined };
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return none;
  let folder = blockFolder(stats.isBlockDevice() ? stats.rdev : stats.dev, sysfs);
  for (let layer = 0; folder !== undefined && layer < layersMax; layer++) {
    const below = listFolder(join(folder, 'slaves'));
    if (below.length === 0) break;
    folder = below.length === 1 ? join(folder, 'slaves', below[0] as string) : undefined;
  }
  return folder === undefined ? none : sensorsOf(diskFolder(folder));
}

/** hwmon hangs below the disk (drivetemp) or its controller (NVMe); temperatures in 0.001 °C, power in 0.000001 W. */
function sensorsOf(disk: string): Sensors {
  const device = join(disk, 'device');
  const monitors = [device, join(device, 'device')]
    .flatMap((parent) => [parent, join(parent, 'hwmon')])
    .flatMap((parent) => listFolder(parent).map((name) => ({ name, path: join(parent, name) })))
    .filter(({ name }) => /^hwmon\d+$/.test(name));
  const first = (...names: readonly string[]): string | undefined =>
    monitors.flatMap(({ path }) => names.map((name) => join(path, name))).find((file) => exists(file));
  const life = join(device, 'life_time'); // eMMC
  return {
    temperature: first('temp1_input'),
    power: first('power1_input', 'power1_average'),
    wear: exists(life) ? life : undefined,
  };
}

const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** Asks the sensors once: a device may take milliseconds to answer. */
export async function readSensors(sensors: Sensors): Promise<SensorReadings> {
  const [temperature, power, life] = await Promise.all([sensors.temperature, sensors.power, sensors.wear].map(textOf));
  const milliCelsius = numberIn(temperature);
  const microWatts = numberIn(power);
  const wearPercent = lifeUsed(life);
  return {
    ...(milliCelsius === undefined ? {} : { temperatureCelsius: milliCelsius / 1000 }),
    ...(microWatts === undefined ? {} : { powerWatts: microWatts / 1_000_000 }),
    ...(wearPercent === undefined ? {} : { wearPercent }),
  };
}

async function textOf(path: string | undefined): Promise<string | undefined> {
  try {
    return path === undefined ? undefined : (await readFile(path, 'utf8')).trim();
  } catch {
    return undefined; // a device that is asleep or gone doesn't answer
  }
}

function numberIn(text: string | undefined): number | undefined {
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
}

/** JEDEC eMMC 5.0, DEVICE_LIFE_TIME_EST: two cell types, each in steps of 10 %, 0x0b: more than was planned for; 0: not told. */
function lifeUsed(text: string | undefined): number | undefined {
  const steps = [...(text ?? '').matchAll(/0x([0-9a-f]{2})/g)].map((match) => Number.parseInt(match[1] as string, 16));
  const worst = Math.max(0, ...steps.filter((step) => step <= 0x0b));
  return worst === 0 ? undefined : worst * 10;
}

const sampleMs = 30_000;

/** Keeps the newest readings, so that asking for them never waits for a device. It doesn't keep the process from ending. */
export function watchSensors(path: string): { readonly readings: () => SensorReadings } {
  const sensors = findSensors(path);
  let newest: SensorReadings = {};
  const { temperature, power, wear } = sensors;
  if (temperature === undefined && power === undefined && wear === undefined) {
    return { readings: () => newest };
  }
  let isReading = false;
  const sample = async (): Promise<void> => {
    if (isReading) return; // a device that hangs isn't asked twice
    isReading = true;
    newest = await readSensors(sensors);
    isReading = false;
  };
  void sample();
  setInterval(() => void sample(), sampleMs).unref();
  return { readings: () => newest };
}
