import assert from 'node:assert/strict';
import { checkPrimeSync, createHash, createHmac, randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { primeOf } from '../../../src/platform/key-exchange.ts';
import type { HostSecrets } from '../../../src/targets/nvme/authentication.ts';
import { MemoryCatalog, MemoryDevice } from '../nbd/memory-device.ts';
import { codeOf, connectCommand, enabled, hostNqn, identifyOf, propertySet } from './host.ts';
import { type Asked, Initiator } from './initiator.ts';
import { serveNvme, type ServedNvme } from './serve.ts';

// The host's side of DH-HMAC-CHAP, by the specification.

const subsystemNqn = 'nqn.2026-01.io.corelet:vol';
const hashes = ['', 'sha256', 'sha384', 'sha512'];
const bitsOf = [0, 2048, 3072, 4096];
const opened: ServedNvme[] = [];
after(async () => {
  for (const served of opened) await served.close();
});

async function serverWith(secrets: HostSecrets): Promise<number> {
  const device = new MemoryDevice({ name: 'vol', sizeBytes: 1024 * 1024 });
  const served = await serveNvme(new MemoryCatalog(device), { world: { secretsOf: async () => secrets } });
  opened.push(served);
  return served.port;
}

const protocolWord = (0xe9 << 24) | (0x0101 << 8);
function sendOf(data: Buffer): Asked {
  return { opcode: 0x7f, nsid: 0x05, cdw10: protocolWord, cdw11: data.length, data };
}
async function fetched(host: Initiator): Promise<Buffer> {
  return (await host.well({ opcode: 0x7f, nsid: 0x06, cdw10: protocolWord, cdw11: 4096, roomBytes: 4096 })).data;
}

function negotiation(hashIds: readonly number[], groupIds: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 + 64);
  bytes.writeUInt16LE(77, 4);
  bytes[7] = 1;
  bytes.set([1, 0, hashIds.length, groupIds.length], 8);
  bytes.set(hashIds, 12);
  bytes.set(groupIds, 42);
  return bytes;
}

interface Proof {
  readonly secret: Buffer;
  readonly wantsProof?: boolean;
  readonly spoil?: (reply: Buffer) => void;
}

interface Answered {
  readonly message: number;
  readonly reason: number;
  /** Our challenge was answered with what it should be. */
  readonly isProved: boolean | undefined;
}

