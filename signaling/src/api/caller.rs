//! The sender of a request to the HTTP API, and what it may do.
//!
//! | sender | rooms | accounts |
//! |---|---|---|
//! | an API key, as user name and password (RFC 7617) | all of its project, as administrator | manages them |
//! | the session of an administrator | the same | the same |
//! | the session of a user | reads each that it names | reads its own |
//! | a token for a room | reads that room; with `admin`, as administrator | none |
//! | a token for all rooms (`*`) | the same for each that it names; lists them with `admin` | none |
//! | in development mode, without any | all, as administrator | none |

use super::Problem;
use super::service::ApiService;
use crate::auth::session::{RoomClaim, Session};
use crate::auth::{DEFAULT_PROJECT, since_1970, token};
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use crate::rooms::RoomKey;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stores::accounts::{Actor, User};

/// The sender of a request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Its project: it sees no other.
    pub(super) project: String,
    /// For the audit log.
    pub(super) actor: Actor,
    rooms: RoomRights,
    pub(super) accounts: AccountRights,
}

#[derive(Clone, Debug)]
enum RoomRights {
    /// All rooms of the project and their list, as administrator.
    All,
    /// Each room that it names.
    Named,
    /// One room.
    One { room: String, is_admin: bool },
}

#[derive(Clone, Debug)]
pub(super) enum AccountRights {
    /// Of the whole project.
    Manages,
    /// The own account.
    Own(Box<User>),
    None,
}

