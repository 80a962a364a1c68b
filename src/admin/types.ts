import type { CoreletStatus, VolumeInfo } from '../corelet/types.ts';
import type { EventRecord } from '../ports/events.ts';

/** Shapes of the admin API's answers; docs/operating/api.md tells their meaning. `GET /api/status` answers a CoreletStatus. */
export interface AnsweredBy {
  readonly id: string;
  readonly slot: number;
}

export interface VolumesAnswer {
  readonly schemaVersion: 1;
  readonly volumes: readonly VolumeInfo[];
}

export interface EventsAnswer {
  readonly schemaVersion: 1;
  readonly answeredBy: AnsweredBy;
  /** Oldest first. */
  readonly events: readonly EventRecord[];
}

/** Where else the same answers are given: the page goes on there when its Corelet dies. */
export interface ChassisAnswer {
  readonly schemaVersion: 1;
  readonly answeredBy: AnsweredBy;
  readonly slots: readonly {
    readonly slot: number;
    readonly admin: string;
    readonly nbd: string;
    readonly iscsi: string;
    readonly nvme: string;
  }[];
}

/** What the answering Corelet scrubs, or scrubbed last. */
export interface ScrubAnswer {
  readonly schemaVersion: 1;
  readonly answeredBy: AnsweredBy;
  readonly scrub: CoreletStatus['scrub'] | null;
}

/** A host that is connected to the Corelet that answers. */
export interface SessionAnswer {
  readonly protocol: string;
  /** null: it only asks what there is. */
  readonly volume: string | null;
  readonly host: string;
  /** What tells sessions of one host apart. */
  readonly session: string;
  readonly from: string;
  readonly to: string;
  readonly sinceWallMs: number;
  readonly commands: number;
  readonly negotiated: Readonly<Record<string, string | number | boolean>>;
}

export interface SessionsAnswer {
  readonly schemaVersion: 1;
  readonly answeredBy: AnsweredBy;
  readonly sessions: readonly SessionAnswer[];
}

export interface VersionAnswer {
  readonly schemaVersion: 1;
  readonly version: string;
  readonly runtime: string;
}

export type { CoreletStatus, EventRecord, VolumeInfo };
export type { ArcsStatus, SlotStatus } from '../corelet/types.ts';
