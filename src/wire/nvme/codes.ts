// NVM Express base specification 2.0 (command sets: NVM 1.0; transport: TCP 1.0). Names are shortened, numbers are the specification's.

export const adminOpcodes = {
  getLogPage: 0x02,
  identify: 0x06,
  abort: 0x08,
  setFeatures: 0x09,
  getFeatures: 0x0a,
  asyncEvent: 0x0c,
  keepAlive: 0x18,
} as const;

export const ioOpcodes = {
  flush: 0x00,
  write: 0x01,
  read: 0x02,
  compare: 0x05,
  writeZeroes: 0x08,
  datasetManagement: 0x09,
  reservationRegister: 0x0d,
  reservationReport: 0x0e,
  reservationAcquire: 0x11,
  reservationRelease: 0x15,
} as const;

/** Opcode of all fabrics commands; which one is in the byte at 4. */
export const fabricsOpcode = 0x7f;
export const fabricsTypes = {
  propertySet: 0x00,
  connect: 0x01,
  propertyGet: 0x04,
  authSend: 0x05,
  authReceive: 0x06,
  disconnect: 0x08,
} as const;

/** Status code type in bits 8 to 10, status code below. */
export const statuses = {
  success: 0x000,
  invalidOpcode: 0x001,
  invalidField: 0x002,
  dataTransferError: 0x004,
  internalError: 0x006,
  abortRequested: 0x007,
  abortedFailedFused: 0x009,
  abortedMissingFused: 0x00a,
  invalidNamespace: 0x00b,
  commandSequenceError: 0x00c,
  sglLengthInvalid: 0x00f,
  sglTypeInvalid: 0x011,
  atomicWriteUnitExceeded: 0x014,
  hostIdFormat: 0x018,
  keepAliveInvalid: 0x019,
  namespaceProtected: 0x020,
  commandInterrupted: 0x021,
  transientTransportError: 0x022,
  lbaOutOfRange: 0x080,
  capacityExceeded: 0x081,
  reservationConflict: 0x083,
  invalidLogPage: 0x109,
  abortLimitExceeded: 0x103,
  asyncEventLimitExceeded: 0x105,
  featureNotSaveable: 0x10d,
  featureNotChangeable: 0x10e,
  connectIncompatibleFormat: 0x180,
  connectControllerBusy: 0x181,
  connectInvalidParameters: 0x182,
  connectInvalidHost: 0x184,
  sizeLimitExceeded: 0x183,
  authenticationRequired: 0x191,
  unrecoveredRead: 0x281,
  compareFailure: 0x285,
  anaInaccessible: 0x302,
  anaTransition: 0x303,
} as const;
/** Beside a status: trying again is of no use. Linux then gives up for good. */
export const doNotRetry = 0x4000;

/** Why a connection is ended (TCP transport §3.6.2.3). */
export const fatalErrors = {
  invalidHeader: 1,
  sequence: 2,
  headerDigest: 3,
  outOfRange: 4,
  limitExceeded: 5,
  unsupported: 6,
} as const;

export const sglTypes = { none: 0x00, inCapsule: 0x01, transport: 0x5a } as const;

export const identifies = {
  namespace: 0x00,
  controller: 0x01,
  activeNamespaces: 0x02,
  descriptors: 0x03,
  namespaceOfCommandSet: 0x05,
  controllerOfCommandSet: 0x06,
  activeNamespacesOfCommandSet: 0x07,
  namespaceIndependent: 0x08,
} as const;

export const logPages = {
  supported: 0x00,
  errors: 0x01,
  health: 0x02,
  firmware: 0x03,
  changedNamespaces: 0x04,
  effects: 0x05,
  ana: 0x0c,
  discovery: 0x70,
  reservations: 0x80,
} as const;

export const features = {
  arbitration: 0x01,
  power: 0x02,
  temperature: 0x04,
  errorRecovery: 0x05,
  queueCount: 0x07,
  writeAtomicity: 0x0a,
  asyncEvents: 0x0b,
  keepAlive: 0x0f,
  hostBehaviour: 0x16,
  hostId: 0x81,
  reservationMask: 0x82,
  reservationPersistence: 0x83,
} as const;

/** Asynchronous events: type in bits 0 to 2, what happened in bits 8 to 15 (base §5.2.1). */
export const noticeType = 2;
export const notices = { namespaceChanged: 0x00, anaChanged: 0x03, discoveryChanged: 0xf0 } as const;
/** Which of them a host wants: bits of feature 0Bh, and of what identify offers. */
export const noticeBits = { namespaceChanged: 0x100, anaChanged: 0x800, discoveryChanged: 0x8000_0000 } as const;

export const properties = { cap: 0x00, vs: 0x08, cc: 0x14, csts: 0x1c, crto: 0x68 } as const;

export const anaStates = { optimized: 1, nonOptimized: 2, inaccessible: 3, lost: 4, change: 0xf } as const;

export const discoveryNqn = 'nqn.2014-08.org.nvmexpress.discovery';
export const nqnBytesMin = 11;
export const nqnBytesMax = 223;
