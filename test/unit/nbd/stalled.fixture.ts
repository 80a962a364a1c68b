import { MemoryCatalog, MemoryDevice } from './memory-device.ts';
import { serve } from './serve.ts';

// A process with one volume, for a test that stops it: tells its port, and how many writes it has carried out.
const device = new MemoryDevice({ name: 'vol', sizeBytes: 1024 * 1024 });
device.gate = (call) => {
  if (call.kind === 'write') {
    process.stdout.write(`writes ${device.calls.filter(({ kind }) => kind === 'write').length}\n`);
  }
  return Promise.resolve();
};
const listener = await serve(new MemoryCatalog(device));
process.stdout.write(`port ${listener.port}\n`);
