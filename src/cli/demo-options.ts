import { type ChassisFile, slotsMax } from '../chassis/chassis-file.ts';
import { type Invocation, integerOption, size, usage } from './command.ts';
import { formatBytes } from '../base/units.ts';
import { wrongName, wrongSize } from '../corelet/volume-form.ts';
import { CommandFailure } from './failure.ts';

export const copiesMax = 7;
/** Arcs of the pool of a new chassis. */
export const arcCount = 256;
const nbdPortDefault = 10_809;
const iscsiPortDefault = 3_260;
const nvmePortDefault = 4_420;
const nvmeDiscoveryPortDefault = 8_009;
const adminPortDefault = 7_400;
const slotsDefault = 24;
const volumeDefault = 'demo:1GiB';
/** Flash files are sparse: room costs nothing until it is used. Eight times what an even share of the volume's copies takes, at least 8 GiB. */
const flashBytesMin = 8 * 1024 ** 3;
const flashShareFactor = 8;
const flashStepBytes = 64 * 1024 ** 2;

export interface DemoOptions {
  readonly slots: number;
  readonly spares: number;
  readonly copies: number;
  readonly flashBytes: number;
  readonly nbdPort: number;
  readonly iscsiPort: number;
  readonly nvmePort: number;
  readonly nvmeDiscoveryPort: number;
  readonly adminPort: number;
  readonly volume: { readonly name: string; readonly sizeBytes: number };
  /** Block devices of the first slots, in order; the others get files. */
  readonly devices: readonly string[];
  /** Options that were given, not defaulted: only those can contradict an existing chassis. */
  readonly given: ReadonlySet<string>;
}

/** @throws CommandFailure USAGE or BAD_SIZE. */
export function demoOptions(invocation: Invocation): DemoOptions {
  const slots = integerOption(invocation, 'slots', { min: 1, max: slotsMax, otherwise: slotsDefault });
  const copies = integerOption(invocation, 'copies', { min: 1, max: copiesMax, otherwise: 3 });
  const spares = integerOption(invocation, 'spares', { min: 0, max: slotsMax, otherwise: 0 });
  if (slots - spares < copies) {
    const without = spares === 0 ? '' : ` besides the ${spares} spares`;
    throw usage(invocation.spec, `${copies} copies want at least ${copies} slots${without}; --slots is ${slots}`);
  }
  const volume = volumeOption(invocation);
  const ports = portOptions(invocation, slots);
  const flashText = invocation.text('flash');
  const flashBytes = flashText === undefined ? flashDefault(volume.sizeBytes, copies, slots) : flashOption(flashText);
  const names = Object.keys(invocation.spec.options);
  const given = new Set(names.filter((name) => name !== 'data' && invocation.text(name) !== undefined));
  const devices = invocation.texts('device');
  if (devices.length > slots)
    throw usage(invocation.spec, `--device is given ${devices.length} times for ${slots} slots`);
  const twice = devices.find((device, i) => devices.indexOf(device) !== i);
  if (twice !== undefined) throw usage(invocation.spec, `--device ${twice} is given twice`);
  return { slots, spares, copies, flashBytes, ...ports, volume, devices, given };
}

type PortName = 'nbdPort' | 'iscsiPort' | 'nvmePort' | 'nvmeDiscoveryPort' | 'adminPort';

function portOptions(invocation: Invocation, slots: number): Pick<DemoOptions, PortName> {
  const port = (name: string, otherwise: number): number =>
    integerOption(invocation, name, { min: 1, max: 65_536 - slots, otherwise });
  const nbdPort = port('nbd-port', nbdPortDefault);
  const iscsiPort = port('iscsi-port', iscsiPortDefault);
  const nvmePort = port('nvme-port', nvmePortDefault);
  const nvmeDiscoveryPort = port('nvme-discovery-port', nvmeDiscoveryPortDefault);
  const adminPort = port('admin-port', adminPortDefault);
  const ports = [
    ['nbd-port', nbdPort],
    ['iscsi-port', iscsiPort],
    ['nvme-port', nvmePort],
    ['nvme-discovery-port', nvmeDiscoveryPort],
    ['admin-port', adminPort],
  ] as const;
  for (const [i, [name, first]] of ports.entries()) {
    for (const [otherName, otherFirst] of ports.slice(i + 1)) {
      if (Math.abs(first - otherFirst) >= slots) continue;
      const message = `--${name} ${first} and --${otherName} ${otherFirst} overlap: ${slots} slots take ${slots} ports each`;
      throw usage(invocation.spec, message);
    }
  }
  return { nbdPort, iscsiPort, nvmePort, nvmeDiscoveryPort, adminPort };
}

function flashDefault(volumeBytes: number, copies: number, slots: number): number {
  const ample = (volumeBytes * copies * flashShareFactor) / slots;
  return Math.ceil(Math.max(flashBytesMin, ample) / flashStepBytes) * flashStepBytes;
}

function flashOption(text: string): number {
  const bytes = size('--flash', text);
  const smallest = 4 * flashStepBytes;
  if (bytes < smallest)
    throw new CommandFailure(
      'BAD_SIZE',
      `--flash: ${formatBytes(bytes)} is too small, ${formatBytes(smallest)} is the least`,
    );
  return Math.floor(bytes / flashStepBytes) * flashStepBytes;
}

function volumeOption(invocation: Invocation): DemoOptions['volume'] {
  const text = invocation.text('volume') ?? volumeDefault;
  const colon = text.lastIndexOf(':');
  if (colon < 1) throw usage(invocation.spec, `--volume must be NAME:SIZE, like demo:1GiB, not '${text}'`);
  const name = text.slice(0, colon);
  const noName = wrongName(name);
  if (noName !== undefined) throw usage(invocation.spec, `--volume: ${noName}`);
  const sizeBytes = size('--volume', text.slice(colon + 1));
  const noSize = wrongSize(sizeBytes);
  if (noSize !== undefined) throw new CommandFailure('BAD_SIZE', `--volume: ${noSize}`);
  return { name, sizeBytes };
}

/** @throws CommandFailure FOLDER_MISMATCH when a given option contradicts the chassis that exists. */
export function agrees(chassis: ChassisFile, options: DemoOptions): void {
  const spares = chassis.slots.filter((slot) => slot.role === 'spare').length;
  const pairs: readonly (readonly [option: string, here: number, asked: number])[] = [
    ['slots', chassis.slots.length, options.slots],
    ['spares', spares, options.spares],
    ['copies', chassis.copies, options.copies],
    ['flash', chassis.flashBytes, options.flashBytes],
  ];
  for (const [option, here, asked] of pairs) {
    if (options.given.has(option) && here !== asked) {
      throw new CommandFailure(
        'FOLDER_MISMATCH',
        `the chassis in this folder was made with --${option} ${here}, not ${asked}`,
      );
    }
  }
}
