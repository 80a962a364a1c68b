import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { readChassis } from '../chassis/chassis-file.ts';
import { defaultDataFolder } from './client.ts';
import { connectLines } from './connect-lines.ts';

/** How to go on, then the line beginning `ready` that scripts wait for. */
export function announce(dir: string, volume: string): void {
  const read = readChassis(dir);
  if (!read.ok) return;
  const { slots } = read.chassis;
  const taken = slots.filter((slot) => slot.pid !== null);
  const first = taken[0];
  if (first === undefined) return;
  const uri = `nbd://${first.nbd}/${volume}`;
  const last = slots[slots.length - 1];
  const [nbd, iscsi, nvme] = connectLines(first, volume);
  const where = dir === resolve(defaultDataFolder) ? '' : ` --data ${dir}`;
  const command = process.env['CORELET_COMMAND'] ?? 'corelet';
  const example = Math.min(3, slots.length - 1);
  const rows = [
    ['Page', `${first.admin}/ (any slot: up to ${last?.admin}/)`],
    ['Connect', nbd],
    ['', iscsi],
    ['', nvme],
    ['', `nbdfuse mnt/ ${uri}   (then: mke2fs, fuse2fs on mnt/nbd)`],
    [
      '',
      `any slot serves it: 127.0.0.1, ports ${read.chassis.nbdPort} (NBD), ${read.chassis.iscsiPort} (iSCSI), ${read.chassis.nvmePort} (NVMe/TCP), and the ${slots.length - 1} after each`,
    ],
    ['Pull', `${command} slot pull ${example}${where}`],
    ['Watch', `${command} status --watch${where}`],
    ['', `${command} why ${example}${where}`],
    ['Stop', 'Ctrl-C; the data stays in the folder'],
  ];
  for (const [name, text] of rows) process.stdout.write(`${(name ?? '').padEnd(8)} ${text}\n`);
  process.stdout.write(`ready: volume ${volume}, ${taken.length} Corelets, ${first.admin}\n`);
}

/** Where somebody sits before a display; else the address that was printed does. */
export function openPage(dir: string): void {
  const { DISPLAY, WAYLAND_DISPLAY, CI } = process.env;
  const seen =
    process.stdout.isTTY === true && (DISPLAY !== undefined || WAYLAND_DISPLAY !== undefined) && CI === undefined;
  const read = readChassis(dir);
  const page = read.ok ? read.chassis.slots.find((slot) => slot.pid !== null)?.admin : undefined;
  if (!seen || page === undefined) return;
  const browser = spawn('xdg-open', [`${page}/`], { detached: true, stdio: 'ignore' });
  browser.on('error', () => undefined);
  browser.unref();
}
