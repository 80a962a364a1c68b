/** What the hosts of a run do (workload.ts). */
export interface WorkloadOptions {
  readonly volume: string;
  readonly hosts: number;
  /** Operations that each host has under way at once. */
  readonly queueDepth: number;
  /** All hosts together. */
  readonly operations: number;
  readonly thinkMs: number; // mean, between an answer and the next operation
  /** A host that waits longer goes on without the answer; if it still comes, it counts. */
  readonly patienceMs: number;
  /** For how long a command may still take effect after its host sent it; absent: for ever. Less than `patienceMs`. */
  readonly effectMsMax?: number;
  /** Share of operations that compare before they write, or write one pattern many times. */
  readonly rareShare?: number;
}
