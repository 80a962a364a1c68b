import { clusterSentences } from './words-cluster.ts';
import { faultSentences } from './words-faults.ts';
import { flashSentences } from './words-flash.ts';
import { hostSentences } from './words-hosts.ts';
import { reservationSentences } from './words-reservations.ts';
import { trafficSentences } from './words-traffic.ts';
import type { Sentence } from './grammar.ts';
import type { Act } from './story.ts';

/** Everything that a story can say after its opening. */
export const language: readonly Sentence<Act>[] = [
  ...hostSentences,
  ...reservationSentences,
  ...faultSentences,
  ...flashSentences,
  ...trafficSentences,
  ...clusterSentences,
];
