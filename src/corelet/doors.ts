import type { Clock } from '../ports/clock.ts';
import type { Hashes } from '../ports/hashes.ts';
import type { KeyExchange } from '../ports/key-exchange.ts';
import type { Random } from '../ports/random.ts';
import { targetName } from '../targets/iscsi/names.ts';
import type { Portal, TargetAccess, TargetDirectory } from '../targets/iscsi/directory.ts';
import { IscsiTarget } from '../targets/iscsi/target.ts';
import type { NbdOutput } from '../targets/nbd/output.ts';
import { NbdSession } from '../targets/nbd/session.ts';
import type { HostSecrets } from '../targets/nvme/authentication.ts';
import { NvmeTarget } from '../targets/nvme/target.ts';
import type { HealthReading, Portal as NvmePortal } from '../targets/nvme/world.ts';
import { ScsiDeviceServer } from '../targets/scsi/server.ts';
import { segmentBytesDefault } from '../store/layout.ts';
import type { PortGroupState, TargetPort } from '../targets/scsi/types.ts';
import { mayUse } from '../volume/access.ts';
import type { CoreletHandle } from './types.ts';

/** What a listener for NBD connections calls for each: a session over the volumes that this Corelet is a gateway of. */
export function nbdDoor(corelet: CoreletHandle, clock: Clock): (output: NbdOutput) => NbdSession {
  const { catalog } = corelet;
  return (output) => new NbdSession({ catalog, clock, output });
}

export interface IscsiDoorOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly hashes: Hashes;
  /** Where slots answer iSCSI, as `HOST:PORT`, as far as it is known now. */
  readonly portals: () => readonly { readonly slot: number; readonly address: string }[];
}

/** The iSCSI target of a Corelet: the slot's number, counted from 1, names its port, port group and portal group. */
export function iscsiDoor(corelet: CoreletHandle, options: IscsiDoorOptions): IscsiTarget {
  const { clock, random, hashes } = options;
  const { slot } = corelet.status().answeredBy;
  const portGroups = (): readonly PortGroupState[] =>
    corelet.status().slots.map((one) => {
      const isServing = one.state === 'live' || one.state === 'spare';
      return { ...portOf(one.slot), state: isServing ? 'activeOptimized' : 'unavailable' };
    });
  const { catalog } = corelet;
  const scsi = new ScsiDeviceServer({ catalog, clock, port: portOf(slot), portGroups, targetName });
  let told = JSON.stringify(portGroups());
  const tell = (): void => {
    const now = JSON.stringify(portGroups());
    if (now === told) return;
    told = now;
    scsi.portGroupsChanged();
  };
  corelet.onSlotsChanged(() => clock.soon(tell)); // not from within what changes it
  const directory = directoryOf(corelet, slot, options.portals);
  return new IscsiTarget({ scsi, directory, clock, random, hashes });
}

export interface NvmeDoorOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly exchange: KeyExchange;
  readonly version: string;
  /** Where slots answer NVMe, as far as it is known now; `localAddress`: where the host that asks reached this one. */
  readonly portals: (localAddress: string) => readonly NvmePortal[];
}

/** The NVMe target of a Corelet: of its slot are the ids of its controllers. */
export function nvmeDoor(corelet: CoreletHandle, options: NvmeDoorOptions): NvmeTarget {
  const { cluster, answeredBy } = corelet.status();
  return new NvmeTarget({
    catalog: corelet.catalog,
    volumesFor: (host) => corelet.rules.namesFor(host),
    secretsOf: (volume) => secretsOf(corelet, volume),
    slot: answeredBy.slot,
    cluster,
    ...options,
    isConnected: () => corelet.isConnected(),
    health: () => healthOf(corelet),
  });
}

/** The same that iSCSI's CHAP asks for: a volume that wants proof wants it from every host. */
async function secretsOf({ rules }: CoreletHandle, volume: string): Promise<HostSecrets | undefined | 'RETRYABLE'> {
  const access = await rules.rules(volume);
  if (access === 'RETRYABLE') return access;
  if (access === 'NOT_FOUND' || access.chap === undefined) return undefined;
  return { host: access.chap.initiator.secret, controller: access.chap.target?.secret };
}

function healthOf(corelet: CoreletHandle): HealthReading {
  const { slots, answeredBy } = corelet.status();
  const device = slots.find(({ id }) => id === answeredBy.id)?.device;
  if (device === undefined) return { badReads: 0, badPercent: 0, failed: false };
  const { badReads, badSegments, sizeBytes, failed, temperatureCelsius, wearPercent } = device;
  const badPercent = sizeBytes === 0 ? 0 : (100 * badSegments * segmentBytesDefault) / sizeBytes;
  return { badReads, badPercent, failed, temperatureCelsius, wearPercent };
}

function portOf(slot: number): TargetPort {
  return { relativePort: slot + 1, portGroup: slot + 1 };
}

function directoryOf(corelet: CoreletHandle, slot: number, portals: IscsiDoorOptions['portals']): TargetDirectory {
  const { rules } = corelet;
  return {
    groupTag: slot + 1,
    async volumesFor(initiator) {
      const names = await rules.namesFor(initiator);
      return names === 'RETRYABLE' ? 'retry' : names;
    },
    async access(volume, initiator): Promise<TargetAccess> {
      const access = await rules.rules(volume);
      if (access === 'NOT_FOUND') return { kind: 'notFound' };
      if (access === 'RETRYABLE') return { kind: 'retry' };
      return mayUse(access, initiator) ? { kind: 'granted', chap: access.chap } : { kind: 'forbidden' };
    },
    otherPortals(): readonly Portal[] {
      const others = portals().filter((portal) => portal.slot !== slot);
      return others.map(({ slot: other, address }) => ({ address, groupTag: other + 1 }));
    },
  };
}
