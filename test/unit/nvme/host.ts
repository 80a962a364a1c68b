import { type Asked, type Completion, Initiator, type InitiatorOptions } from './initiator.ts';

// What a host does over its connections: Connect, properties, a controller enabled, a queue for I/O.

export const discoveryNqn = 'nqn.2014-08.org.nvmexpress.discovery';
export const hostNqn = 'nqn.2014-08.org.nvmexpress:uuid:5a3c8f0e-0000-4000-8000-000000000001';
export const blockBytes = 512;

export interface ConnectAsked {
  readonly subsystemNqn?: string;
  readonly hostNqn?: string;
  readonly hostId?: number;
  readonly qid?: number;
  readonly sqSize?: number;
  readonly cntlid?: number;
  readonly cattr?: number;
  readonly katoMs?: number;
  readonly recordFormat?: number;
  readonly inCapsule?: boolean;
  readonly data?: Buffer;
}

export function connectData(asked: ConnectAsked): Buffer {
  const data = Buffer.alloc(1024);
  data.fill(asked.hostId ?? 7, 0, 16);
  data.writeUInt16LE(asked.cntlid ?? 0xffff, 16);
  data.write(asked.subsystemNqn ?? 'nqn.2026-01.io.corelet:vol', 256, 'latin1');
  data.write(asked.hostNqn ?? hostNqn, 512, 'latin1');
  return data;
}

export function connectCommand(asked: ConnectAsked = {}): Asked {
  const qid = asked.qid ?? 0;
  return {
    opcode: 0x7f,
    nsid: 0x01,
    cdw10: (asked.recordFormat ?? 0) | (qid << 16),
    cdw11: (asked.sqSize ?? (qid === 0 ? 31 : 127)) | ((asked.cattr ?? 0) << 16),
    cdw12: asked.katoMs ?? 0,
    data: asked.data ?? connectData(asked),
    inCapsule: asked.inCapsule ?? true,
  };
}

export function propertyGet(offset: number, is64Bit = false): Asked {
  return { opcode: 0x7f, nsid: 0x04, cdw10: is64Bit ? 1 : 0, cdw11: offset };
}
export function propertySet(offset: number, value: number): Asked {
  return { opcode: 0x7f, nsid: 0x00, cdw10: 0, cdw11: offset, cdw12: value };
}
export const enabled = 0x46_0001;

/** An enabled controller: its admin queue. */
export interface Host {
  readonly admin: Initiator;
  readonly cntlid: number;
  /** What it connected with. */
  readonly asked: ConnectAsked;
}

export async function attach(port: number, asked: ConnectAsked = {}, options: InitiatorOptions = {}): Promise<Host> {
  const admin = await Initiator.open(port, options);
  const { dw0 } = await admin.well(connectCommand(asked));
  await admin.well(propertySet(0x14, enabled));
  return { admin, cntlid: dw0 & 0xffff, asked };
}

/** A queue for I/O of that controller. */
export async function openQueue(
  port: number,
  { cntlid, asked: as = {} }: Pick<Host, 'cntlid'> & Partial<Host>,
  asked: ConnectAsked = {},
  options: InitiatorOptions = {},
): Promise<Initiator> {
  const queue = await Initiator.open(port, options);
  await queue.well(connectCommand({ ...as, qid: 1, cntlid, ...asked }));
  return queue;
}

/** Placement of an I/O: 512-byte blocks. */
function placed(opcode: number, lba: number, blocks: number): Asked {
  return { opcode, nsid: 1, cdw10: lba % 2 ** 32, cdw11: Math.floor(lba / 2 ** 32), cdw12: blocks - 1 };
}
export function readOf(lba: number, blocks: number): Asked {
  return { ...placed(0x02, lba, blocks), roomBytes: blocks * blockBytes };
}
export function writeOf(lba: number, data: Buffer, inCapsule = data.length <= 16_384): Asked {
  return { ...placed(0x01, lba, data.length / blockBytes), data, inCapsule };
}
export function compareOf(lba: number, data: Buffer, fuse = 0): Asked {
  return { ...placed(0x05, lba, data.length / blockBytes), data, fuse };
}

export function identifyOf(structure: number, nsid = 0): Asked {
  return { opcode: 0x06, nsid, cdw10: structure, roomBytes: 4096 };
}
export function logOf(page: number, lengthBytes: number, offset = 0, keepsEvent = false): Asked {
  const dwords = lengthBytes / 4 - 1;
  return {
    opcode: 0x02,
    nsid: 0xffff_ffff,
    cdw10: page | (keepsEvent ? 0x8000 : 0) | ((dwords & 0xffff) << 16),
    cdw11: dwords >>> 16,
    cdw12: offset,
    roomBytes: lengthBytes,
  };
}

/** As the status field says it: type and code, without the bit that forbids to try again. */
export function codeOf({ status }: Completion): string {
  return (status & 0x7ff).toString(16);
}
export function isFinal({ status }: Completion): boolean {
  return (status & 0x4000) !== 0;
}
