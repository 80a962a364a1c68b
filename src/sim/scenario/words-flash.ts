import { blockBytes } from '../../base/ids.ts';
import { mapPageMagic } from '../../store/map-page.ts';
import type { SimFlash } from '../flash.ts';
import { place, type Places, type Sentence } from './grammar.ts';
import { Unfulfilled } from './problem.ts';
import type { Stage } from './stage.ts';
import type { Act } from './story.ts';

const scanBytes = 2 ** 20;
/** A round of one slot, of virtual time. */
const scrubMsMax = 60_000;
/** Enough of a block to tell it from any other. */
const needleBytes = 64;

/** Where copies of a value lie on the medium of a slot, oldest place first. */
function findValue(flash: SimFlash, needle: Uint8Array): readonly number[] {
  const found: number[] = [];
  for (let at = 0; at < flash.sizeBytes; at += scanBytes) {
    const lengthBytes = Math.min(scanBytes + needle.length - 1, flash.sizeBytes - at);
    const bytes = Buffer.from(flash.peek(at, lengthBytes).buffer);
    for (let hit = bytes.indexOf(needle); hit >= 0; hit = bytes.indexOf(needle, hit + 1)) found.push(at + hit);
  }
  return found;
}

function rotValue(stage: Stage, places: Places): void {
  const name = place(places, 'value');
  const author = stage.hosts.history.operations[stage.value(name) - 1];
  const task = stage.hosts.asked.find(({ operation }) => operation === author);
  if (task === undefined) throw new Unfulfilled(`nobody wrote ${name}`);
  const bytes = stage.hosts.bytesOf(task.command.range, task.operation.number);
  for (const slot of stage.slotsIn(place(places, 'slots'))) {
    const { flash } = stage.medium(slot);
    const spots = findValue(flash, bytes.subarray(0, needleBytes));
    if (spots.length === 0) throw new Unfulfilled(`${name} is nowhere on the flash of slot ${slot}`);
    for (const at of spots) flash.rot(at, Math.min(blockBytes, 512));
    stage.note(`${name} rots on slot ${slot}: ${spots.length} copies`);
  }
}

/** Every page of the block map there, old ones too: what it says of its chunk can't be read any more. */
function rotMapPages(stage: Stage, slot: number): void {
  const { flash } = stage.medium(slot);
  let pages = 0;
  for (let from = 0; from < flash.sizeBytes; from += scanBytes) {
    const lengthBytes = Math.min(scanBytes, flash.sizeBytes - from);
    const view = new DataView(flash.peek(from, lengthBytes).buffer);
    for (let at = 0; at + blockBytes <= lengthBytes; at += blockBytes) {
      if (view.getUint32(at, true) !== mapPageMagic) continue;
      flash.rot(from + at, flash.sectorBytes);
      pages++;
    }
  }
  if (pages === 0) throw new Unfulfilled(`no page of the map is on the flash of slot ${slot}`);
  stage.note(`${pages} pages of the map rot on slot ${slot}`);
}

function eachSlot(act: (stage: Stage, slot: number, places: Places) => void): Act {
  return (stage, places) => {
    for (const slot of stage.slotsIn(place(places, 'slots'))) act(stage, slot, places);
  };
}

function mustBeDown(stage: Stage, slot: number): void {
  const state = stage.cluster.state(slot);
  if (state !== 'down') throw new Unfulfilled(`slot ${slot} is ${state}: only a device that nobody uses is exchanged`);
}

const disks: readonly Sentence<Act>[] = [
  {
    pattern: 'copy disk of <slot:slot> as <mark:label>',
    run: (stage, places) => {
      stage.disks.set(place(places, 'mark'), stage.medium(stage.slot(place(places, 'slot'))).flash.clone());
    },
  },
  {
    pattern: 'roll back <slot:slot> to <mark:label>',
    run: (stage, places) => {
      const slot = stage.slot(place(places, 'slot'));
      mustBeDown(stage, slot);
      stage.rollBacks.set(slot, (stage.rollBacks.get(slot) ?? 0) + 1);
      stage.medium(slot).flash = stage.disk(place(places, 'mark')).clone();
    },
  },
  {
    pattern: 'put disk <mark:label> of <from:slot> into <slot:slot>',
    run: (stage, places) => {
      const slot = stage.slot(place(places, 'slot'));
      mustBeDown(stage, slot);
      const original = stage.cluster.slot(stage.slot(place(places, 'from')));
      const target = stage.cluster.slot(slot);
      target.id = original.id;
      target.member = { ...original.member, slot, address: target.member.address };
      target.blank = undefined;
      stage.twins.add(slot);
      stage.medium(slot).flash = stage.disk(place(places, 'mark')).clone();
    },
  },
];

export const flashSentences: readonly Sentence<Act>[] = [
  {
    pattern: 'slow flash <slots:slots> x<factor:number>',
    run: eachSlot((stage, slot, places) => stage.cluster.slowFlash(slot, Number(place(places, 'factor')))),
  },
  { pattern: 'stall flash <slots:slots>', run: eachSlot((stage, slot) => stage.medium(slot).setMood('stalled')) },
  { pattern: 'mute flash <slots:slots>', run: eachSlot((stage, slot) => stage.medium(slot).setMood('mute')) },
  { pattern: 'free flash <slots:slots>', run: eachSlot((stage, slot) => stage.medium(slot).setMood('well')) },
  {
    pattern: 'fail next sync <slots:slots>',
    run: eachSlot((stage, slot) => {
      stage.medium(slot).failNextWrite = true;
    }),
  },
  {
    pattern: 'lose next write <slots:slots>',
    run: eachSlot((stage, slot) => stage.medium(slot).flash.loseNextWrite()),
  },
  { pattern: 'rot <value:name> on <slots:slots>', run: rotValue },
  { pattern: 'rot map pages on <slots:slots>', run: eachSlot(rotMapPages) },
  {
    pattern: 'scrub <slots:slots>',
    run: async (stage, places) => {
      for (const slot of stage.slotsIn(place(places, 'slots'))) {
        const round = stage.cluster.handle(slot)?.scrub();
        if (round === undefined) throw new Unfulfilled(`slot ${slot} is ${stage.cluster.state(slot)}`);
        await stage.engine.settle(round, scrubMsMax);
      }
    },
  },
  {
    pattern: 'rot last write <slots:slots>',
    run: eachSlot((stage, slot) => {
      const { lastWrite, flash } = stage.medium(slot);
      if (lastWrite === undefined) throw new Unfulfilled(`slot ${slot} wrote nothing`);
      flash.rot(lastWrite.offset, lastWrite.lengthBytes);
    }),
  },
  ...disks,
];
