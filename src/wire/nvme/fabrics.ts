import type { CommandFields } from './command.ts';
import { name, raw, structure, u16 } from './layout.ts';

type Words = Readonly<Pick<CommandFields, 'nsid' | 'cdw10' | 'cdw11' | 'cdw12' | 'cdw13'>>;
type Set = Partial<CommandFields>;

const two32 = 0x1_0000_0000;

/** Base §6.3. `sqSize` is 0's based; `cattr` bit 2: no flow control of the submission queue. */
export interface ConnectFields {
  readonly recordFormat: number;
  readonly qid: number;
  readonly sqSize: number;
  readonly cattr: number;
  readonly katoMs: number;
}
export const connectAttributes = { noFlowControl: 4 } as const;

export function connectOf(command: Words): ConnectFields {
  return {
    recordFormat: command.cdw10 & 0xffff,
    qid: command.cdw10 >>> 16,
    sqSize: command.cdw11 & 0xffff,
    cattr: (command.cdw11 >>> 16) & 0xff,
    katoMs: command.cdw12,
  };
}

export function connectWords(fields: ConnectFields): Set {
  return {
    cdw10: (fields.recordFormat | (fields.qid << 16)) >>> 0,
    cdw11: (fields.sqSize | (fields.cattr << 16)) >>> 0,
    cdw12: fields.katoMs,
  };
}

export const nqnFieldBytes = 256;
/** Data of Connect. `cntlid` FFFFh: a new controller. */
export const connectData = structure(1024, {
  hostId: raw(0, 16),
  cntlid: u16(16),
  subsystemNqn: name(256, nqnFieldBytes),
  hostNqn: name(512, nqnFieldBytes),
});
export const newController = 0xffff;
/** In the answer to Connect, above the controller's id: the host has to authenticate itself. */
export const authenticationRequiredBit = 0x2_0000;

/** Base §6.4, §6.6. `value`: of Property Set; exact below 2^53. */
export interface PropertyFields {
  readonly is64Bit: boolean;
  readonly offset: number;
  readonly value: number;
}

export function propertyOf(command: Words): PropertyFields {
  return {
    is64Bit: (command.cdw10 & 7) === 1,
    offset: command.cdw11,
    value: command.cdw13 * two32 + command.cdw12,
  };
}

export function propertyWords({ is64Bit, offset, value }: PropertyFields): Set {
  return { cdw10: is64Bit ? 1 : 0, cdw11: offset, cdw12: value % two32, cdw13: Math.floor(value / two32) };
}

/** Base §6.1, §6.2: `lengthBytes` of the message that is sent, or of the room for the one that is fetched. */
export interface AuthFields {
  readonly protocolSpecific: number;
  readonly protocol: number;
  readonly lengthBytes: number;
}
/** NVMe's own protocols (SECP E9h), with SPSP 0001h. */
export const authProtocol = { protocolSpecific: 0x0101, protocol: 0xe9 } as const;

export function authOf(command: Words): AuthFields {
  return {
    protocolSpecific: (command.cdw10 >>> 8) & 0xffff,
    protocol: command.cdw10 >>> 24,
    lengthBytes: command.cdw11,
  };
}

export function authWords(fields: AuthFields): Set {
  return {
    cdw10: ((fields.protocol << 24) | (fields.protocolSpecific << 8)) >>> 0,
    cdw11: fields.lengthBytes,
  };
}
