import { joined } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { readU16 } from '../../wire/big-endian.ts';
import { opcodes, senseCodes } from '../../wire/scsi/codes.ts';
import {
  type ControlSettings,
  controlSettings,
  decodeModePages,
  encodeCachingPage,
  encodeControlPage,
  encodeDisconnectPage,
  encodeExceptionsPage,
  encodeModeData,
  modePages,
  pageControls,
  subpagesAll,
} from '../../wire/scsi/mode.ts';
import type { Sense } from '../../wire/scsi/sense.ts';
import { capacityBlocks } from './blocks.ts';
import type { Call, Plan } from './command.ts';
import { logicalBytes, scsiLimits } from './limits.ts';
import { data, failed, illegal, invalidCdb, invalidParameter, moved, type Reply } from './reply.ts';

// MODE SENSE and MODE SELECT (SPC-4 §6.9 to §6.12). D_SENSE and SWP can be changed, for all initiators at this Corelet, until it restarts.

export const standardSettings: ControlSettings = { descriptorSense: false, writeProtected: false };
const modeDataBytesMax = 255;

function isShort(cdb: Uint8Array): boolean {
  return cdb[0] === opcodes.modeSense6 || cdb[0] === opcodes.modeSelect6;
}

export function planModeSense(cdb: Uint8Array): Plan | Sense {
  const control = (cdb[2] as number) >>> 6;
  if (control === pageControls.saved) return illegal(senseCodes.savingNotSupported);
  const subpage = cdb[3] as number;
  if (subpage !== 0 && subpage !== subpagesAll) return invalidCdb(3);
  if (pagesOf(cdb, standardSettings).length === 0) return invalidCdb(2, 5);
  const allocation = isShort(cdb) ? (cdb[4] as number) : readU16(cdb, 7);
  return { outBytes: 0, inBytesMax: Math.min(allocation, modeDataBytesMax) };
}

function pagesOf(cdb: Uint8Array, settings: ControlSettings): readonly Uint8Array[] {
  const code = (cdb[2] as number) & 0x3f;
  const control = (cdb[2] as number) >>> 6;
  const isMask = control === pageControls.changeable;
  // In a mask a bit that is set can be changed: on these pages nothing can.
  const fixed = (page: Uint8Array) => (isMask ? page.fill(0, 2) : page);
  const changeable = { descriptorSense: true, writeProtected: true };
  const shown = isMask ? changeable : control === pageControls.standard ? standardSettings : settings;
  const pages = [
    fixed(encodeDisconnectPage()),
    fixed(encodeCachingPage()),
    encodeControlPage(shown, isMask),
    fixed(encodeExceptionsPage()),
  ];
  return code === modePages.all ? pages : pages.filter((page) => page[0] === code);
}

const noDescriptorsBit = 0x08; // DBD
const longLbaBit = 0x10; // LLBAA

export function modeSense({ cdb, device, unit }: Call): Reply {
  const flags = cdb[1] as number;
  const blocks =
    (flags & noDescriptorsBit) !== 0
      ? undefined
      : {
          count: capacityBlocks(device),
          blockBytes: logicalBytes,
          isLong: !isShort(cdb) && (flags & longLbaBit) !== 0,
        };
  const writeProtected = device.readOnly || unit.settings.writeProtected;
  const bytes = encodeModeData({ writeProtected, blocks, pages: pagesOf(cdb, unit.settings) }, isShort(cdb) ? 6 : 10);
  return data(bytes, isShort(cdb) ? (cdb[4] as number) : readU16(cdb, 7));
}

export function planModeSelect(cdb: Uint8Array): Plan | Sense {
  const flags = cdb[1] as number;
  if ((flags & 0x01) !== 0) return invalidCdb(1, 0); // SP: nothing is saved
  const outBytes = isShort(cdb) ? (cdb[4] as number) : readU16(cdb, 7);
  // A page in no page format would be a vendor's.
  if ((flags & 0x10) === 0 && outBytes !== 0) return invalidCdb(1, 4);
  return outBytes > scsiLimits.listBytesMax ? invalidCdb(7) : { outBytes, inBytesMax: 0 };
}

export function modeSelect(call: Call): Reply {
  const { cdb, dataOut, dataOutBytes, unit, nexus } = call;
  if (dataOutBytes === 0) return moved(0);
  let pages: readonly Uint8Array[];
  try {
    pages = decodeModePages(joined(dataOut), isShort(cdb) ? 6 : 10);
  } catch (error) {
    if (!(error instanceof RemoteProtocolError)) throw error;
    return failed(illegal(senseCodes.parameterListLengthError));
  }
  let settings = unit.settings;
  for (const page of pages) {
    const code = (page[0] as number) & 0x7f; // PS is reserved here
    const current = [
      encodeDisconnectPage(),
      encodeCachingPage(),
      encodeControlPage(code === modePages.control ? controlSettings(page) : settings, false),
      encodeExceptionsPage(),
    ].find((known) => known[0] === code);
    if (current === undefined || current.length !== page.length) return failed(invalidParameter(0));
    for (let i = 2; i < page.length; i++) if (page[i] !== current[i]) return failed(invalidParameter(i));
    if (code === modePages.control) settings = controlSettings(page);
  }
  unit.change(settings, nexus);
  return moved(dataOutBytes);
}
