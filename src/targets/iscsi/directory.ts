import type { ChapRules } from '../../volume/access.ts';

/** Where one Corelet answers. */
export interface Portal {
  /** `HOST:PORT`, never a wildcard. */
  readonly address: string;
  /** TargetPortalGroupTag: one per Corelet, since a session doesn't reach over two. */
  readonly groupTag: number;
}

/** What a volume says to an initiator that wants to log in. */
export type TargetAccess =
  | { readonly kind: 'granted'; readonly chap: ChapRules | undefined }
  | { readonly kind: 'forbidden' }
  | { readonly kind: 'notFound' }
  | { readonly kind: 'retry' };

/** What the target knows of volumes and of other Corelets before it has a session. */
export interface TargetDirectory {
  /** This Corelet's portal group. */
  readonly groupTag: number;
  /** Names of the volumes that the initiator may use. */
  volumesFor(initiator: string): Promise<readonly string[] | 'retry'>;
  access(volume: string, initiator: string): Promise<TargetAccess>;
  /** Of the other Corelets, as they are known now. */
  otherPortals(): readonly Portal[];
}
