//! Who publishes or plays: a token, or a stream key.

use super::WhipApi;
use super::problem;
use crate::api::Problem;
use crate::auth::session::{RoomClaim, Session, TokenId, TokenInfo};
use crate::auth::since_1970;
use crate::auth::token::{NumericDate, Permissions};
use crate::limits;
use axum::http::{HeaderMap, header};
use stores::accounts::StreamKey;

/// The text after `Bearer`; empty without the header.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok("") };
    let wrong = || problem::malformed("Authorization must be: Bearer, a space, and a token or a stream key");
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(wrong)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(wrong()) }
}

impl WhipApi {
    /// The session of a stream key; `None` if the text is none.
    pub(super) async fn session_of_key(&self, text: &str, room: &str) -> Result<Option<Session>, Problem> {
        // Tokens contain two dots.
        if !text.starts_with(STREAM_KEY) || text.contains('.') {
            return Ok(None);
        }
        let accounts = self.accounts.as_ref().ok_or_else(problem::stream_key)?;
        let key = accounts.check_stream_key(text).await.map_err(|error| problem::store_is_away(&error))?;
        key.filter(|key| key.room == room).map(session).map(Some).ok_or_else(problem::stream_key)
    }
}

const STREAM_KEY: &str = "sk_";

/// A client with a stream key publishes, and does nothing else.
fn session(key: StreamKey) -> Session {
    let now = since_1970().as_secs();
    let permissions = Permissions { can_subscribe: false, can_publish_data: false, ..Permissions::default() };
    let name = Some(key.label).filter(|label| !label.trim().is_empty());
    Session {
        project: key.project,
        user: key.id.clone(),
        name,
        room: RoomClaim::One(key.room),
        permissions,
        token: TokenInfo {
            id: TokenId(key.id),
            key: None,
            issued_at: Some(NumericDate(now)),
            expires_at: NumericDate(now + limits::STREAM_KEY_SESSION.as_secs()),
        },
    }
}
