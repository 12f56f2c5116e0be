//! The states of a session, from its connection to its end: one table, which the client has as well
//! (`web/src/sdk/session.ts`). `proto/session_states.json` is the form in which tests compare the two.
//!
//! The loss of the Socket.IO connection is not a state, because media continues without it.

use crate::proto::ErrorCode;
use crate::protocol::Request;
use crate::request_error::RequestError;

/// The state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionState {
    /// Connected, without a place in a room.
    Handshaking,
    /// In the room, without a media path so far.
    Negotiating,
    /// Media can flow.
    Connected,
    /// In the room; the media path is lost.
    Reconnecting,
    /// The place in the room is given up.
    Ended,
}

/// What changes the state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionEvent {
    /// The token was accepted, and the peer is in the room.
    AuthValid,
    /// The first transport of the peer is connected: DTLS is complete.
    OfferAccepted,
    /// The last connected transport is lost, or the engine is.
    IceDisconnect,
    /// A transport is connected again: the same one after an ICE restart, or a new one.
    IceRestart,
    /// The peer left, was removed by the server, or did not return in time.
    ClientDisconnect,
}

/// All events, in the order of their numbers.
pub const EVENTS: [SessionEvent; 5] = [
    SessionEvent::AuthValid,
    SessionEvent::OfferAccepted,
    SessionEvent::IceDisconnect,
    SessionEvent::IceRestart,
    SessionEvent::ClientDisconnect,
];

/// Every transition. An event without an entry has no meaning in that state.
pub const TRANSITIONS: &[(SessionState, SessionEvent, SessionState)] = {
    use SessionEvent::{AuthValid, ClientDisconnect, IceDisconnect, IceRestart, OfferAccepted};
    use SessionState::{Connected, Ended, Handshaking, Negotiating, Reconnecting};
    &[
        (Handshaking, AuthValid, Negotiating),
        (Handshaking, ClientDisconnect, Ended),
        (Negotiating, OfferAccepted, Connected),
        (Negotiating, ClientDisconnect, Ended),
        (Connected, IceDisconnect, Reconnecting),
        (Connected, ClientDisconnect, Ended),
        (Reconnecting, IceRestart, Connected),
        (Reconnecting, ClientDisconnect, Ended),
    ]
};

impl SessionEvent {
    /// The name in logs and in the requirements.
    pub fn name(self) -> &'static str {
        match self {
            Self::AuthValid => "AUTH_VALID",
            Self::OfferAccepted => "OFFER_ACCEPTED",
            Self::IceDisconnect => "ICE_DISCONNECT",
            Self::IceRestart => "ICE_RESTART",
            Self::ClientDisconnect => "CLIENT_DISCONNECT",
        }
    }
}

impl SessionState {
    /// The name in logs, in events and in the requirements.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshaking => "Handshaking",
            Self::Negotiating => "Negotiating",
            Self::Connected => "Connected",
            Self::Reconnecting => "Reconnecting",
            Self::Ended => "Ended",
        }
    }

    /// The state after `event`; `None` if the event has no meaning in this state.
    pub fn after(self, event: SessionEvent) -> Option<Self> {
        let found = TRANSITIONS.iter().find(|(from, by, _)| (*from, *by) == (self, event));
        found.map(|(_, _, to)| *to)
    }

    /// The event that follows from the media path. `has_path`: a transport of the peer is connected.
    pub fn event_of_path(self, has_path: bool) -> Option<SessionEvent> {
        match (self, has_path) {
            (Self::Negotiating, true) => Some(SessionEvent::OfferAccepted),
            (Self::Connected, false) => Some(SessionEvent::IceDisconnect),
            (Self::Reconnecting, true) => Some(SessionEvent::IceRestart),
            _ => None,
        }
    }

    /// Checks that a request is possible in this state: `WRONG_STATE`. `is_waiting`: the client has sent
    /// JoinRoom, and an administrator has to admit it.
    ///
    /// In a room, every request is possible in every state: transports are created while Negotiating, and a
    /// request may be on its way while the path is lost.
    pub fn check(self, request: &Request, is_waiting: bool) -> Result<(), RequestError> {
        let text = match (self, request) {
            (Self::Handshaking, Request::JoinRoom(_)) if !is_waiting => return Ok(()),
            (Self::Handshaking, Request::Leave(_)) if is_waiting => return Ok(()),
            (Self::Handshaking, _) if is_waiting => {
                "an administrator has to admit this client first; Leave ends the wait"
            }
            (Self::Handshaking, _) => "the first request must be JoinRoom",
            (Self::Ended, _) => "this peer is not in its room any more; connect again to join",
            (_, Request::JoinRoom(_)) => "this connection has joined already; Leave first",
            _ => return Ok(()),
        };
        Err(RequestError::new(ErrorCode::WrongState, text))
    }
}

#[cfg(test)]
mod tests;
