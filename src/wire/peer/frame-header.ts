import { crc32c } from '../../base/crc32c.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { peerLimits } from './limits.ts';

// magic u32 · version u16 · messages u16 · headsBytes u32 · payloadBytes u32 · headsCrc u32 · payloadCrc u32 ·
// headerCrc u32 (of the 24 bytes before it)
export const frameHeaderBytes = 28;
export const frameMagic = 0x46_6c_72_43; // "CrlF"
/** The newest format that this code speaks, and the oldest (a rolling upgrade needs two). */
export const peerFormatVersion = 1;
export const peerFormatVersionOldest = 1;

/** Code and payload length of each message. */
const messageBytesMin = 5;

/** One connection's receiver keeps one of these and fills it for every frame. */
export interface FrameHeader {
  version: number;
  messages: number;
  headsBytes: number;
  payloadBytes: number;
  headsCrc: number;
  payloadCrc: number;
}

export function emptyFrameHeader(): FrameHeader {
  return { version: 0, messages: 0, headsBytes: 0, payloadBytes: 0, headsCrc: 0, payloadCrc: 0 };
}

/** Writes the header at the front of `bytes`. */
export function writeFrameHeader(bytes: Uint8Array, header: FrameHeader): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, frameHeaderBytes);
  view.setUint32(0, frameMagic, true);
  view.setUint16(4, header.version, true);
  view.setUint16(6, header.messages, true);
  view.setUint32(8, header.headsBytes, true);
  view.setUint32(12, header.payloadBytes, true);
  view.setUint32(16, header.headsCrc, true);
  view.setUint32(20, header.payloadCrc, true);
  view.setUint32(24, crc32c(bytes.subarray(0, 24)), true);
}

function u32At(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
  return (low | ((bytes[at + 3] as number) << 24)) >>> 0;
}

/**
 * Reads the header at `at` into `into` and checks every bound, so that its lengths may be trusted with memory.
 * @throws RemoteProtocolError
 */
export function readFrameHeader(bytes: Uint8Array, at: number, into: FrameHeader): void {
  if (u32At(bytes, at) !== frameMagic) throw new RemoteProtocolError('not a frame');
  if (u32At(bytes, at + 24) !== crc32c(bytes.subarray(at, at + 24))) throw new RemoteProtocolError('frame header CRC');
  const versionAndMessages = u32At(bytes, at + 4);
  into.version = versionAndMessages & 0xffff;
  into.messages = versionAndMessages >>> 16;
  into.headsBytes = u32At(bytes, at + 8);
  into.payloadBytes = u32At(bytes, at + 12);
  into.headsCrc = u32At(bytes, at + 16);
  into.payloadCrc = u32At(bytes, at + 20);
  if (into.version < peerFormatVersionOldest || into.version > peerFormatVersion) {
    throw new RemoteProtocolError(`frame version ${into.version}`);
  }
  if (into.messages === 0 || into.messages > peerLimits.frameMessagesMax) {
    throw new RemoteProtocolError(`frame of ${into.messages} messages`);
  }
  if (into.headsBytes < into.messages * messageBytesMin) throw new RemoteProtocolError('frame without heads');
  if (into.headsBytes > peerLimits.frameHeadsBytesMax || into.payloadBytes > peerLimits.framePayloadBytesMax) {
    throw new RemoteProtocolError(`frame of ${into.headsBytes} and ${into.payloadBytes} bytes`);
  }
}
