import type { BlockDevice, VolumeCatalog } from '../../volume/block-device.ts';
import { isRegistered, type Reservations } from '../../volume/reservations.ts';
import { senseCodes } from '../../wire/scsi/codes.ts';
import type { CopyTarget } from '../../wire/scsi/copy.ts';
import type { ControlSettings } from '../../wire/scsi/mode.ts';
import type { CommandNexus } from './command.ts';
import { unitDesignators } from './identity.ts';
import { standardSettings } from './modes.ts';
import type { PortGroupState, TargetPort, TaskLoss } from './types.ts';

/** A nexus as the unit sees it. */
export interface UnitNexus {
  readonly registrant: string;
  attention(code: number): void;
  /** What the reservations are now, by somebody else's doing. */
  learned(state: Reservations): void;
  abortTasks(loss: TaskLoss): Promise<void>;
}

export interface UnitOptions {
  readonly catalog: VolumeCatalog;
  readonly port: TargetPort;
  readonly portGroups: () => readonly PortGroupState[];
  readonly targetName: string;
  /** Its last nexus has gone, and nothing that it was told to be is left of it. */
  readonly emptied: () => void;
}

/** A volume at this Corelet: what its nexuses here have in common. */
export class Unit {
  readonly port: TargetPort;
  readonly targetName: string;
  readonly portGroups: () => readonly PortGroupState[];
  readonly #catalog: VolumeCatalog;
  readonly #emptied: () => void;
  readonly #nexuses = new Set<UnitNexus>();
  #settings: ControlSettings = standardSettings;

  constructor(options: UnitOptions) {
    this.port = options.port;
    this.targetName = options.targetName;
    this.portGroups = options.portGroups;
    this.#catalog = options.catalog;
    this.#emptied = options.emptied;
  }

  get settings(): ControlSettings {
    return this.#settings;
  }

  get nexuses(): number {
    return this.#nexuses.size;
  }

  join(nexus: UnitNexus): void {
    this.#nexuses.add(nexus);
  }

  leave(nexus: UnitNexus): void {
    this.#nexuses.delete(nexus);
    if (this.#nexuses.size === 0 && this.#settings === standardSettings) this.#emptied();
  }

  /** MODE SELECT by one is news for all others (SPC-4 §6.9). */
  change(settings: ControlSettings, by: CommandNexus): void {
    const { descriptorSense, writeProtected } = this.#settings;
    if (settings.descriptorSense === descriptorSense && settings.writeProtected === writeProtected) return;
    const isStandard = !settings.descriptorSense && !settings.writeProtected;
    this.#settings = isStandard ? standardSettings : settings;
    this.tellOthers(by.registrant, senseCodes.modeParametersChanged);
  }

  tellOthers(registrant: string, code: number): void {
    for (const nexus of this.#nexuses) if (nexus.registrant !== registrant) nexus.attention(code);
  }

  tellAll(code: number): void {
    for (const nexus of this.#nexuses) nexus.attention(code);
  }

  /** Every nexus here knows what the reservations are now. */
  learned(state: Reservations): void {
    for (const nexus of this.#nexuses) nexus.learned(state);
  }

  /** Settles when the tasks of every nexus here are over. */
  async abortAll(loss: TaskLoss): Promise<void> {
    await Promise.all(Array.from(this.#nexuses, (nexus) => nexus.abortTasks(loss)));
  }

  /** The other nexuses here hear at once; those of other Corelets when their epoch is refused. `aborts`: the tasks of whoever was preempted are over. */
  async reservationsChanged(
    before: Reservations,
    after: Reservations,
    registrant: string,
    aborts: boolean,
  ): Promise<void> {
    const losers: UnitNexus[] = [];
    for (const nexus of this.#nexuses) {
      if (nexus.registrant === registrant) continue;
      nexus.learned(after);
      if (isRegistered(before, nexus.registrant) && !isRegistered(after, nexus.registrant)) losers.push(nexus);
    }
    if (aborts) await Promise.all(losers.map((nexus) => nexus.abortTasks('preempted')));
  }

  /** The volume that a designator names, for this initiator: `own`, or one to be closed afterwards. */
  async deviceOf(target: CopyTarget, own: BlockDevice, nexus: CommandNexus): Promise<BlockDevice | undefined> {
    if (isNamedBy(target, own.id)) return own;
    const volumes = await this.#catalog.list();
    const named = volumes.find(({ id }) => isNamedBy(target, id));
    if (named === undefined) return undefined;
    const device = await this.#catalog.open(named.name, nexus.initiatorName, nexus.registrant);
    return typeof device === 'string' ? undefined : device;
  }
}

function isNamedBy({ codeSet, type, designator }: CopyTarget, volume: BlockDevice['id']): boolean {
  return unitDesignators(volume).some(
    (known) =>
      ((known[0] as number) & 0x0f) === codeSet &&
      ((known[1] as number) & 0x0f) === type &&
      known.length - 4 === designator.length &&
      designator.every((byte, i) => byte === known[4 + i]),
  );
}
