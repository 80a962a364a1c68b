import { createFabric } from '../../src/platform/fabric.ts';
import type { CoreletId } from '../../src/base/ids.ts';
import { helloOf, idOf, probe } from './fabric-suite.ts';

// A process to be killed: answers every message at `process.argv[2]` with a probe, and says `ready`.
const [, , listen = '', incarnation = '1'] = process.argv;
const fabric = createFabric({ self: helloOf(2, Number(incarnation)), listen });
await fabric.start({
  message: (from: CoreletId) => void fabric.send(from, probe(Number(incarnation))),
  peerUp() {},
  peerDown() {},
});
fabric.setPeers(new Map([[idOf(2), listen]]));
process.stdout.write('ready\n');
