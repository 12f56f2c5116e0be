// The states a session walks through, as its user sees them; the server keeps peers and their objects, and no such states. Losing the
// socket is not among them: media flows on without it, so it is a property beside the state, not a state.
//
//   Handshaking --AUTH_VALID--> Negotiating --OFFER_ACCEPTED--> Connected --CLIENT_DISCONNECT--> Ended
//                                                               |      ^
//                                                     ICE_DISCONNECT  ICE_RESTART
//                                                               v      |
//                                                              Reconnecting
//
// CLIENT_DISCONNECT ends a session from every state.

export type SessionState = 'Handshaking' | 'Negotiating' | 'Connected' | 'Reconnecting' | 'Ended';

export type SessionEvent =
  /** The server took the token: Joined arrived. */
  | 'AUTH_VALID'
  /** Transports stand and what this client sends was accepted. */
  | 'OFFER_ACCEPTED'
  /** The media path is gone: ICE lost it, or the engine at its end died. */
  | 'ICE_DISCONNECT'
  /** There is a media path again, by an ICE restart or by new transports. */
  | 'ICE_RESTART'
  /** The user left, or the session was refused for good. */
  | 'CLIENT_DISCONNECT';

/** The state after `event`, or `null` where the event means nothing in this state. */
export function next(state: SessionState, event: SessionEvent): SessionState | null {
  if (event === 'CLIENT_DISCONNECT') return state === 'Ended' ? null : 'Ended';
  switch (state) {
    case 'Handshaking':
      return event === 'AUTH_VALID' ? 'Negotiating' : null;
    case 'Negotiating':
      return event === 'OFFER_ACCEPTED' ? 'Connected' : null;
    case 'Connected':
      return event === 'ICE_DISCONNECT' ? 'Reconnecting' : null;
    case 'Reconnecting':
      return event === 'ICE_RESTART' ? 'Connected' : null;
    case 'Ended':
      return null;
  }
}

/** The part of `Media` that moves a session on. */
export interface PathState {
  /** False while a transport that was in use has no path. */
  readonly pathUp: boolean;
  /** True when every transport either carries media or has none to carry. */
  readonly pathSettled: boolean;
  readonly restartsDue: readonly unknown[];
}

/** The event that the state of the media path brings about now. `isSending`: what this client sends has been accepted, or cannot be sent. */
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
