import { joined } from '../../base/bytes.ts';
import { doNotRetry, features, noticeBits, statuses } from '../../wire/nvme/codes.ts';
import type { Command } from './command.ts';
import type { Controller } from './controller.ts';

const hostBehaviourBytes = 512;
const hostIdBytes = 16;
/** Composite temperature, over: 70 °C, as identify says. */
const temperatureDefault = 343;

/** `data` or `value`: of the feature. */
export type FeatureResult =
  | { readonly ok: true; readonly value: number; readonly data?: Uint8Array }
  | { readonly ok: false; readonly status: number };

const unknown: FeatureResult = { ok: false, status: statuses.invalidField | doNotRetry };
const notChangeable: FeatureResult = { ok: false, status: statuses.featureNotChangeable | doNotRetry };

function value(number: number): FeatureResult {
  return { ok: true, value: number };
}

/** Bytes that Set Features takes, or Get Features gives, for a feature. */
export function featureDataBytes(feature: number, isSet: boolean): number {
  if (feature === features.hostBehaviour) return hostBehaviourBytes;
  return feature === features.hostId && !isSet ? hostIdBytes : 0;
}

const inBoth: readonly number[] = [features.asyncEvents, features.keepAlive, features.hostId];

/** Features of one controller (base §5.27). Nothing of them is kept when it ends. */
export class FeatureValues {
  readonly #controller: Controller;
  /** Those that are only kept and told. */
  readonly #kept = new Map<number, number>([
    [features.arbitration, 0],
    [features.power, 0],
    [features.temperature, temperatureDefault],
    [features.errorRecovery, 0],
    [features.writeAtomicity, 0],
  ]);

  constructor(controller: Controller) {
    this.#controller = controller;
  }

  /** `select`: 0 current, 1 default, 2 saved, 3 capabilities. */
  get(feature: number, select: number, nsid: number): FeatureResult {
    const controller = this.#controller;
    if (controller.isDiscovery && !inBoth.includes(feature)) return unknown;
    if (select > 3) return unknown;
    if (select === 3) return value(feature === features.hostId || feature === features.reservationPersistence ? 0 : 4);
    switch (feature) {
      case features.queueCount: {
        const count = controller.ioQueuesGranted - 1;
        return value((count << 16) | count);
      }
      case features.asyncEvents:
        return value(controller.events.mask >>> 0);
      case features.keepAlive:
        return value(controller.katoMs);
      case features.hostId:
        return { ok: true, value: 0, data: bytesOfHex(controller.hostId) };
      case features.hostBehaviour: {
        const data = new Uint8Array(hostBehaviourBytes);
        data[0] = controller.acceptsRetryDelay ? 1 : 0;
        return { ok: true, value: 0, data };
      }
      case features.reservationPersistence:
        if (controller.device?.reservations === undefined || nsid === 0) return unknown;
        return value(1); // always through a power loss
      default: {
        const kept = this.#kept.get(feature);
        return kept === undefined ? unknown : value(kept);
      }
    }
  }

  set(command: Command): FeatureResult {
    const controller = this.#controller;
    const feature = command.cdw10 & 0xff;
    if (controller.isDiscovery && !inBoth.includes(feature)) return unknown;
    if (command.cdw10 >>> 31 === 1) return { ok: false, status: statuses.featureNotSaveable | doNotRetry };
    switch (feature) {
      case features.queueCount:
        return this.#setQueues(command.cdw11);
      case features.asyncEvents:
        return this.#setEvents(command.cdw11);
      case features.keepAlive:
        controller.setKato(command.cdw11);
        return value(0);
      case features.hostId:
      case features.reservationPersistence:
        return notChangeable;
      case features.hostBehaviour:
        controller.acceptsRetryDelay = joined(command.parts)[0] === 1;
        return value(0);
      default:
        if (!this.#kept.has(feature)) return unknown;
        if (feature === features.power && (command.cdw11 & 0x1f) !== 0) return unknown;
        this.#kept.set(feature, command.cdw11);
        return value(0);
    }
  }

  /** Counts are 0's based; FFFFh is none. Only before there are queues (base §5.27.1.5). */
  #setQueues(asked: number): FeatureResult {
    const controller = this.#controller;
    const [submission, completion] = [asked & 0xffff, asked >>> 16];
    if (submission === 0xffff || completion === 0xffff) return unknown;
    if (controller.ioQueues.size > 0) return { ok: false, status: statuses.commandSequenceError | doNotRetry };
    const granted = Math.min(submission + 1, completion + 1, controller.shared.limits.ioQueuesMax);
    controller.ioQueuesGranted = granted;
    const count = granted - 1;
    return value(((count << 16) | count) >>> 0);
  }

  #setEvents(mask: number): FeatureResult {
    const { events, isDiscovery } = this.#controller;
    const offered = isDiscovery ? noticeBits.discoveryChanged : noticeBits.namespaceChanged | noticeBits.anaChanged;
    // Critical warnings may be asked for: there is a place in the mask for them.
    if ((mask & ~(offered | 0xff)) !== 0) return unknown;
    events.mask = mask;
    return value(0);
  }
}

function bytesOfHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}
