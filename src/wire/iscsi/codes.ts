// Numbers of RFC 7143, by section.

/** §11.2.1.2: what the initiator sends. */
export const initiatorOpcodes = {
  nopOut: 0x00,
  scsiCommand: 0x01,
  taskRequest: 0x02,
  loginRequest: 0x03,
  textRequest: 0x04,
  dataOut: 0x05,
  logoutRequest: 0x06,
  snackRequest: 0x10,
} as const;

/** §11.2.1.2: what the target sends. */
export const targetOpcodes = {
  nopIn: 0x20,
  scsiResponse: 0x21,
  taskResponse: 0x22,
  loginResponse: 0x23,
  textResponse: 0x24,
  dataIn: 0x25,
  logoutResponse: 0x26,
  r2t: 0x31,
  asyncMessage: 0x32,
  reject: 0x3f,
} as const;

/** No task tag, no transfer tag (§11.2.1.8, §11.7.4). */
export const reservedTag = 0xffff_ffff;

/** §11.12.3: stages of a login; 2 is reserved. */
export const stages = { security: 0, operational: 1, fullFeature: 3 } as const;
export type Stage = (typeof stages)[keyof typeof stages];

/** §11.13.5: status class and detail as one number. */
export const loginStatuses = {
  success: 0x0000,
  movedTemporarily: 0x0101,
  initiatorError: 0x0200,
  authenticationFailure: 0x0201,
  forbidden: 0x0202,
  notFound: 0x0203,
  unsupportedVersion: 0x0205,
  tooManyConnections: 0x0206,
  missingParameter: 0x0207,
  unsupportedSessionType: 0x0209,
  sessionDoesNotExist: 0x020a,
  targetError: 0x0300,
  serviceUnavailable: 0x0301,
  outOfResources: 0x0302,
} as const;
export type LoginStatus = (typeof loginStatuses)[keyof typeof loginStatuses];

/** §11.5.1 */
export const taskFunctions = {
  abortTask: 1,
  abortTaskSet: 2,
  clearAca: 3,
  clearTaskSet: 4,
  logicalUnitReset: 5,
  targetWarmReset: 6,
  targetColdReset: 7,
  taskReassign: 8,
} as const;

/** §11.6.1 */
export const taskResponses = {
  complete: 0,
  noTask: 1,
  noLun: 2,
  taskAllegiant: 3,
  reassignUnsupported: 4,
  unsupported: 5,
  rejected: 255,
} as const;

/** §11.14.1 */
export const logoutReasons = { closeSession: 0, closeConnection: 1, recovery: 2 } as const;
/** §11.15.1 */
export const logoutResponses = { closed: 0, noConnection: 1, recoveryUnsupported: 2 } as const;

/** §11.17.1 */
export const rejectReasons = {
  dataDigest: 0x02,
  snack: 0x03,
  protocolError: 0x04,
  unsupported: 0x05,
  immediateCommand: 0x06,
  taskInProgress: 0x07,
  invalidField: 0x09,
} as const;
export type RejectReason = (typeof rejectReasons)[keyof typeof rejectReasons];

/** §11.9.1 */
export const asyncEvents = { scsi: 0, logoutRequest: 1, connectionDropped: 2, sessionDropped: 3 } as const;
