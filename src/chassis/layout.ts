import { join } from 'node:path';

/**
 * Where a chassis keeps its things under its data folder:
 *
 *     chassis.json               who is in which slot, and where it answers
 *     founding.json              only while the first start is under way: what stands beside it may be made anew
 *     slots/N/flash.img          the flash of the module in slot N
 *     slots/N/flash-ID.img      that of a module which a blank one replaced
 *     slots/N/log                what its process printed (log.1: the one before)
 *     slots/N/events.jsonl       what it saw and decided
 *     fabric/N.sock              its fabric address; named relative to the data folder, which keeps the path short
 */
export const chassisFileName = 'chassis.json';
export const foundingFileName = 'founding.json';

export const slotFolder = (slot: number): string => join('slots', String(slot));
export const flashFile = (slot: number): string => join(slotFolder(slot), 'flash.img');
export const shelvedFlashFile = (slot: number, id: string): string => join(slotFolder(slot), `flash-${id}.img`);
export const logFile = (slot: number): string => join(slotFolder(slot), 'log');
export const eventsFile = (slot: number): string => join(slotFolder(slot), 'events.jsonl');
export const fabricSocket = (slot: number): string => `fabric/${slot}.sock`;
export const fabricAddress = (slot: number): string => `unix:${fabricSocket(slot)}`;
