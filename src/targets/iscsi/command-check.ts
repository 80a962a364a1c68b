import { rejectReasons, type RejectReason, reservedTag } from '../../wire/iscsi/codes.ts';
import type { ScsiCommandPdu } from '../../wire/iscsi/scsi-command.ts';
import type { SessionParameters } from './negotiation.ts';

/** Why a SCSI Command PDU is rejected as it stands, if it is (RFC 7143 §11.3, §11.17.1). */
export function checkCommand(
  command: ScsiCommandPdu,
  { immediateData, firstBurstBytes }: SessionParameters,
): RejectReason | undefined {
  const { read, write, final, expectedBytes, dataBytes, additionalBytes, taskTag } = command;
  if (additionalBytes > 0) return rejectReasons.unsupported; // no command of ours is longer than 16 bytes, or moves data both ways
  if (read && write) return rejectReasons.unsupported;
  if (taskTag === reservedTag) return rejectReasons.invalidField;
  if (!write && !final) return rejectReasons.invalidField; // announces data that it may not send
  if (expectedBytes > 0 && !read && !write) return rejectReasons.invalidField;
  if (dataBytes === 0) return undefined;
  if (!write || !immediateData || dataBytes > expectedBytes) return rejectReasons.protocolError;
  return dataBytes > firstBurstBytes ? rejectReasons.invalidField : undefined;
}
