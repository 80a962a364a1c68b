import type { Reader, Writer } from '../../base/bytes.ts';
import type { CoreletId } from '../../base/ids.ts';
import { decodeIds, decodeMember, encodeIds, encodeMember, idsSize, memberSize, stateOfCode } from './parts.ts';
import { type Alert, type Ask, type Join, type Leave, type Wish, wireMemberStates } from './types.ts';

// alert: viewNumber u64, sequence u32, hears u32, subjects ids
export const alert = {
  size: (message: Alert): number => 16 + idsSize(message.subjects),
  encode(to: Writer, message: Alert): void {
    to.u64(message.viewNumber);
    to.u32(message.sequence);
    to.u32(message.hears);
    encodeIds(to, message.subjects);
  },
  decode: (from: Reader): Alert => ({
    type: 'alert',
    viewNumber: from.u64(),
    sequence: from.u32(),
    hears: from.u32(),
    subjects: decodeIds(from),
  }),
};

// join: viewNumber u64, incarnation u64, relayed u8, member
export const join = {
  size: (message: Join): number => 17 + memberSize(message.member),
  encode(to: Writer, message: Join): void {
    to.u64(message.viewNumber);
    to.u64(message.incarnation);
    to.boolean(message.relayed);
    encodeMember(to, message.member);
  },
  decode: (from: Reader): Join => ({
    type: 'join',
    viewNumber: from.u64(),
    incarnation: from.u64(),
    relayed: from.boolean(),
    member: decodeMember(from),
  }),
};

// leave: viewNumber u64
export const leave = {
  size: (): number => 8,
  encode(to: Writer, message: Leave): void {
    to.u64(message.viewNumber);
  },
  decode: (from: Reader): Leave => ({ type: 'leave', viewNumber: from.u64() }),
};

// ask: viewNumber u64
export const ask = {
  size: (): number => 8,
  encode(to: Writer, message: Ask): void {
    to.u64(message.viewNumber);
  },
  decode: (from: Reader): Ask => ({ type: 'ask', viewNumber: from.u64() }),
};

// wish: viewNumber u64, subject 16, from u8, to u8, flashUs u32, flashUsualUs u32, answersUs u32, answersUsualUs u32
export const wish = {
  size: (): number => 42,
  encode(to: Writer, message: Wish): void {
    to.u64(message.viewNumber);
    to.id(message.subject);
    to.u8(wireMemberStates.indexOf(message.from));
    to.u8(wireMemberStates.indexOf(message.to));
    to.u32(message.slow.flashUs);
    to.u32(message.slow.flashUsualUs);
    to.u32(message.slow.answersUs);
    to.u32(message.slow.answersUsualUs);
  },
  decode: (from: Reader): Wish => ({
    type: 'wish',
    viewNumber: from.u64(),
    subject: from.id() as CoreletId,
    from: stateOfCode(from.u8()),
    to: stateOfCode(from.u8()),
    slow: {
      flashUs: from.u32(),
      flashUsualUs: from.u32(),
      answersUs: from.u32(),
      answersUsualUs: from.u32(),
    },
  }),
};
