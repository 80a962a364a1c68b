// node test/interop/nvme/serve-memory.ts [--port 4420] [--discovery-port 8009] [--size 268435456] [--name memory]
import { parseArgs } from 'node:util';
import { MemoryCatalog, MemoryDevice } from '../../unit/nbd/memory-device.ts';
import { serveNvme } from '../../unit/nvme/serve.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'discovery-port': { type: 'string', default: '0' },
    size: { type: 'string', default: String(256 * 1024 * 1024) },
    name: { type: 'string', default: 'memory' },
  },
});
const device = new MemoryDevice({ name: values.name, sizeBytes: Number(values.size) });
device.remembersCalls = false;
const served = await serveNvme(new MemoryCatalog(device), {
  port: Number(values.port),
  discoveryPort: Number(values['discovery-port']),
});
process.stdout.write(
  `ready: NVMe port ${served.port}, discovery port ${served.discoveryPort}, volume ${values.name}\n`,
);
process.once('SIGTERM', () => void served.close());
process.once('SIGINT', () => void served.close());
