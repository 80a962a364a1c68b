import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Prng } from '../../../src/base/prng.ts';
import { MemoryCatalog, MemoryDevice } from '../nbd/memory-device.ts';
import {
  attach,
  compareOf,
  connectCommand,
  discoveryNqn,
  enabled,
  identifyOf,
  logOf,
  openQueue,
  propertyGet,
  propertySet,
  readOf,
  writeOf,
} from './host.ts';
import { type Asked, Initiator, type InitiatorOptions } from './initiator.ts';
import { serveNvme, type ServedNvme } from './serve.ts';

// Mutated streams of PDUs over sockets: whatever comes, the Corelet lives, takes no memory for it, and serves the connection beside.

const casesMax = 10_000;
/** Mutated PDUs of one connection, unless it is cut off before. */
const pdusPerConnection = 25;
const seed = 20_260_128;

let served: ServedNvme;
before(async () => {
  const device = new MemoryDevice({ name: 'vol', sizeBytes: 8 * 1024 * 1024 });
  device.remembersCalls = false;
  served = await serveNvme(new MemoryCatalog(device), { limits: { connectMsMax: 2000 } });
});
after(() => served.close());

const random = new Prng(seed);
function below(count: number): number {
  return random.u32() % count;
}

const admins: readonly (() => Asked)[] = [
  () => identifyOf(below(10), below(3)),
  () => logOf(below(0x80), 4 * (1 + below(300)), 4 * below(100)),
  () => propertyGet(4 * below(32), below(2) === 1),
  () => propertySet(0x14, enabled),
  () => ({ opcode: 0x09, cdw10: below(0x20), cdw11: below(0x1000) }),
  () => ({ opcode: 0x0a, cdw10: below(0x20), roomBytes: 512 }),
  () => ({ opcode: 0x0c }),
  () => ({ opcode: 0x08, cdw10: below(0x4_0000) }),
  () => ({ opcode: 0x18 }),
  () => connectCommand({ qid: below(3), cntlid: below(5) }),
];
const ios: readonly (() => Asked)[] = [
  () => readOf(below(8192), 1 + below(64)),
  () => writeOf(below(8192), Buffer.alloc(512 * (1 + below(32)), 1)),
  () => writeOf(below(8192), Buffer.alloc(512 * (1 + below(128)), 1), false),
  () => compareOf(below(8192), Buffer.alloc(4096), below(4)),
  () => ({ ...writeOf(below(8192), Buffer.alloc(4096, 1)), fuse: below(4) }),
  () => ({ opcode: 0x09, nsid: 1, cdw10: below(256), cdw11: 4, data: Buffer.alloc(4096) }),
  () => ({ opcode: 0x08, nsid: 1, cdw10: below(8192), cdw12: below(64) }),
  () => ({ opcode: below(256), nsid: below(3), cdw10: random.u32() }),
];

function mutate(bytes: Buffer): Buffer {
  const mutant = Buffer.from(bytes);
  for (let left = 1 + below(4); left > 0; left--) {
    // Mostly in the headers: there is little to break in data.
    const at = below(below(4) === 0 ? mutant.length : Math.min(mutant.length, 80));
    mutant[at] = below(3) === 0 ? (mutant[at] as number) ^ (1 << below(8)) : below(256);
  }
  if (below(20) === 0) return mutant.subarray(0, below(mutant.length));
  return below(20) === 0 ? Buffer.concat([mutant, mutant.subarray(0, below(mutant.length))]) : mutant;
}

/** A connection in one of its phases, ready to be spoilt. */
async function victim(): Promise<Initiator> {
  const options: InitiatorOptions = { headerDigest: below(4) === 0, dataDigest: below(4) === 0 };
  switch (below(5)) {
    case 0:
      return Initiator.dial(served.port, options);
    case 1:
      return Initiator.open(below(2) === 0 ? served.port : served.discoveryPort, options);
    case 2:
      return (await attach(served.discoveryPort, { subsystemNqn: discoveryNqn }, options)).admin;
    case 3:
      return (await attach(served.port, {}, options)).admin;
    default: {
      const host = await attach(served.port, {}, options);
      const queue = await openQueue(served.port, host, { sqSize: 127 }, options);
      void queue.ended.then(() => host.admin.close());
      return queue;
    }
  }
}

/** Sends spoilt PDUs until it is cut off. @returns how many. */
async function spoil(initiator: Initiator): Promise<number> {
  let isOver = false;
  void initiator.ended.then(() => {
    isOver = true;
  });
  let sent = 0;
  initiator.onR2t = ({ header }, send) => {
    if (below(2) === 0) send(Buffer.alloc(header.readUInt32LE(16)), 0, true);
  };
  initiator.isLenient = true;
  while (sent < pdusPerConnection && !isOver) {
    const kind = below(12);
    const asked = (kind < 6 ? admins : ios)[below(kind < 6 ? admins.length : ios.length)] as () => Asked;
    const pdu =
      kind === 10
        ? initiator.dataPdu(below(100), below(5), 512 * below(8), Buffer.alloc(512), below(2) === 0)
        : kind === 11
          ? initiator.icReq()
          : initiator.commandPdu(asked(), initiator.nextCid());
    initiator.send(mutate(pdu));
    sent += 1;
    if (below(4) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  initiator.close();
  return sent;
}

test(`${casesMax} spoilt PDUs: a well-behaved connection beside them notices nothing`, async (t) => {
  const host = await attach(served.port, { hostId: 1 });
  const good = await openQueue(served.port, host);
  const lba = 12_288; // the spoilt ones write before it
  const memoryBefore = process.memoryUsage().rss;
  let cases = 0;
  let rounds = 0;
  while (cases < casesMax) {
    const crowd = await Promise.all(Array.from({ length: 8 }, victim));
    const sent = await Promise.all(crowd.map(spoil));
    for (const count of sent) cases += count;
    rounds += 1;
    const data = Buffer.alloc(8192, rounds);
    await good.well(writeOf(lba, data));
    assert.ok((await good.well(readOf(lba, 16))).data.equals(data), `round ${rounds}`);
  }
  await host.admin.well(identifyOf(1));
  const grownBytes = process.memoryUsage().rss - memoryBefore;
  t.diagnostic(
    `${cases} PDUs on ${rounds * 8} connections; resident memory grew by ${Math.round(grownBytes / 2 ** 20)} MiB`,
  );
});
