import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RemoteProtocolError } from '../../../src/base/errors.ts';
import type { ArcId, VolumeId } from '../../../src/base/ids.ts';
import { FrameDecoder } from '../../../src/wire/peer/frame-decoder.ts';
import { FrameEncoder } from '../../../src/wire/peer/frame-encoder.ts';
import { emptyFrameHeader, frameHeaderBytes, writeFrameHeader } from '../../../src/wire/peer/frame-header.ts';
import { peerLimits } from '../../../src/wire/peer/limits.ts';
import type { CopyChunk } from '../../../src/wire/peer/copy.ts';
import type { Liveness, PeerMessage } from '../../../src/wire/peer/types.ts';
import { anyMessage, flat, join } from './messages.ts';

function encodeTurns(turns: readonly (readonly PeerMessage[])[]): Uint8Array {
  const encoder = new FrameEncoder();
  const parts: Uint8Array[] = [];
  for (const turn of turns) {
    for (const message of turn) encoder.add(message);
    parts.push(...encoder.take().map((part) => part.slice()));
    encoder.written(true); // the buffer is reused: copies above are what a socket would have sent
  }
  return join(parts);
}

function receiver(): { decoder: FrameDecoder; messages: PeerMessage[] } {
  const messages: PeerMessage[] = [];
  return { decoder: new FrameDecoder((message) => messages.push(message)), messages };
}

const liveness = (sequence: number): Liveness => ({
  type: 'liveness',
  sequence,
  echo: 0,
  echoHeldUs: 0,
  nextMs: 100,
  answer: false,
  wantsTickets: false,
  ticketMs: 1.5,
  flashWaitMs: 0,
  syncUs: 0,
  viewNumber: 1,
  ledDigest: 2,
  syncedBatches: 3,
  usedBytes: 4,
  sizeBytes: 5,
});

function copyChunk(blockCount: number): CopyChunk {
  const count = { length: blockCount };
  return {
    type: 'copyChunk',
    arc: 1 as ArcId,
    fromGeneration: 1,
    toGeneration: 2,
    term: 3,
    copy: 4,
    sequence: 5,
    volume: 6 as VolumeId,
    layer: 0,
    chunk: 7,
    blocks: Uint16Array.from(count, (_, at) => at),
    versions: Float64Array.from(count, (_, at) => at + 1),
    crcs: Uint32Array.from(count, (_, at) => at),
    emptyBlocks: new Uint16Array(0),
    emptyVersions: new Float64Array(0),
    data: blockCount === 0 ? [] : [new Uint8Array(blockCount * 4096).fill(9)],
  };
}

const turnsArbitrary = fc.array(fc.array(anyMessage, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 });

test('however the network cuts the stream, every message arrives whole, once and in order', () => {
  const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 9000 })), { minLength: 1 });
  fc.assert(
    fc.property(turnsArbitrary, cuts, (turns, sizes) => {
      const stream = encodeTurns(turns);
      const { decoder, messages } = receiver();
      let at = 0;
      for (let i = 0; at < stream.length; i++) {
        const end = Math.min(stream.length, at + (sizes[i % sizes.length] as number));
        decoder.push(stream.slice(at, end));
        at = end;
      }
      assert.ok(decoder.atFrameStart);
      assert.deepEqual(messages.map(flat), turns.flat().map(flat));
    }),
    { numRuns: 60 },
  );
});

test('a stream that stops anywhere within a frame yields nothing of it: no half message is ever acted on', () => {
  fc.assert(
    fc.property(fc.array(anyMessage, { minLength: 1, maxLength: 3 }), fc.nat(), (turn, cut) => {
      const stream = encodeTurns([turn]);
      const { decoder, messages } = receiver();
      decoder.push(stream.subarray(0, cut % stream.length));
      assert.equal(messages.length, 0);
    }),
    { numRuns: 100 },
  );
});

test('one wrong byte anywhere in a frame is noticed: no host data and no vote is believed on a bad wire', () => {
  fc.assert(
    fc.property(
      fc.array(anyMessage, { minLength: 1, maxLength: 2 }),
      fc.integer({ min: 1, max: 255 }),
      (turn, flip) => {
        const stream = encodeTurns([turn]);
        for (let at = 0; at < stream.length; at += at < 400 ? 1 : 509) {
          const wrong = stream.slice();
          wrong[at] = (wrong[at] as number) ^ flip;
          const { decoder, messages } = receiver();
          assert.throws(() => decoder.push(wrong), RemoteProtocolError, `byte ${at}`);
          assert.equal(messages.length, 0);
        }
      },
    ),
    { numRuns: 25 },
  );
});

test('bytes from anyone never throw anything but RemoteProtocolError, and a broken stream stays broken', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
      const { decoder, messages } = receiver();
      try {
        decoder.push(noise);
        assert.ok(noise.length < frameHeaderBytes);
      } catch (error) {
        assert.ok(error instanceof RemoteProtocolError, String(error));
        assert.throws(() => decoder.push(encodeTurns([[liveness(1)]])), RemoteProtocolError);
      }
      assert.equal(messages.length, 0);
    }),
  );
});

test('a header that announces too much is refused before memory is taken for it', () => {
  const good = { ...emptyFrameHeader(), version: 1, messages: 1, headsBytes: 10 };
  const tooMuch = [
    { ...good, headsBytes: peerLimits.frameHeadsBytesMax + 1 },
    { ...good, payloadBytes: peerLimits.framePayloadBytesMax + 1 },
    { ...good, messages: peerLimits.frameMessagesMax + 1, headsBytes: 100_000 },
    { ...good, messages: 0 },
    { ...good, messages: 3 },
    { ...good, version: 2 },
  ];
  for (const header of tooMuch) {
    const bytes = new Uint8Array(frameHeaderBytes);
    writeFrameHeader(bytes, header);
    assert.throws(() => receiver().decoder.push(bytes), RemoteProtocolError);
  }
});

test('payloads are not copied by the sender; a receiver’s buffer may be used again at once, and what it got stays', () => {
  const message = copyChunk(4);
  const encoder = new FrameEncoder();
  encoder.add(message);
  const parts = encoder.take();
  assert.equal(parts[1], message.data[0]);
  const chunk = join(parts);
  const { decoder, messages } = receiver();
  decoder.push(chunk);
  chunk.fill(0xff);
  assert.deepEqual(messages, [message]);
});

test('what is queued beyond a frame’s bounds leaves in several frames that every receiver accepts', () => {
  const encoder = new FrameEncoder();
  const count = 11;
  for (let i = 0; i < count; i++) encoder.add(copyChunk(256));
  for (let i = 0; i < 5000; i++) encoder.add(liveness(i));
  const parts = encoder.take();
  assert.ok(encoder.empty);
  const { decoder, messages } = receiver();
  for (const part of parts) decoder.push(part);
  assert.equal(messages.length, count + 5000);
  assert.ok(decoder.atFrameStart);
  assert.deepEqual(messages.at(-1), liveness(4999));
});

test('a buffer still being written is not reused: a slow peer never gets another turn’s bytes', () => {
  const encoder = new FrameEncoder();
  encoder.add(liveness(1));
  const first = encoder.take();
  encoder.written(false);
  encoder.add(liveness(2));
  encoder.take();
  const { decoder, messages } = receiver();
  decoder.push(join(first));
  assert.deepEqual(messages, [liveness(1)]);
});
