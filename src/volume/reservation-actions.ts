import { Writer } from '../base/bytes.ts';
import {
  encodeReservations,
  isHolder,
  keyOf,
  noKey,
  type Registrant,
  type ReservationKey,
  type Reservations,
  reservationsBytesMax,
  type ReservationType,
} from './reservations.ts';

/** What a host asks of a volume's reservations; `id` is its own, `key` the one that it says it registered. */
export type ReservationAction =
  /** `newKey` zero: unregister. `ignoreKey`: whatever was registered before. */
  | {
      readonly kind: 'register';
      readonly id: string;
      readonly key: ReservationKey;
      readonly newKey: ReservationKey;
      readonly ignoreKey: boolean;
    }
  | { readonly kind: 'reserve'; readonly id: string; readonly key: ReservationKey; readonly type: ReservationType }
  | { readonly kind: 'release'; readonly id: string; readonly key: ReservationKey; readonly type: ReservationType }
  | { readonly kind: 'clear'; readonly id: string; readonly key: ReservationKey }
  | {
      readonly kind: 'preempt';
      readonly id: string;
      readonly key: ReservationKey;
      readonly victim: ReservationKey;
      readonly type: ReservationType;
    }
  /** RESERVE (6), RELEASE (6). */
  | { readonly kind: 'sessionReserve'; readonly id: string }
  | { readonly kind: 'sessionRelease'; readonly id: string }
  /** LOGICAL UNIT RESET: drops what a session holds, and ends what is under way through any Corelet. */
  | { readonly kind: 'reset' };

/** `CONFLICT`: not registered, the wrong key, or somebody else's. `FULL`: no room for another registrant. */
export type ReservationRefusal = 'CONFLICT' | 'INVALID_KEY' | 'INVALID_TYPE' | 'FULL';

/** The state after the action, as both protocols' rules have it; the same object when nothing changes. */
export function applyReservation(state: Reservations, action: ReservationAction): Reservations | ReservationRefusal {
  switch (action.kind) {
    case 'sessionReserve':
      return reserveSession(state, action.id);
    case 'sessionRelease':
      return state.sessionHolder === action.id ? { ...state, sessionHolder: undefined } : state;
    case 'reset':
      return { ...state, sessionHolder: undefined, resets: (state.resets + 1) >>> 0 };
    case 'register':
    case 'reserve':
    case 'release':
    case 'clear':
    case 'preempt':
      break;
  }
  // SPC-2 §5.5.1: the two kinds exclude each other.
  if (state.sessionHolder !== undefined) return 'CONFLICT';
  if (action.kind === 'register') return register(state, action);
  if (keyOf(state, action.id) !== action.key) return 'CONFLICT';
  switch (action.kind) {
    case 'reserve':
      return reserve(state, action);
    case 'release':
      return release(state, action);
    case 'clear':
      return { ...state, generation: nextGeneration(state), registrants: [], held: undefined };
    case 'preempt':
      return preempt(state, action);
  }
}

function reserveSession(state: Reservations, id: string): Reservations | ReservationRefusal {
  if (state.registrants.length > 0) return 'CONFLICT';
  if (state.sessionHolder === id) return state;
  return state.sessionHolder === undefined ? { ...state, sessionHolder: id } : 'CONFLICT';
}

type Asked<Kind extends ReservationAction['kind']> = Extract<ReservationAction, { kind: Kind }>;

function register(state: Reservations, action: Asked<'register'>): Reservations | ReservationRefusal {
  const { id, newKey } = action;
  const known = keyOf(state, id);
  if (!action.ignoreKey && (known ?? noKey) !== action.key) return 'CONFLICT';
  if (newKey === noKey) return known === undefined ? state : without(state, (registrant) => registrant.id === id);
  const registrants =
    known === undefined
      ? [...state.registrants, { id, key: newKey }]
      : state.registrants.map((registrant) => (registrant.id === id ? { id, key: newKey } : registrant));
  const next = { ...state, generation: nextGeneration(state), registrants };
  return fits(next) ? next : 'FULL';
}

/** Those who go take what they held with them. */
function without(state: Reservations, leaves: (registrant: Registrant) => boolean): Reservations {
  const registrants = state.registrants.filter((registrant) => !leaves(registrant));
  const { held } = state;
  const stays =
    held !== undefined &&
    (held.holder === undefined ? registrants.length > 0 : registrants.some(({ id }) => id === held.holder));
  return { ...state, generation: nextGeneration(state), registrants, held: stays ? held : undefined };
}

function reserve(state: Reservations, { id, type }: Asked<'reserve'>): Reservations | ReservationRefusal {
  if (state.held === undefined) return { ...state, held: heldBy(id, type) };
  return isHolder(state, id) && state.held.type === type ? state : 'CONFLICT';
}

function release(state: Reservations, { id, type }: Asked<'release'>): Reservations | ReservationRefusal {
  if (state.held === undefined || !isHolder(state, id)) return state;
  return state.held.type === type ? { ...state, held: undefined } : 'INVALID_TYPE';
}

/** SPC-4 §5.13.11.4: by the victim's key, either its registrations go, or with them the reservation becomes the caller's. */
function preempt(state: Reservations, action: Asked<'preempt'>): Reservations | ReservationRefusal {
  const { id, victim, type } = action;
  const { held } = state;
  const isVictim = (registrant: Registrant) => registrant.id !== id && registrant.key === victim;
  if (held !== undefined) {
    const byAll = held.holder === undefined;
    if (byAll && victim === noKey)
      return { ...without(state, (registrant) => registrant.id !== id), held: heldBy(id, type) };
    if (!byAll && keyOf(state, held.holder) === victim) return { ...without(state, isVictim), held: heldBy(id, type) };
  }
  if (victim === noKey) return 'INVALID_KEY';
  if (!state.registrants.some(({ key }) => key === victim)) return 'CONFLICT';
  return without(state, isVictim);
}

function heldBy(id: string, type: ReservationType): Reservations['held'] {
  const byAll = type === 'writeExclusiveAll' || type === 'exclusiveAccessAll';
  return { type, holder: byAll ? undefined : id };
}

function nextGeneration({ generation }: Reservations): number {
  return (generation + 1) >>> 0;
}

function fits(state: Reservations): boolean {
  const writer = new Writer(1024);
  encodeReservations(writer, state);
  return writer.length <= reservationsBytesMax;
}
