import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RemoteProtocolError } from '../../../src/base/errors.ts';
import type { ClusterId, CoreletId } from '../../../src/base/ids.ts';
import type { HelloMessage } from '../../../src/wire/peer/hello.ts';
import { decodeHello, encodeHello, helloLength, refusals } from '../../../src/wire/peer/hello.ts';

const hex = fc
  .array(fc.constantFrom(...'0123456789abcdef'.split('')), { minLength: 32, maxLength: 32 })
  .map((digits) => digits.join(''));
const hellos: fc.Arbitrary<HelloMessage> = fc.record(
  {
    version: fc.integer({ min: 10, max: 20 }),
    versionOldest: fc.integer({ min: 1, max: 10 }),
    lane: fc.constantFrom(0 as const, 1 as const, 2 as const),
    refusal: fc.constantFrom(...refusals),
    cluster: hex.map((text) => text as ClusterId),
    id: hex.map((text) => text as CoreletId),
    incarnation: fc.nat(Number.MAX_SAFE_INTEGER),
    authentication: fc.uint8Array({ maxLength: 64 }),
  },
  { noNullPrototype: true },
);

test('a hello says who calls, exactly', () => {
  fc.assert(
    fc.property(hellos, (hello) => {
      const bytes = encodeHello(hello);
      assert.equal(helloLength(bytes), bytes.length);
      assert.deepEqual(decodeHello(bytes), hello);
    }),
  );
});

test('a hello cut short asks for more, a wrong byte is refused: nobody is taken for another Corelet', () => {
  fc.assert(
    fc.property(hellos, fc.integer({ min: 1, max: 255 }), (hello, flip) => {
      const bytes = encodeHello(hello);
      for (let at = 0; at < bytes.length; at++) {
        const length = helloLength(bytes.subarray(0, at));
        assert.ok(length === undefined || length > at);
        const wrong = bytes.slice();
        wrong[at] = (wrong[at] as number) ^ flip;
        assert.throws(() => decodeHello(wrong), RemoteProtocolError);
      }
    }),
    { numRuns: 30 },
  );
});

test('a stranger on the port is noticed by its first byte', () => {
  assert.throws(() => helloLength(new TextEncoder().encode('GET / HTTP/1.1')), RemoteProtocolError);
});
