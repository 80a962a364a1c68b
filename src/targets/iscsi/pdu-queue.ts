import { crc32c } from '../../base/crc32c.ts';
import { paddedCrc, writeDigest } from '../../wire/iscsi/digest.ts';
import { digestBytes, headerBytes, paddedBytes, type PduCodec } from '../../wire/iscsi/header.ts';

const slabBytes = 16 * 1024; // about three hundred headers
const noParts: readonly Uint8Array[] = [];

/**
 * The PDUs of one turn, as pieces for one socket write. Headers, padding and digests are written next to each other into a
 * slab that is used up and replaced (the socket owns what it was given); payload goes out as it is.
 */
export class PduQueue {
  headerDigest = false;
  dataDigest = false;
  readonly pieces: Uint8Array[] = [];
  #slab = new Uint8Array(slabBytes);
  #used = 0;
  #runStart = 0;

  /** Ends the run of headers: `pieces` is then complete. Forget it with `pieces.length = 0`. */
  close(): void {
    if (this.#used === this.#runStart) return;
    this.pieces.push(this.#slab.subarray(this.#runStart, this.#used));
    this.#runStart = this.#used;
  }

  /** `parts` concatenated are the data segment, of as many bytes as `fields` says. */
  add<Fields>(codec: PduCodec<Fields>, fields: Fields, parts: readonly Uint8Array[] = noParts, dataBytes = 0): void {
    const at = this.#reserve(headerBytes);
    codec.encode(fields, this.#slab, at);
    if (this.headerDigest) this.#digest(crc32c(this.#slab.subarray(at, at + headerBytes)));
    if (dataBytes === 0) return;
    this.close();
    let crc = 0;
    for (const part of parts) {
      this.pieces.push(part);
      if (this.dataDigest) crc = crc32c(part, crc);
    }
    const padBytes = paddedBytes(dataBytes) - dataBytes;
    if (padBytes > 0) {
      const pad = this.#reserve(padBytes);
      this.#slab.fill(0, pad, pad + padBytes);
    }
    if (this.dataDigest) this.#digest(paddedCrc(crc, padBytes));
  }

  #digest(crc: number): void {
    writeDigest(this.#slab, this.#reserve(digestBytes), crc);
  }

  #reserve(count: number): number {
    if (this.#used + count > slabBytes) {
      this.close();
      this.#slab = new Uint8Array(slabBytes);
      this.#used = 0;
      this.#runStart = 0;
    }
    const at = this.#used;
    this.#used = at + count;
    return at;
  }
}
