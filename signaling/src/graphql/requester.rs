//! Who sends a GraphQL request, and what it may see.

use crate::auth::DEFAULT_PROJECT;
use crate::auth::session::{RoomClaim, Session};
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use crate::rooms::Rooms;
use std::time::{Duration, SystemTime};

/// The sender of a request.
#[derive(Clone, Debug)]
pub struct Requester {
    /// The project that it sees.
    pub(super) project: String,
    /// The only room of the project that it sees; `None`: all.
    pub(super) room: Option<String>,
    /// `None` in development mode, without a token.
    session: Option<Session>,
}

impl Requester {
    /// Verifies a token. Without one, a client is admitted in development mode only.
    pub fn authenticate(rooms: &Rooms, token: Option<&str>) -> Result<Self, RequestError> {
        let keyring = match rooms.keyring() {
            Some(keyring) if token.is_some() || !rooms.is_development_mode() => keyring,
            // Only clients of this machine can connect.
            _ => return Ok(Self { project: DEFAULT_PROJECT.to_owned(), room: None, session: None }),
        };
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            let text = "this server requires a token: send the header Authorization: Bearer TOKEN, or the same in \
                        connection_init";
            return Err(RequestError::new(ErrorCode::TokenMissing, text));
        };
        let session = keyring.validate_token(token, now())?;
        let room = match &session.room {
            _ if session.permissions.admin => None,
            RoomClaim::Any => None,
            RoomClaim::One(room) => Some(room.clone()),
            RoomClaim::None => {
                let text = "the token has no room_id and not the permission admin, so it shows no room";
                return Err(RequestError::new(ErrorCode::TokenRoom, text));
            }
        };
        Ok(Self { project: session.project.clone(), room, session: Some(session) })
    }

    /// Whether the token is still valid.
    pub(super) fn check(&self, rooms: &Rooms) -> Result<(), RequestError> {
        let (Some(session), Some(keyring)) = (&self.session, rooms.keyring()) else { return Ok(()) };
        let now = now();
        if session.token.expires_at.0 <= now.as_secs() {
            return Err(RequestError::new(ErrorCode::TokenExpired, "the token has expired; get a new one"));
        }
        keyring.revocations().check(session, now)
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