function numberOf(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}
function bytesOf(value: bigint, length: number): Buffer {
  return Buffer.from(value.toString(16).padStart(2 * length, '0'), 'hex');
}
function powerOf(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let square = base, left = exponent; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

function responseOf(
  hash: string,
  secret: Buffer,
  challenge: Buffer,
  shared: Buffer | undefined,
  sequence: number,
  text: string,
): Buffer {
  const mixed =
    shared === undefined
      ? challenge
      : createHmac(hash, createHash(hash).update(shared).digest()).update(challenge).digest();
  const numbers = Buffer.alloc(7);
  numbers.writeUInt32LE(sequence, 0);
  numbers.writeUInt16LE(77, 4);
  return createHmac(hash, secret).update(mixed).update(numbers).update(text, 'latin1').digest();
}

/** From the challenge on. `controllerSecret`: what the target should prove. */
async function prove(host: Initiator, proof: Proof, controllerSecret?: Buffer): Promise<Answered> {
  const challenge = await fetched(host);
  assert.equal(challenge[1], 1, 'a challenge');
  const hl = challenge[6] as number;
  const hash = hashes[challenge[8] as number] as string;
  const bits = bitsOf[challenge[9] as number] as number;
  const valueBytes = challenge.readUInt16LE(10);
  const c1 = challenge.subarray(16, 16 + hl);
  let shared: Buffer | undefined;
  let own: Buffer = Buffer.alloc(0);
  if (bits > 0) {
    const secretExponent = BigInt(`0x${randomBytes(32).toString('hex')}`);
    const prime = numberOf(primeOf(bits));
    own = bytesOf(powerOf(2n, secretExponent, prime), bits / 8);
    const theirs = numberOf(challenge.subarray(16 + hl, 16 + hl + valueBytes));
    shared = bytesOf(powerOf(theirs, secretExponent, prime), bits / 8);
  }
  const r1 = responseOf(
    hash,
    proof.secret,
    c1,
    shared,
    challenge.readUInt32LE(12),
    `HostHost${hostNqn}\0${subsystemNqn}`,
  );
  const c2 = randomBytes(hl);
  const reply = Buffer.alloc(16 + 2 * hl + own.length);
  reply.set([1, 2], 0);
  reply.writeUInt16LE(77, 4);
  reply[6] = hl;
  reply[8] = proof.wantsProof === true ? 1 : 0;
  reply.writeUInt16LE(own.length, 10);
  reply.writeUInt32LE(4711, 12);
  reply.set(r1, 16);
  if (proof.wantsProof === true) reply.set(c2, 16 + hl);
  reply.set(own, 16 + 2 * hl);
  proof.spoil?.(reply);
  await host.well(sendOf(reply));
  const answer = await fetched(host);
  if (answer[1] !== 3) return { message: answer[1] as number, reason: answer[7] as number, isProved: undefined };
  if (controllerSecret === undefined) return { message: 3, reason: 0, isProved: undefined };
  const wanted = responseOf(hash, controllerSecret, c2, shared, 4711, `Controller${subsystemNqn}\0${hostNqn}`);
  return { message: 3, reason: 0, isProved: answer[8] === 1 && wanted.equals(answer.subarray(16, 16 + hl)) };
}

async function connected(port: number): Promise<Initiator> {
  const host = await Initiator.open(port);
  const { dw0 } = await host.well(connectCommand());
  assert.equal(dw0 >>> 16, 2, 'authentication is required');
  return host;
}

const secret = randomBytes(32);
const controllerSecret = randomBytes(48);

for (const [hashId, groupId] of [
  [1, 0],
  [2, 1],
  [3, 2],
  [1, 3],
] as const) {
  test(`a host that proves itself with ${hashes[hashId]} and a group of ${bitsOf[groupId]} bits is let in, and no sooner`, async () => {
    const host = await connected(await serverWith({ host: secret, controller: undefined }));
    assert.equal(codeOf(await host.command(propertySet(0x14, enabled))), '191');
    await host.well(sendOf(negotiation([hashId], [groupId])));
    assert.equal((await prove(host, { secret })).message, 3, 'success');
    await host.well(propertySet(0x14, enabled));
    await host.well(identifyOf(1));
  });
}

test('a host that wants proof gets it, and one that finds none of it lets nobody in', async () => {
  const host = await connected(await serverWith({ host: secret, controller: controllerSecret }));
  await host.well(sendOf(negotiation([1, 2, 3], [0, 1])));
  const { message, isProved } = await prove(host, { secret, wantsProof: true }, controllerSecret);
  assert.deepEqual([message, isProved], [3, true]);
  assert.equal(codeOf(await host.command(identifyOf(1))), '191', 'not before the host says that it believes it');
  const success2 = Buffer.alloc(16);
  success2.set([1, 4], 0);
  success2.writeUInt16LE(77, 4);
  await host.well(sendOf(success2));
  await host.well(propertySet(0x14, enabled));
});

test('secrets in the form of nvme-cli are bound to the name of who proves them', async () => {
  const key = randomBytes(32);
  const text = `DHHC-1:01:${Buffer.concat([key, Buffer.alloc(4)]).toString('base64')}:`;
  const host = await connected(await serverWith({ host: Buffer.from(text), controller: undefined }));
  await host.well(sendOf(negotiation([1], [0])));
  const bound = createHmac('sha256', key).update(`${hostNqn}NVMe-over-Fabrics`).digest();
  assert.equal((await prove(host, { secret: bound })).message, 3);
});

const liars: readonly (readonly [string, Proof, number])[] = [
  ['another secret', { secret: randomBytes(32) }, 1],
  ['a reply of another conversation', { secret, spoil: (reply) => reply.writeUInt16LE(78, 4) }, 7],
  ['a reply cut short', { secret, spoil: (reply) => reply.writeUInt8(64, 6) }, 6],
  ['proof wanted where there is none', { secret, wantsProof: true }, 1],
];
for (const [name, proof, reason] of liars) {
  test(`${name}: refused with its reason, then cut off`, async () => {
    const host = await connected(await serverWith({ host: secret, controller: undefined }));
    await host.well(sendOf(negotiation([1], [0])));
    const answered = await prove(host, proof);
    assert.deepEqual([answered.message, answered.reason], [0xf0, reason]);
    await host.ended;
  });
}

test('a reflected challenge proves nothing', async () => {
  const host = await connected(await serverWith({ host: secret, controller: secret }));
  await host.well(sendOf(negotiation([1], [0])));
  const challenge = await fetched(host);
  const reply = Buffer.alloc(16 + 64);
  reply.set([1, 2, 0, 0, 77, 0, 32, 0, 1], 0);
  const text = `HostHost${hostNqn}\0${subsystemNqn}`;
  reply.set(responseOf('sha256', secret, challenge.subarray(16, 48), undefined, challenge.readUInt32LE(12), text), 16);
  reply.set(challenge.subarray(16, 48), 48);
  await host.well(sendOf(reply));
  assert.equal((await fetched(host))[1], 0xf0);
});

test('what can not be agreed on, and what comes out of turn, fails with its reason', async () => {
  const port = await serverWith({ host: secret, controller: undefined });
  const concatenation = negotiation([1], [0]);
  concatenation[6] = 1;
  const otherProtocol = negotiation([1], [0]);
  otherProtocol[8] = 9;
  const cases: readonly (readonly [Buffer, number])[] = [
    [negotiation([9], [0]), 4],
    [negotiation([1], [9]), 5],
    [concatenation, 3],
    [otherProtocol, 2],
    [Buffer.from([1, 4, 0, 0, 0, 0]), 7],
    [negotiation([1], [0]).subarray(0, 40), 6],
  ];
  for (const [bytes, reason] of cases) {
    const host = await connected(port);
    await host.well(sendOf(bytes));
    const answer = await fetched(host);
    assert.deepEqual([answer[1], answer[7]], [0xf0, reason]);
    await host.ended;
  }
});

test('the groups are those of RFC 7919: safe primes of their lengths', () => {
  const prime = primeOf(2048);
  assert.equal(prime.length, 256);
  assert.equal(prime.subarray(0, 16).toString('hex'), 'ffffffffffffffffadf85458a2bb4a9a');
  assert.equal(prime.subarray(248).toString('hex'), 'ffffffffffffffff');
  const value = BigInt(`0x${prime.toString('hex')}`);
  assert.ok(checkPrimeSync(value) && checkPrimeSync((value - 1n) / 2n));
  for (const bits of [3072, 4096, 6144, 8192]) assert.equal(primeOf(bits).length, bits / 8);
});
