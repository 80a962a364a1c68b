import type { Clock } from '../../ports/clock.ts';
import type { VolumeCatalog } from '../../volume/block-device.ts';
import { senseCodes } from '../../wire/scsi/codes.ts';
import { scsiLimits } from './limits.ts';
import { Nexus, registrantOf } from './nexus.ts';
import type { InitiatorPort, NexusListener, PortGroupState, ScsiNexus, ScsiTargets, TargetPort } from './types.ts';
import { Unit } from './unit.ts';

export interface DeviceServerOptions {
  readonly catalog: VolumeCatalog;
  readonly clock: Clock;
  /** This Corelet. */
  readonly port: TargetPort;
  /** Every Corelet's, this one's too. */
  readonly portGroups: () => readonly PortGroupState[];
  /** The iSCSI name of a volume's target. */
  readonly targetName: (volume: string) => string;
}

/** The SCSI side of one Corelet: a unit for every volume that has a nexus here. */
export class ScsiDeviceServer implements ScsiTargets {
  readonly #options: DeviceServerOptions;
  /** By volume id. */
  readonly #units = new Map<number, Unit>();

  constructor(options: DeviceServerOptions) {
    this.#options = options;
  }

  /** Paths came or went: hosts ask for the port groups anew (SPC-4 §5.15.2.7). */
  portGroupsChanged(): void {
    for (const unit of this.#units.values()) unit.tellAll(senseCodes.asymmetricAccessChanged);
  }

  async connect(
    volume: string,
    initiator: InitiatorPort,
    listener: NexusListener,
  ): Promise<ScsiNexus | 'NOT_FOUND' | 'RETRYABLE'> {
    const { catalog, clock, port, portGroups, targetName } = this.#options;
    const device = await catalog.open(volume, initiator.name, registrantOf(initiator));
    if (typeof device === 'string') return device;
    let unit = this.#units.get(device.id);
    if (unit === undefined) {
      const { id } = device;
      unit = new Unit({
        catalog,
        port,
        portGroups,
        targetName: targetName(volume),
        emptied: () => this.#units.delete(id),
      });
      this.#units.set(id, unit);
    }
    if (unit.nexuses >= scsiLimits.nexusesMax) {
      device.close();
      return 'RETRYABLE';
    }
    const nexus = new Nexus({ device, unit, clock, initiator, listener });
    // What its initiator port has registered before is known from the first command on: losing it will be news.
    await device.reservations?.state();
    return nexus;
  }
}
