import { parentPort, workerData } from 'node:worker_threads';
import type { CrewOrders } from './crew.ts';
import { runOnce } from './run.ts';
import { runOptionsOf } from './seeded.ts';

const { options } = workerData as CrewOrders;
parentPort?.on('message', (seed: number) => {
  void runOnce(runOptionsOf(options, seed)).then((report) => parentPort?.postMessage(report));
});
