// The states of a session, the same as in the server (`src/rooms/session.rs`); a test compares both tables. The
// loss of the socket is not a state, because media flows without it: `online` in the view shows it.
//
//   Handshaking --AUTH_VALID--> Negotiating --OFFER_ACCEPTED--> Connected --CLIENT_DISCONNECT--> Ended
//                                                               |      ^
//                                                     ICE_DISCONNECT  ICE_RESTART
//                                                               v      |
//                                                              Reconnecting
//
// CLIENT_DISCONNECT ends a session from every state.

/** The state of a session. */
export type SessionState = 'Handshaking' | 'Negotiating' | 'Connected' | 'Reconnecting' | 'Ended';

export type SessionEvent =
  /** The server accepted the token: Joined arrived. */
  | 'AUTH_VALID'
  /** The transports exist, and the server has accepted what this client sends. */
  | 'OFFER_ACCEPTED'
  /** The media path is lost: by ICE, or with the engine. */
  | 'ICE_DISCONNECT'
  /** The media path is restored, by an ICE restart or with new transports. */
  | 'ICE_RESTART'
  /** The user left, or the server refused the session and another try would not help. */
  | 'CLIENT_DISCONNECT';

/** Every transition. An event without an entry has no meaning in that state. */
export const transitions: readonly (readonly [SessionState, SessionEvent, SessionState])[] = [
  ['Handshaking', 'AUTH_VALID', 'Negotiating'],
  ['Handshaking', 'CLIENT_DISCONNECT', 'Ended'],
  ['Negotiating', 'OFFER_ACCEPTED', 'Connected'],
  ['Negotiating', 'CLIENT_DISCONNECT', 'Ended'],
  ['Connected', 'ICE_DISCONNECT', 'Reconnecting'],
  ['Connected', 'CLIENT_DISCONNECT', 'Ended'],
  ['Reconnecting', 'ICE_RESTART', 'Connected'],
  ['Reconnecting', 'CLIENT_DISCONNECT', 'Ended'],
];

/** The state after `event`; null when the event has no meaning in this state. */
export function next(state: SessionState, event: SessionEvent): SessionState | null {
  return transitions.find(([from, by]) => from === state && by === event)?.[2] ?? null;
}

/** The part of `Media` that changes the state of a session. */
export interface PathState {
  /** False while a transport that was in use has no path. */
  readonly pathUp: boolean;
  /** True when every transport either carries media or has none to carry. */
  readonly pathSettled: boolean;
  readonly restartsDue: readonly unknown[];
}

/**
 * The event that follows from the current state of the media path. `isSending`: the server has accepted this
 * client's sources, or they cannot be sent.
 */
export function eventDue(state: SessionState, path: PathState, isSending: boolean): SessionEvent | null {
  switch (state) {
    case 'Negotiating':
      return isSending ? 'OFFER_ACCEPTED' : null;
    case 'Connected':
      return path.pathUp ? null : 'ICE_DISCONNECT';
    case 'Reconnecting':
      return isSending && path.pathSettled && path.restartsDue.length === 0 ? 'ICE_RESTART' : null;
    default:
      return null;
  }
}
