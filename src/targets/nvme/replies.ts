import { crc32c, crcOf } from '../../base/crc32c.ts';
import { type CompletionFields, encodeCompletion } from '../../wire/nvme/command.ts';
import { writeU32 } from '../../wire/little-endian.ts';
import {
  commonHeaderBytes,
  type DataFields,
  dataPduBytes,
  digestBytes,
  encodeData,
  encodePduHeader,
  pduFlags,
  type PduHeader,
  pduTypes,
  responsePduBytes,
} from '../../wire/nvme/pdu.ts';

const slabBytes = 16 * 1024;

/** What ICReq and ICResp agreed. */
export interface Agreement {
  readonly headerDigest: boolean;
  readonly dataDigest: boolean;
  /** Data for the host begins at a multiple of this. */
  readonly alignBytes: number;
}

export const plainAgreement: Agreement = { headerDigest: false, dataDigest: false, alignBytes: 4 };

/**
 * The PDUs of one turn, as pieces for one socket write. Headers are written next to each other into a slab that is used
 * up and replaced (the socket owns what it was given); data leaves as the pieces in which the device gave it.
 */
export class ReplyQueue {
  readonly pieces: Uint8Array[] = [];
  agreement: Agreement = plainAgreement;
  readonly #header: PduHeader = { type: 0, flags: 0, hlen: 0, pdo: 0, plen: 0 };
  #slab = new Uint8Array(slabBytes);
  #used = 0;
  #runStart = 0;

  /** Ends the run of headers: `pieces` is then complete. Forget it with `pieces.length = 0`. */
  close(): void {
    if (this.#used === this.#runStart) return;
    this.pieces.push(this.#slab.subarray(this.#runStart, this.#used));
    this.#runStart = this.#used;
  }

  /** A whole PDU as it is. */
  message(bytes: Uint8Array): void {
    this.close();
    this.pieces.push(bytes);
  }

  response(fields: CompletionFields): void {
    const at = this.#head(pduTypes.response, 0, responsePduBytes, 0);
    encodeCompletion(this.#slab, at + commonHeaderBytes, fields);
    this.#sealHead(at, responsePduBytes);
  }

  r2t(fields: Readonly<DataFields>): void {
    const at = this.#head(pduTypes.r2t, 0, dataPduBytes, 0);
    encodeData(this.#slab, at, fields);
    this.#sealHead(at, dataPduBytes);
  }

  /** `parts` as all of a command's data; `isSuccess`: no response follows. */
  data(cid: number, parts: readonly Uint8Array[], lengthBytes: number, isSuccess: boolean): void {
    const { dataDigest } = this.agreement;
    const at = this.#head(
      pduTypes.c2hData,
      pduFlags.last | (isSuccess ? pduFlags.success : 0) | (dataDigest ? pduFlags.dataDigest : 0),
      dataPduBytes,
      lengthBytes,
    );
    encodeData(this.#slab, at, { cid, tag: 0, offset: 0, lengthBytes });
    this.#sealHead(at, dataPduBytes);
    this.close();
    for (const part of parts) this.pieces.push(part);
    if (!dataDigest) return;
    const digestAt = this.#reserve(digestBytes);
    writeU32(this.#slab, digestAt, crcOf(parts));
  }

  /** Room for a header, its digest and the padding before its data, all zeros; the common part is written. */
  #head(type: number, flags: number, hlen: number, dataBytes: number): number {
    const { headerDigest, dataDigest, alignBytes } = this.agreement;
    const headBytes = hlen + (headerDigest ? digestBytes : 0);
    const pdo = dataBytes === 0 ? 0 : Math.ceil(headBytes / alignBytes) * alignBytes;
    const at = this.#reserve(Math.max(headBytes, pdo));
    const header = this.#header;
    header.type = type;
    header.flags = flags | (headerDigest ? pduFlags.headerDigest : 0);
    header.hlen = hlen;
    header.pdo = pdo;
    header.plen = Math.max(headBytes, pdo) + dataBytes + (dataBytes > 0 && dataDigest ? digestBytes : 0);
    encodePduHeader(this.#slab, at, header);
    return at;
  }

  #sealHead(at: number, hlen: number): void {
    if (this.agreement.headerDigest) writeU32(this.#slab, at + hlen, crc32c(this.#slab.subarray(at, at + hlen)));
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
