import { parseOptions } from '../options.ts';
import type { SimOptions } from '../options.ts';

const few = '--slots 5 --arcs 4 --volume 4MiB';
const one = '--slots 3 --arcs 1 --volume 4MiB';
const processes = 'crash,power-loss,pause,flap';
const links = 'cut-one-way,partition,slow-flash,slow-link,message-loss,disorder';

/** Options of `npm run sim` under which faults show: what they need happens more often than in a usual run. */
const profiles: Readonly<Record<string, string>> = {
  /** Few arcs and many faults: the same few replicas are hit again and again. */
  hot: `${few} --ops 1500 --faults-per-second 20 --virtual-seconds 20 --faults ${processes},${links}`,
  /** The power goes, again and again, while flashes are slow. */
  power: `${one} --hosts 6 --ops 1500 --faults-per-second 12 --virtual-seconds 20 --faults crash,power-loss,slow-flash`,
  /** Messages get lost, and answers with them: much is asked again. All hosts use the same blocks. */
  retries: `${one} --hosts 10 --ops 3000 --faults-per-second 10 --virtual-seconds 10 --faults message-loss,slow-link,pause`,
  /** A leader is heard and hears nothing, or speaks into the void. */
  deaf: `${few} --hosts 8 --ops 2000 --faults-per-second 20 --virtual-seconds 15 --faults cut-one-way,partition,flap-link`,
  /** Corelets sleep: what they say when they wake is old. */
  sleepy: `${few} --hosts 6 --ops 4000 --faults-per-second 8 --virtual-seconds 20 --faults pause,reconfigure`,
  /** Modules are pulled and blank ones come: configurations change all the time. */
  moving: `${few} --ops 100000 --faults-per-second 8 --virtual-seconds 12 --faults blank,crash,pause,partition,message-loss,reconfigure`,
  /** What lies on the flash turns bad, so often that some of it is there when the faults stop, and nobody has read it. */
  rotten: `${few} --ops 1500 --faults-per-second 60 --virtual-seconds 6 --faults rot-data`,
  rot: `${few} --ops 2500 --faults-per-second 12 --virtual-seconds 15 --faults rot-data,crash`,
};

/** What a profile means. @throws Error for a name that isn't one. */
export function profileOptions(name: string): SimOptions {
  const args = profiles[name];
  if (args === undefined) throw new Error(`no such profile: ${name}`);
  const options = parseOptions(args.split(' '));
  if (typeof options === 'string') throw new Error(`profile ${name}: ${options}`);
  return options;
}
