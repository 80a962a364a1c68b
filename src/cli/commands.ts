import type { CommandSpec, OptionSpec } from './command.ts';

const data: OptionSpec = { type: 'string', value: 'DIR', help: 'data folder of the chassis (default ./corelet-data)' };
const admin: OptionSpec = {
  type: 'string',
  value: 'URL',
  help: 'admin address of any live Corelet (default: CORELET_ADMIN, else chassis.json in --data)',
};
const json: OptionSpec = { type: 'boolean', help: 'one JSON object instead of text' };
const dryRun: OptionSpec = { type: 'boolean', help: 'say what would happen, change nothing' };
const timeout: OptionSpec = { type: 'string', value: 'SECONDS', help: 'give up after this time (default 10)' };
const noColor: OptionSpec = { type: 'boolean', help: 'no colour, as with NO_COLOR' };
const reach = { data, admin, timeout };

/** Every command. Their code is loaded only when one runs. */
export const commands: readonly CommandSpec[] = [
  {
    name: 'demo',
    summary: 'Runs a chassis of Corelets on this machine and serves a volume. Ctrl-C stops it; the data stays.',
    arguments: [],
    options: {
      slots: { type: 'string', value: 'N', help: 'slots, 1 to 64 (default 24)' },
      spares: { type: 'string', value: 'N', help: 'how many of them, the last ones, stand by as spares (default 0)' },
      data,
      volume: { type: 'string', value: 'NAME:SIZE', help: 'volume to make at the first start (default demo:1GiB)' },
      copies: { type: 'string', value: 'N', help: 'copies of every block, 1 to 7 (default 3)' },
      flash: {
        type: 'string',
        value: 'SIZE',
        help: 'size of each flash file, sparse (default: ample for the volume, at least 8GiB)',
      },
      device: {
        type: 'string',
        value: 'PATH',
        multiple: true,
        help: 'a blank block device in place of a file, for slot 0, 1 … as often as given (first start)',
      },
      'nbd-port': { type: 'string', value: 'PORT', help: 'slot n serves NBD at PORT+n (default 10809)' },
      'iscsi-port': { type: 'string', value: 'PORT', help: 'slot n serves iSCSI at PORT+n (default 3260)' },
      'nvme-port': { type: 'string', value: 'PORT', help: 'slot n serves NVMe/TCP at PORT+n (default 4420)' },
      'nvme-discovery-port': {
        type: 'string',
        value: 'PORT',
        help: 'slot n answers NVMe/TCP discovery at PORT+n (default 8009)',
      },
      'admin-port': { type: 'string', value: 'PORT', help: 'slot n answers the admin API at PORT+n (default 7400)' },
      'no-open': { type: 'boolean', help: "don't open the status page in a browser" },
      'dry-run': dryRun,
    },
    examples: [
      'corelet demo',
      'corelet demo --slots 3 --device /dev/nvme1n1 --device /dev/nvme2n1 --device /dev/nvme3n1',
      'corelet demo --slots 6 --data /srv/chassis --volume demo:256MiB --nbd-port 10809 --admin-port 7400',
    ],
    load: () => import('./demo.ts'),
  },
  {
    name: 'status',
    summary: 'Shows slots, arcs, rebuild progress and how much may still fail.',
    arguments: [],
    options: {
      ...reach,
      json,
      watch: { type: 'boolean', help: 'again every second until interrupted (with --json: one line each)' },
      'exit-code': { type: 'boolean', help: 'exit 4 unless every arc has all its copies' },
      'no-color': noColor,
    },
    examples: [
      'corelet status',
      'corelet status --json --data /srv/chassis',
      'corelet status --exit-code >/dev/null || mail -s degraded ops',
    ],
    load: () => import('./status.ts'),
  },
  {
    name: 'slot pull',
    summary: 'Draws the module out of a slot: its process is killed at once. Refused unless safe, or with --force.',
    arguments: ['SLOT'],
    options: {
      ...reach,
      force: { type: 'boolean', help: 'even when it is not safe, or nobody can say' },
      'dry-run': dryRun,
      json,
    },
    examples: ['corelet slot pull 3', 'corelet slot pull 3 --dry-run'],
    load: () => import('./slot-pull.ts'),
  },
  {
    name: 'slot insert',
    summary: 'Puts the same module back into an empty slot, or a blank one with a new id.',
    arguments: ['SLOT'],
    options: {
      data,
      blank: { type: 'boolean', help: 'a new, empty module with a new id' },
      discard: { type: 'boolean', help: "with --blank: delete the old module's flash file, which is kept otherwise" },
      device: {
        type: 'string',
        value: 'PATH',
        help: 'with --blank: a block device, in place of a file; refused unless it is blank',
      },
      overwrite: { type: 'boolean', help: 'with --device: even if it holds data, which is destroyed' },
      confirm: {
        type: 'string',
        value: 'NAME',
        help: 'confirms without asking: the number of the slot for --discard, the device for --overwrite',
      },
      'dry-run': dryRun,
      json,
    },
    examples: [
      'corelet slot insert 3',
      'corelet slot insert 3 --blank',
      'corelet slot insert 3 --blank --discard --confirm 3',
      'corelet slot insert 3 --blank --device /dev/disk/by-id/nvme-MODEL_SERIAL',
    ],
    load: () => import('./slot-insert.ts'),
  },
  {
    name: 'slot drain',
    summary:
      'Moves every copy off a slot, redundancy never drops; then says that it may be drawn. --undo takes it back.',
    arguments: ['SLOT'],
    options: {
      ...reach,
      undo: { type: 'boolean', help: 'the slot holds copies again' },
      wait: { type: 'string', value: 'SECONDS', help: 'wait for the end so long (default 86400); 0: only ask' },
      'dry-run': dryRun,
      json,
    },
    examples: ['corelet slot drain 3 --dry-run', 'corelet slot drain 3', 'corelet slot drain 3 --undo'],
    load: () => import('./slot-drain.ts'),
  },
  {
    name: 'slot slow',
    summary: 'Makes the flash in a slot answer so many times slower, to try what the others make of it; 1: as it is.',
    arguments: ['SLOT', 'FACTOR'],
    options: { data, 'dry-run': dryRun, json },
    examples: ['corelet slot slow 5 10', 'corelet slot slow 5 1'],
    load: () => import('./slot-slow.ts'),
  },
  {
    name: 'chassis fail',
    summary:
      'A part of the simulated chassis fails: psu 1 or 2, fan 1 to 4, heat in °C. Corelets see it as their health.',
    arguments: ['PART', 'NUMBER'],
    options: {
      data,
      mend: { type: 'boolean', help: 'the part works again; with heat: the air is cool again' },
      force: { type: 'boolean', help: 'even when no supply is left: every Corelet says so, and goes' },
      'dry-run': dryRun,
      json,
    },
    examples: ['corelet chassis fail psu 1', 'corelet chassis fail fan 2 --mend', 'corelet chassis fail heat 70'],
    load: () => import('./chassis-fail.ts'),
  },
  {
    name: 'scrub now',
    summary:
      'Every Corelet reads and checks all copies that it holds, compares them with the others, repairs what is bad.',
    arguments: [],
    optionalArguments: ['VOLUME'],
    options: {
      ...reach,
      wait: { type: 'string', value: 'SECONDS', help: 'wait for the end so long (default 86400); 0: only begin' },
      json,
    },
    examples: ['corelet scrub now', 'corelet scrub now photos --json'],
    load: () => import('./scrub-now.ts'),
  },
  {
    name: 'volume create',
    summary: 'Creates a volume. Every Corelet serves it at once.',
    arguments: ['NAME', 'SIZE'],
    options: {
      ...reach,
      copies: { type: 'string', value: 'N', help: 'copies of every block (default 3)' },
      'dry-run': dryRun,
      json,
    },
    examples: ['corelet volume create photos 20GiB'],
    load: () => import('./volume-create.ts'),
  },
  {
    name: 'volume list',
    summary: 'Lists the volumes.',
    arguments: [],
    options: { ...reach, json },
    examples: ['corelet volume list'],
    load: () => import('./volume-list.ts'),
  },
  {
    name: 'volume show',
    summary: 'Shows one volume and how to connect to it.',
    arguments: ['NAME'],
    options: { ...reach, json },
    examples: ['corelet volume show demo'],
    load: () => import('./volume-show.ts'),
  },
  {
    name: 'volume delete',
    summary: 'Deletes a volume and all that it holds. Asks for the name, or takes --confirm NAME.',
    arguments: ['NAME'],
    options: {
      ...reach,
      confirm: { type: 'string', value: 'NAME', help: 'confirms without asking: the name once more' },
      'dry-run': dryRun,
      json,
    },
    examples: ['corelet volume delete photos', 'corelet volume delete photos --confirm photos'],
    load: () => import('./volume-delete.ts'),
  },
  {
    name: 'volume access',
    summary: 'Shows or changes who may use a volume. Changes hold everywhere when the command ends.',
    arguments: ['NAME'],
    options: {
      ...reach,
      host: {
        type: 'string',
        value: 'NAME',
        multiple: true,
        help: 'only hosts of these names (iSCSI initiator names, NVMe host NQNs); may be repeated',
      },
      'any-host': { type: 'boolean', help: 'hosts of any name, and those without one (NBD)' },
      'read-only': { type: 'boolean', help: 'nobody may write' },
      'read-write': { type: 'boolean', help: 'hosts may write' },
      'chap-name': { type: 'string', value: 'NAME', help: 'iSCSI initiators prove by CHAP that they are NAME' },
      'key-file': { type: 'string', value: 'FILE', help: 'the secret behind --chap-name, 12 to 255 bytes' },
      'target-chap-name': { type: 'string', value: 'NAME', help: 'and the target, to who asks (mutual CHAP)' },
      'target-key-file': { type: 'string', value: 'FILE', help: 'the secret behind --target-chap-name' },
      'no-chap': { type: 'boolean', help: 'no proof is asked for any more' },
      'dry-run': dryRun,
      json,
    },
    examples: [
      'corelet volume access demo',
      'corelet volume access demo --host iqn.1994-05.com.redhat:web1 --chap-name web1 --key-file web1.key',
      'corelet volume access demo --any-host --no-chap',
    ],
    load: () => import('./volume-access.ts'),
  },
  {
    name: 'sessions',
    summary: 'Lists the hosts that are connected: to which Corelet, from where, with what negotiated.',
    arguments: [],
    options: { ...reach, json },
    examples: ['corelet sessions', 'corelet sessions --json'],
    load: () => import('./sessions.ts'),
  },
  {
    name: 'why',
    summary:
      'Tells what was seen, decided, moved and verified about a slot or an arc, as every live Corelet remembers it.',
    arguments: ['SLOT'],
    optionalArguments: ['ARC'],
    options: { ...reach, limit: { type: 'string', value: 'N', help: 'the newest N events (default 2000)' }, json },
    examples: ['corelet why 3', 'corelet why 3 --json', 'corelet why arc 17'],
    load: () => import('./why.ts'),
  },
  {
    name: 'events',
    summary: 'Prints what all live Corelets saw and decided, oldest first; --follow goes on until interrupted.',
    arguments: [],
    options: {
      ...reach,
      follow: { type: 'boolean', help: 'what comes, as it comes' },
      limit: { type: 'string', value: 'N', help: 'the newest N events to begin with (default 50)' },
      json: { type: 'boolean', help: 'one JSON object a line' },
    },
    examples: ['corelet events --follow', 'corelet events --limit 500 --json'],
    load: () => import('./events.ts'),
  },
  {
    name: 'run',
    summary: 'Runs one Corelet on one device: what a chassis starts in each slot.',
    arguments: [],
    options: {
      device: {
        type: 'string',
        value: 'PATH',
        help: 'its flash: a file or block device that a chassis made a module of',
      },
      slot: { type: 'string', value: 'N', help: 'the slot that it sits in' },
      fabric: { type: 'string', value: 'ADDRESS', help: 'unix:PATH or tcp:HOST:PORT, for the other Corelets' },
      nbd: { type: 'string', value: 'HOST:PORT', help: 'where it serves NBD' },
      iscsi: { type: 'string', value: 'HOST:PORT', help: 'where it serves iSCSI (default: nowhere)' },
      nvme: { type: 'string', value: 'HOST:PORT', help: 'where it serves NVMe/TCP (default: nowhere)' },
      'nvme-discovery': {
        type: 'string',
        value: 'HOST:PORT',
        help: 'where it answers NVMe/TCP discovery (default: nowhere)',
      },
      admin: { type: 'string', value: 'HOST:PORT', help: 'where it answers the admin API and the page' },
      role: { type: 'string', value: 'ROLE', help: 'active (default) or spare' },
      weight: { type: 'string', value: 'N', help: 'capacity relative to the others, 1 to 1000 (default 1)' },
      zone: { type: 'string', value: 'NAME', help: 'failure domain (default: the slot)' },
      'map-memory': {
        type: 'string',
        value: 'SIZE',
        help: 'memory for pages of the block map; the rest stays on the device (default 64MiB)',
      },
      chassis: {
        type: 'string',
        value: 'FILE',
        help: 'chassis.json: whom a blank module asks for admission, and where the others answer',
      },
      seed: {
        type: 'string',
        value: 'ID@ADDRESS',
        multiple: true,
        help: 'a Corelet to ask for admission; may be repeated',
      },
    },
    examples: [
      'corelet run --device slots/3/flash.img --slot 3 --fabric unix:fabric/3.sock --nbd 127.0.0.1:10812 --admin 127.0.0.1:7403',
    ],
    load: () => import('./run.ts'),
  },
  {
    name: 'device inspect',
    summary:
      'Reads a device, changes nothing: whose it is, what its segments hold, whether every record is whole. Exits with 4 when something is bad.',
    arguments: ['PATH'],
    options: {
      segments: { type: 'boolean', help: 'a line for every segment: use, live share, how often used, age' },
      limit: { type: 'string', value: 'N', help: 'bad places to list, 0 to 1000 (default 20; with --json all 1000)' },
      json,
    },
    examples: [
      'corelet device inspect corelet-data/slots/3/flash.img',
      'corelet device inspect /dev/nvme1n1 --segments',
      'corelet device inspect corelet-data/slots/3/flash.img --json >report.json || echo bad',
    ],
    load: () => import('./device-inspect.ts'),
  },
  {
    name: 'version',
    summary: 'Prints the versions of Corelet and of its runtime.',
    arguments: [],
    options: { json },
    examples: ['corelet version'],
    load: () => import('./version.ts'),
  },
];
