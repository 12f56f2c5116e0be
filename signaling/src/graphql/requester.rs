//! The sender of a GraphQL request, and the rooms that it may read.

use crate::auth::DEFAULT_PROJECT;
use crate::auth::session::{RoomClaim, Session};
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use crate::rooms::Rooms;
use std::time::{Duration, SystemTime};

/// The rooms that a requester may read. Those are the rooms that it can join with its token; a list of all
/// rooms is for administrators.
#[derive(Clone, Debug)]
pub(super) enum VisibleRooms {
    /// One room.
    One(String),
    /// Each room that it names.
    Named,
    /// All, and their list.
    All,
}

/// The sender of a request.
#[derive(Clone, Debug)]
pub struct Requester {
    /// Its project.
    pub(super) project: String,
    /// The rooms of the project that it may read.
    pub(super) rooms: VisibleRooms,
    /// `None` in development mode, without a token.
    session: Option<Session>,
}

impl Requester {
    /// Verifies a token. Without one, a client is admitted in development mode only.
    pub fn authenticate(rooms: &Rooms, token: Option<&str>) -> Result<Self, RequestError> {
        let keyring = match rooms.keyring() {
            Some(keyring) if token.is_some() || !rooms.is_development_mode() => keyring,
            // Only clients of this machine can connect.
            _ => {
                return Ok(Self {
                    project: DEFAULT_PROJECT.to_owned(),
                    rooms: VisibleRooms::All,
                    session: None,
                });
            }
        };
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            let text = "this server requires a token: send the header Authorization: Bearer TOKEN, or the same in \
                        connection_init";
            return Err(RequestError::new(ErrorCode::TokenMissing, text));
        };
        let session = keyring.validate_token(token, now())?;
        let rooms = match &session.room {
            RoomClaim::Any if session.permissions.admin => VisibleRooms::All,
            RoomClaim::Any => VisibleRooms::Named,
            RoomClaim::One(room) => VisibleRooms::One(room.clone()),
            RoomClaim::None => {
                let text = "the token has no room_id, so it shows no room";
                return Err(RequestError::new(ErrorCode::TokenRoom, text));
            }
        };
        Ok(Self { project: session.project.clone(), rooms, session: Some(session) })
    }

    /// Its project and user; `None` in development mode, without a token.
    pub(super) fn user(&self) -> Option<(String, String)> {
        self.session.as_ref().map(|session| (session.project.clone(), session.user.clone()))
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
