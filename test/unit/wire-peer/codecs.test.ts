import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Reader, Writer } from '../../../src/base/bytes.ts';
import { RemoteProtocolError } from '../../../src/base/errors.ts';
import { lanes } from '../../../src/ports/fabric.ts';
import { codes, peerLanes, rowAt, rowFor } from '../../../src/wire/peer/codes.ts';
import { PayloadSink, PayloadSource } from '../../../src/wire/peer/payload.ts';
import type { PeerMessage } from '../../../src/wire/peer/types.ts';
import { flat, join, messageOfType } from './messages.ts';

function encode(message: PeerMessage): { head: Uint8Array; payload: Uint8Array } {
  const out = new Writer(1); // grows field by field: every field must make its own room
  const sink = new PayloadSink();
  rowFor(message).codec.encode(out, message, sink);
  return { head: out.copy(), payload: join(sink.pieces) };
}

function decode(code: number, head: Uint8Array, payload: Uint8Array): PeerMessage {
  const row = rowAt(code);
  assert.ok(row);
  const reader = new Reader(head);
  const source = new PayloadSource(payload);
  source.open(payload.length);
  const message = row.codec.decode(reader, source);
  source.messageDone();
  reader.done();
  return message;
}

test('codes are unique and lanes are the port’s: a message never arrives as another or on a lane that nobody reads', () => {
  const rows = Object.values(codes);
  assert.equal(new Set(rows.map(({ code }) => code)).size, rows.length);
  assert.deepEqual(peerLanes, lanes);
  assert.equal(rowAt(0), undefined);
  assert.equal(rowAt(255), undefined);
});

for (const [type, arbitrary] of Object.entries(messageOfType)) {
  const messages: fc.Arbitrary<PeerMessage> = arbitrary;
  const { code } = codes[type as keyof typeof codes];

  test(`${type}: a receiver gets what was sent`, () => {
    fc.assert(
      fc.property(messages, (message) => {
        const { head, payload } = encode(message);
        assert.deepEqual(flat(decode(code, head, payload)), flat(message));
      }),
      { numRuns: 60 },
    );
  });

  test(`${type}: cut short anywhere, it is refused and not guessed`, () => {
    fc.assert(
      fc.property(messages, (message) => {
        const { head, payload } = encode(message);
        for (let end = 0; end < head.length; end++) {
          assert.throws(() => decode(code, head.subarray(0, end), payload), RemoteProtocolError);
        }
        const question = message.type === 'relay' ? message.question : message;
        const lengthIsTheMessages = type === 'copyFinish' || (question.type === 'op' && question.body.kind === 'patch');
        if (payload.length > 1 && !lengthIsTheMessages) {
          assert.throws(() => decode(code, head, payload.subarray(1)), RemoteProtocolError);
        }
      }),
      { numRuns: 15 },
    );
  });

  test(`${type}: bytes from anyone end in a message or a RemoteProtocolError, nothing else`, () => {
    const noise = fc.uint8Array({ maxLength: 200 });
    const near = fc.tuple(messages, fc.nat(), fc.nat(255)).map(([message, at, value]) => {
      const { head } = encode(message);
      if (head.length > 0) head[at % head.length] = value;
      return head;
    });
    fc.assert(
      fc.property(fc.oneof(noise, near), fc.constantFrom(0, 1, 4096, 8192), (head, payloadBytes) => {
        try {
          decode(code, head, new Uint8Array(payloadBytes));
        } catch (error) {
          assert.ok(error instanceof RemoteProtocolError, String(error));
        }
      }),
      { numRuns: 300 },
    );
  });
}

// Behind acknowledgements, on a lane of its own, "I have no state" would look as if what was acknowledged had been forgotten (INV-10).
test('an append is refused for want of a state on the lane on which it would be acknowledged', () => {
  assert.equal(codes.copyReply.lane, codes.appendReply.lane);
});
