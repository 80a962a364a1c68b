// node test/interop/nbd/serve-memory.ts [--port 10809] [--size 268435456] [--name memory] [--read-only]
import { parseArgs } from 'node:util';
import { MemoryCatalog, MemoryDevice } from '../../unit/nbd/memory-device.ts';
import { serve } from '../../unit/nbd/serve.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    size: { type: 'string', default: String(256 * 1024 * 1024) },
    name: { type: 'string', default: 'memory' },
    'read-only': { type: 'boolean', default: false },
  },
});
const device = new MemoryDevice({
  name: values.name,
  sizeBytes: Number(values.size),
  readOnly: values['read-only'],
});
device.remembersCalls = false;
const listener = await serve(new MemoryCatalog(device), Number(values.port));
process.stdout.write(`ready nbd://127.0.0.1:${listener.port}/${values.name}\n`);
process.once('SIGTERM', () => void listener.close());
process.once('SIGINT', () => void listener.close());
