/** One thing that fio can measure: started fresh for a repetition, ended after it. */
export interface StoreUnderTest {
  readonly uri: string;
  /** Every process that works for it: their CPU time is counted. */
  readonly pids: readonly number[];
  /** Resident memory of each at rest, before the first job, in bytes. */
  readonly residentBytes: readonly number[];
  stop(): Promise<void>;
}

export interface StoreKind {
  readonly name: string;
  readonly version: string;
  start(sizeBytes: number): Promise<StoreUnderTest>;
}
