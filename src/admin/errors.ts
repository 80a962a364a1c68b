/**
 * Every error that a user can meet, in one table: the HTTP API's codes, the command line's exit codes, and docs/errors.md,
 * which is made from it.
 */
export interface ErrorEntry {
  /** The API's HTTP status; undefined where only the command line meets it. */
  readonly status?: number;
  /** The command line's exit code. */
  readonly exit: number;
  readonly meaning: string;
  /** What to do or which command to try. */
  readonly next: string;
}

/** Exit codes of every command. */
export const exitCodes = { done: 0, failed: 1, usage: 2, notFound: 3, unsafe: 4, timedOut: 5, conflict: 6 } as const;
const { failed, usage, notFound, unsafe, timedOut, conflict } = exitCodes;

const entry = (exit: number, meaning: string, next: string, status?: number): ErrorEntry =>
  status === undefined ? { exit, meaning, next } : { exit, meaning, next, status };

export const errorTable = {
  // The API, before it looks at what is asked.
  BAD_REQUEST: entry(
    usage,
    'The request is not what the route expects.',
    'see the route in docs/operating/api.md',
    400,
  ),
  BAD_HOST: entry(
    failed,
    "The request's Host is not this machine's own: a page of another origin may have sent it.",
    'use the address that the Corelet listens on',
    403,
  ),
  ROUTE_NOT_FOUND: entry(notFound, 'The API has no such route.', 'see docs/operating/api.md', 404),
  METHOD_NOT_ALLOWED: entry(usage, 'The route exists, but not with this method.', 'see docs/operating/api.md', 405),
  BODY_TOO_LARGE: entry(usage, 'The request body is larger than 64 KiB.', 'send less', 413),
  NOT_JSON: entry(
    usage,
    'A change must have Content-Type application/json and a JSON body.',
    'set the Content-Type header',
    415,
  ),
  INTERNAL: entry(
    failed,
    'The Corelet failed while it answered.',
    "look into the slot's log and ask another Corelet",
    500,
  ),
  // Volumes.
  VOLUME_NOT_FOUND: entry(notFound, 'There is no volume with this name.', 'corelet volume list', 404),
  VOLUME_EXISTS: entry(
    conflict,
    'A volume with this name exists.',
    'choose another name, or: corelet volume list',
    409,
  ),
  VOLUME_INVALID: entry(
    usage,
    'The name, size or number of copies is not possible.',
    'corelet volume create --help',
    400,
  ),
  TOO_FEW_CORELETS: entry(
    unsafe,
    'Fewer Corelets are live than the volume wants copies.',
    'corelet status, then insert what is missing',
    503,
  ),
  UNAVAILABLE: entry(
    unsafe,
    'The arcs concerned have no leader now: too many of their copies are away.',
    'corelet status, then insert what is missing',
    503,
  ),
  // The command line.
  USAGE: entry(usage, 'An unknown command or option, or one that is missing.', 'corelet help'),
  BAD_SIZE: entry(usage, 'Not a size.', 'write it like 256MiB, 1GiB or 1073741824'),
  NO_CHASSIS: entry(
    notFound,
    'There is no chassis in the data folder.',
    'corelet demo, or name the folder with --data',
  ),
  FOLDER_FOREIGN: entry(
    conflict,
    'The data folder holds something that is not a chassis.',
    'name an empty or a new folder with --data',
  ),
  FOLDER_VERSION: entry(
    conflict,
    'The data folder was written by another version.',
    'use the version that wrote it, or a new folder with --data',
  ),
  FOLDER_DAMAGED: entry(
    conflict,
    "The data folder's chassis.json is damaged.",
    'restore chassis.json; the flash files were not touched',
  ),
  FOLDER_MISMATCH: entry(
    conflict,
    'The data folder holds a chassis made with other options.',
    'leave the option out, or name a new folder with --data',
  ),
  FOLDER_BUSY: entry(conflict, 'Another command is working on the same chassis.', 'wait for it, then try again'),
  PORT_IN_USE: entry(
    conflict,
    'Another program listens on a port that a slot needs.',
    'choose others with --nbd-port, --iscsi-port, --nvme-port, --nvme-discovery-port and --admin-port',
  ),
  ARC_NOT_FOUND: entry(notFound, 'The chassis has no such arc.', 'corelet status', 404),
  SLOT_NOT_FOUND: entry(notFound, 'The chassis has no such slot.', 'corelet status', 404),
  SLOT_EMPTY: entry(notFound, 'The slot is empty.', 'corelet slot insert N'),
  SLOT_TAKEN: entry(conflict, 'A Corelet runs in the slot.', 'corelet slot pull N first'),
  NOT_SAFE: entry(
    unsafe,
    'Pulling this module now may make data unavailable, or nobody could say that it is safe.',
    'wait for corelet status to say yes, or --force',
  ),
  NOT_CONFIRMED: entry(
    unsafe,
    'The command destroys data and nobody confirmed it.',
    'repeat the name with --confirm NAME',
  ),
  DEGRADED: entry(unsafe, 'Not every arc has all its copies (status --exit-code).', 'corelet status, corelet why SLOT'),
  NOBODY_ANSWERS: entry(failed, 'No Corelet of the chassis answered.', 'corelet demo, or name a live one with --admin'),
  TIMED_OUT: entry(
    timedOut,
    'No answer in time; a change may have happened all the same.',
    'look with corelet status or corelet volume list, then try again',
  ),
  DEVICE: entry(
    failed,
    "The Corelet's flash file can't be opened or is not this chassis's.",
    "look into the slot's log",
  ),
  DEVICE_NOT_FOUND: entry(notFound, 'There is no file or block device with this name.', 'look at the path'),
  DEVICE_IN_USE: entry(
    conflict,
    'Another program has the device, or it is mounted, swap space or part of another device.',
    'stop that Corelet, or unmount the device; or name another one',
  ),
  DEVICE_BLANK: entry(conflict, 'The device is blank: no Corelet was ever made on it.', 'corelet slot insert --help'),
  DEVICE_FOREIGN: entry(
    conflict,
    "The device holds something else's data, or another Corelet's.",
    'name another device; what this one holds was not touched',
  ),
  DEVICE_VERSION: entry(
    conflict,
    'The device was written in another version of the store format.',
    'use the version that wrote it; what it holds was not touched',
  ),
  DEVICE_DAMAGED: entry(
    failed,
    "The device is a Corelet's, but it can't be told which: no copy of its superblock is whole, or it got smaller.",
    'corelet slot insert N --blank; the other Corelets hold copies',
  ),
  FAILED: entry(
    failed,
    'Something unexpected; the message says what.',
    'try again; if it stays, report it with the message',
  ),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorTable;

/** What the API answers instead of a result. */
export interface ApiError {
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly next: string };
}

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorTable, code);
}

/** docs/errors.md. */
export function errorsPage(): string {
  const exits = Object.entries(exitCodes).map(
    ([name, code]) => `${code} ${name.replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`)}`,
  );
  const lines = [
    '# Errors',
    '',
    'Made from `src/admin/errors.ts` by `node src/admin/errors-page.ts`; a test compares the two.',
    '',
  ];
  lines.push(
    `Exit codes: ${exits.join(', ')}.`,
    '',
    '| code | HTTP | exit | meaning | what to do |',
    '|---|---|---|---|---|',
  );
  for (const [code, one] of Object.entries<ErrorEntry>(errorTable)) {
    lines.push(`| \`${code}\` | ${one.status ?? ''} | ${one.exit} | ${one.meaning} | ${one.next} |`);
  }
  return `${lines.join('\n')}\n`;
}
