import { type Flash, FlashError } from '../ports/flash.ts';
import { pageBytes } from './layout.ts';

/** Fills `into`. False where the medium can't be read. @throws FlashError unless it is `EIO` */
export async function readPiece(flash: Flash, position: number, into: Uint8Array): Promise<boolean> {
  try {
    await flash.read(position, into);
    return true;
  } catch (error) {
    if (!(error instanceof FlashError) || error.code !== 'EIO') throw error;
    return false;
  }
}

/** Fills `into` as far as the medium allows. Pages that can't be read become zeros; their positions are the answer. */
export async function readWhatCan(flash: Flash, position: number, into: Uint8Array): Promise<ReadonlySet<number>> {
  const unreadable = new Set<number>();
  if (into.length === 0 || (await readPiece(flash, position, into))) return unreadable;
  for (let at = 0; at < into.length; at += pageBytes) {
    const page = into.subarray(at, at + pageBytes);
    if (await readPiece(flash, position + at, page)) continue;
    page.fill(0);
    unreadable.add(position + at);
  }
  return unreadable;
}
