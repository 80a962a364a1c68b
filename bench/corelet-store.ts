import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot, startChassis } from '../test/interop/chassis.ts';
import { residentAtRestBytes } from '../test/interop/processes.ts';
import type { StoreKind, StoreUnderTest } from './store-under-test.ts';

/** The demo chassis: a volume of three copies, entered through slot 0. */
export function coreletStore(slots: number): StoreKind {
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  return { name: `corelet, ${slots} slots, 3 copies`, version, start: (sizeBytes) => start(slots, sizeBytes) };
}

async function start(slots: number, sizeBytes: number): Promise<StoreUnderTest> {
  const chassis = await startChassis({ slots, volume: `demo:${sizeBytes / 1024 / 1024}MiB` });
  try {
    await chassis.full();
    const pids = chassis.slots().map(({ pid }) => pid);
    const residentBytes = await residentAtRestBytes(pids);
    return { uri: chassis.nbdUri(0), pids, residentBytes, stop: () => chassis.stop() };
  } catch (error) {
    await chassis.stop();
    throw error;
  }
}
