import { utf8Bytes, utf8Text } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { infoTypes, magics, optionReplies } from './codes.ts';
import type { ExportFields } from './handshake.ts';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../big-endian.ts';

// Option reply, server to client, 20 bytes, then `length` bytes of data:
//   0  u64  3e889045565a9h
//   8  u32  the option that is answered
//  12  u32  reply type
//  16  u32  length
export const optionReplyHeaderBytes = 20;

export type OptionReply =
  | { readonly type: 'ack' }
  | { readonly type: 'server'; readonly name: string; readonly description: string }
  | { readonly type: 'info-export'; readonly fields: ExportFields }
  | { readonly type: 'info-name'; readonly name: string }
  | { readonly type: 'info-description'; readonly description: string }
  | {
      readonly type: 'info-block-size';
      readonly minimumBytes: number;
      readonly preferredBytes: number;
      readonly maximumBytes: number;
    }
  | { readonly type: 'meta-context'; readonly id: number; readonly name: string }
  /** `code` is one of the ERR_… of `optionReplies`; `message` is for people. */
  | { readonly type: 'error'; readonly code: number; readonly message: string };

export function encodeOptionReply(option: number, reply: OptionReply): Uint8Array {
  const data = replyData(reply);
  const bytes = new Uint8Array(optionReplyHeaderBytes + data.length);
  writeU32(bytes, 0, magics.optionReplyHigh);
  writeU32(bytes, 4, magics.optionReplyLow);
  writeU32(bytes, 8, option);
  writeU32(bytes, 12, replyCode(reply));
  writeU32(bytes, 16, data.length);
  bytes.set(data, optionReplyHeaderBytes);
  return bytes;
}

function replyCode(reply: OptionReply): number {
  switch (reply.type) {
    case 'ack':
      return optionReplies.ack;
    case 'server':
      return optionReplies.server;
    case 'info-export':
    case 'info-name':
    case 'info-description':
    case 'info-block-size':
      return optionReplies.info;
    case 'meta-context':
      return optionReplies.metaContext;
    case 'error':
      return reply.code;
  }
}

function replyData(reply: OptionReply): Uint8Array {
  switch (reply.type) {
    case 'ack':
      return new Uint8Array(0);
    case 'server': {
      // u32 name length, name, description
      const name = utf8Bytes(reply.name);
      const description = utf8Bytes(reply.description);
      const data = new Uint8Array(4 + name.length + description.length);
      writeU32(data, 0, name.length);
      data.set(name, 4);
      data.set(description, 4 + name.length);
      return data;
    }
    case 'info-export': {
      // u16 type, u64 size, u16 transmission flags
      const data = new Uint8Array(12);
      writeU16(data, 0, infoTypes.export);
      writeU64(data, 2, reply.fields.sizeBytes);
      writeU16(data, 10, reply.fields.flags);
      return data;
    }
    case 'info-name':
      return typedText(infoTypes.name, reply.name);
    case 'info-description':
      return typedText(infoTypes.description, reply.description);
    case 'info-block-size': {
      // u16 type, u32 minimum, u32 preferred, u32 maximum payload
      const data = new Uint8Array(14);
      writeU16(data, 0, infoTypes.blockSize);
      writeU32(data, 2, reply.minimumBytes);
      writeU32(data, 6, reply.preferredBytes);
      writeU32(data, 10, reply.maximumBytes);
      return data;
    }
    case 'meta-context': {
      // u32 context id, name
      const name = utf8Bytes(reply.name);
      const data = new Uint8Array(4 + name.length);
      writeU32(data, 0, reply.id);
      data.set(name, 4);
      return data;
    }
    case 'error':
      return utf8Bytes(reply.message);
  }
}

function typedText(type: number, text: string): Uint8Array {
  const encoded = utf8Bytes(text);
  const data = new Uint8Array(2 + encoded.length);
  writeU16(data, 0, type);
  data.set(encoded, 2);
  return data;
}

/**
 * One whole option reply. @returns the option that it answers and the reply.
 * @throws RemoteProtocolError on another magic, an unknown type or lengths that don't fit.
 */
export function decodeOptionReply(bytes: Uint8Array): { option: number; reply: OptionReply } {
  if (bytes.length < optionReplyHeaderBytes) throw new RemoteProtocolError(`option reply of ${bytes.length} bytes`);
  if (readU32(bytes, 0) !== magics.optionReplyHigh || readU32(bytes, 4) !== magics.optionReplyLow)
    throw new RemoteProtocolError('option reply without its magic');
  const data = bytes.subarray(optionReplyHeaderBytes);
  if (readU32(bytes, 16) !== data.length) throw new RemoteProtocolError('option reply of another length');
  return { option: readU32(bytes, 8), reply: decodeReplyData(readU32(bytes, 12), data) };
}

function decodeReplyData(code: number, data: Uint8Array): OptionReply {
  if (code >= 0x8000_0000) return { type: 'error', code, message: utf8Text(data) };
  switch (code) {
    case optionReplies.ack:
      expectBytes(data, data.length === 0);
      return { type: 'ack' };
    case optionReplies.server: {
      expectBytes(data, data.length >= 4);
      const nameEnd = 4 + readU32(data, 0);
      expectBytes(data, nameEnd <= data.length);
      return {
        type: 'server',
        name: utf8Text(data.subarray(4, nameEnd)),
        description: utf8Text(data.subarray(nameEnd)),
      };
    }
    case optionReplies.info:
      expectBytes(data, data.length >= 2);
      return decodeInfo(readU16(data, 0), data);
    case optionReplies.metaContext:
      expectBytes(data, data.length >= 4);
      return { type: 'meta-context', id: readU32(data, 0), name: utf8Text(data.subarray(4)) };
    default:
      throw new RemoteProtocolError(`unknown option reply ${code}`);
  }
}

function decodeInfo(type: number, data: Uint8Array): OptionReply {
  switch (type) {
    case infoTypes.export:
      expectBytes(data, data.length === 12);
      return { type: 'info-export', fields: { sizeBytes: readU64(data, 2), flags: readU16(data, 10) } };
    case infoTypes.name:
      return { type: 'info-name', name: utf8Text(data.subarray(2)) };
    case infoTypes.description:
      return { type: 'info-description', description: utf8Text(data.subarray(2)) };
    case infoTypes.blockSize:
      expectBytes(data, data.length === 14);
      return {
        type: 'info-block-size',
        minimumBytes: readU32(data, 2),
        preferredBytes: readU32(data, 6),
        maximumBytes: readU32(data, 10),
      };
    default:
      throw new RemoteProtocolError(`unknown information type ${type}`);
  }
}

function expectBytes(data: Uint8Array, fits: boolean): void {
  if (!fits) throw new RemoteProtocolError(`option reply with ${data.length} bytes of data`);
}
