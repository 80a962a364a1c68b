/** One decision or observation, kept so that `corelet why` can tell it. Plain data, JSON-safe. */
export interface EventRecord {
  readonly atWallMs: number;
  /** Dotted, from the table in docs: `liveness.lapsed`, `view.changed`, `arc.replica-added` … */
  readonly kind: string;
  /** Who this is about, where it applies. */
  readonly slot?: number;
  readonly corelet?: string;
  readonly arc?: number;
  readonly volume?: string;
  /** One plain sentence. */
  readonly text: string;
  readonly data?: Readonly<Record<string, string | number | boolean | readonly (string | number)[]>>;
}

export interface Events {
  record(event: Omit<EventRecord, 'atWallMs'>): void;
}