impl Caller {
    /// Verifies the header `Authorization`.
    pub(super) async fn authenticate(service: &ApiService, headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            if service.rooms.is_development_mode() {
                return Ok(Self::local());
            }
            let text = "this server requires a token or an API key: send the header Authorization with Bearer TOKEN, \
                        or with an API key as user name and its secret as password (Basic)";
            return Err(RequestError::new(ErrorCode::TokenMissing, text).into());
        };
        let wanted = || {
            let text = "the header Authorization must be: Bearer TOKEN, or Basic with base64 of KEY:SECRET";
            RequestError::new(ErrorCode::TokenMalformed, text)
        };
        let (scheme, credentials) =
            value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(wanted)?;
        let credentials = credentials.trim();
        if scheme.eq_ignore_ascii_case("basic") {
            let decoded = STANDARD.decode(credentials).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let (id, secret) = decoded.as_deref().and_then(|text| text.split_once(':')).ok_or_else(wanted)?;
            return Self::of_key(service, id, secret);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(wanted().into());
        }
        Self::of_bearer(service, credentials).await
    }

    /// In development mode only clients of this machine can connect. What they do with accounts would stay.
    fn local() -> Self {
        let actor = Actor::Participant("development mode".to_owned());
        let project = DEFAULT_PROJECT.to_owned();
        Self { project, actor, rooms: RoomRights::All, accounts: AccountRights::None }
    }

    fn of_key(service: &ApiService, id: &str, secret: &str) -> Result<Self, Problem> {
        let unknown = || {
            RequestError::new(
                ErrorCode::TokenKey,
                "the API key is unknown or revoked, or its secret is wrong",
            )
        };
        let keyring = service.rooms.keyring().ok_or_else(unknown)?;
        let project = keyring.project_of_api_key(id, secret)?.ok_or_else(unknown)?;
        let actor = Actor::Key(id.to_owned());
        Ok(Self { project, actor, rooms: RoomRights::All, accounts: AccountRights::Manages })
    }

    /// A token for rooms, or the session of a login: both are JWTs, with different keys.
    async fn of_bearer(service: &ApiService, text: &str) -> Result<Self, Problem> {
        let no_key = || {
            let text = "this server has no key to verify a token with; leave the header Authorization out";
            RequestError::new(ErrorCode::TokenKey, text)
        };
        let validated = match service.rooms.keyring() {
            Some(keyring) => keyring.validate_token(text, since_1970()),
            None => Err(no_key()),
        };
        let error = match validated {
            Ok(session) => return Self::of_token(session).map_err(Problem::from),
            Err(error) => error,
        };
        let may_be_session = matches!(
            error.code,
            ErrorCode::TokenSignature | ErrorCode::TokenKey | ErrorCode::StoreUnavailable
        );
        let Some(accounts) = service.accounts.as_ref().filter(|_| may_be_session) else {
            return Err(error.into());
        };
        match accounts.session(text).await {
            Ok((user, _)) => Ok(Self::of_user(user)),
            // It is neither.
            Err(problem)
                if problem.status == StatusCode::UNAUTHORIZED && error.code == ErrorCode::TokenKey =>
            {
                Err(error.into())
            }
            Err(problem) => Err(problem),
        }
    }

    fn of_token(session: Session) -> Result<Self, RequestError> {
        let is_admin = session.permissions.admin;
        let rooms = match session.room {
            RoomClaim::Any if is_admin => RoomRights::All,
            RoomClaim::Any => RoomRights::Named,
            RoomClaim::One(room) => RoomRights::One { room, is_admin },
            RoomClaim::None => {
                let text = "the token has no room_id, so it permits nothing here";
                return Err(RequestError::new(ErrorCode::TokenRoom, text));
            }
        };
        let actor = Actor::Participant(session.user);
        Ok(Self { project: session.project, actor, rooms, accounts: AccountRights::None })
    }

    fn of_user(user: User) -> Self {
        let (project, actor) = (user.project.clone(), Actor::User(user.id.clone()));
        let (rooms, accounts) = match user.is_admin {
            true => (RoomRights::All, AccountRights::Manages),
            false => (RoomRights::Named, AccountRights::Own(Box::new(user))),
        };
        Self { project, actor, rooms, accounts }
    }

    /// A room that it may read, and whether it is an administrator there.
    pub(super) fn reads(&self, room: &str) -> Result<(RoomKey, bool), Problem> {
        token::check_room(room).map_err(|wanted| Problem::field("room", wanted))?;
        let is_admin = match &self.rooms {
            RoomRights::All => true,
            RoomRights::Named => false,
            RoomRights::One { room: own, is_admin } if own == room => *is_admin,
            RoomRights::One { .. } => {
                return Err(RequestError::new(ErrorCode::TokenRoom, "the token is for another room").into());
            }
        };
        Ok((RoomKey::new(&*self.project, room), is_admin))
    }

    /// A room that it administers.
    pub(super) fn administers(&self, room: &str) -> Result<RoomKey, Problem> {
        let (room, is_admin) = self.reads(room)?;
        if is_admin {
            return Ok(room);
        }
        Err(Problem::forbidden(
            "only administrators of the room may do this: a token with the permission admin, the session of an administrator, or an API key",
        ))
    }

    /// The rooms that a list of rooms contains: all, or one.
    pub(super) fn lists(&self) -> Result<Option<&str>, Problem> {
        match &self.rooms {
            RoomRights::All => Ok(None),
            RoomRights::One { room, .. } => Ok(Some(room)),
            RoomRights::Named => {
                Err(Problem::forbidden("only administrators of all rooms may list them; name the room"))
            }
        }
    }

    /// Whether it is an administrator of the room that a list contains.
    pub(super) fn is_admin_of_lists(&self) -> bool {
        matches!(self.rooms, RoomRights::All | RoomRights::One { is_admin: true, .. })
    }

    /// Checks that it sees the whole project.
    pub(super) fn administers_all(&self) -> Result<(), Problem> {
        match self.rooms {
            RoomRights::All => Ok(()),
            _ => Err(Problem::forbidden("only administrators of the project may do this")),
        }
    }

    /// Checks that it manages the accounts of its project.
    pub(super) fn manages_accounts(&self) -> Result<(), Problem> {
        match self.accounts {
            AccountRights::Manages => Ok(()),
            _ => Err(Problem::forbidden(
                "only administrators of accounts may do this: the session of an administrator, or an API key",
            )),
        }
    }
}
