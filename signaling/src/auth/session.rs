//! The content of a valid token: the result of [`super::keyring::Keyring::validate_token`].

use super::DEFAULT_PROJECT;
use super::token::{Claims, NumericDate, Permissions, check_room, check_source, check_user};
use crate::limits;
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use aws_lc_rs::{constant_time, digest};
use std::fmt;

/// An authenticated client of any interface: Socket.IO, HTTP, GraphQL or WHIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The project of the key that signed the token.
    pub project: String,
    /// The user id, unique in its project.
    pub user: String,
    /// Display name. Takes precedence over the client's.
    pub name: Option<String>,
    /// The rooms that the token admits to.
    pub room: RoomClaim,
    /// What the client may do.
    pub permissions: Permissions,
    /// Identity and times of the token.
    pub token: TokenInfo,
}

/// The rooms that a token admits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomClaim {
    /// The token has no room.
    None,
    /// All rooms of the project: `*`.
    Any,
    /// The room of this name.
    One(String),
}

/// Identity and times of a token, as far as its revocation needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// `jti`, or a hash of the token.
    pub id: TokenId,
    /// `kid` of the key that verified it; `None` for the key without one.
    pub key: Option<String>,
    /// `iat`.
    pub issued_at: Option<NumericDate>,
    /// `exp`.
    pub expires_at: NumericDate,
}

/// The id of a token in its project: `jti`, or else a hash of the token without its signature.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(pub String);

impl TokenId {
    /// Of a token without `jti`. Without the signature: an ES256 token is also valid with another one, which
    /// anyone can compute from the first.
    fn hash(token: &str) -> Self {
        let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
        let hash = digest::digest(&digest::SHA256, signed.as_bytes());
        Self(
            hash.as_ref()
                .iter()
                .take(HASH_BYTES)
                .fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}")),
        )
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes of a hash in a [`TokenId`]: two tokens with the same one cannot be found.
const HASH_BYTES: usize = 16;

impl Session {
    /// From the verified claims of `token`. The errors are about the form of claims.
    pub(super) fn new(
        claims: Claims,
        token: &str,
        project: &str,
        key: Option<String>,
    ) -> Result<Self, RequestError> {
        let Claims { sub, name, room_id, room, exp, iat, jti, permissions, .. } = claims;
        let room = match (room_id, room) {
            (Some(one), Some(two)) if one != two => {
                return Err(malformed("room_id and room differ; room is the former name of room_id"));
            }
            (one, two) => room_claim(one.or(two))?,
        };
        check_user(&sub).map_err(|wanted| malformed(&format!("sub must be {wanted}")))?;
        check_permissions(&permissions)?;
        if let Some(jti) = &jti {
            let is_id =
                (1..=limits::TOKEN_ID_LEN_MAX).contains(&jti.len()) && !jti.chars().any(char::is_control);
            if !is_id {
                return Err(malformed(&format!(
                    "jti must have 1 to {} bytes, none of them a control character",
                    limits::TOKEN_ID_LEN_MAX
                )));
            }
        }
        let id = jti.map_or_else(|| TokenId::hash(token), TokenId);
        let token = TokenInfo { id, key, issued_at: iat, expires_at: exp };
        Ok(Self { project: project.to_owned(), user: sub, name, room, permissions, token })
    }

    /// Checks that the token admits to this room.
    pub fn check_room(&self, room: &str) -> Result<(), RequestError> {
        match &self.room {
            RoomClaim::Any => Ok(()),
            RoomClaim::One(one) if constant_time_eq(one, room) => Ok(()),
            RoomClaim::One(_) => {
                Err(RequestError::new(ErrorCode::TokenRoom, "the token is for another room"))
            }
            RoomClaim::None => Err(RequestError::new(
                ErrorCode::TokenRoom,
                "the token has no room_id, so it admits to no room",
            )),
        }
    }

    /// Whether the project is the one of the server's own keys.
    pub fn is_of_default_project(&self) -> bool {
        self.project == DEFAULT_PROJECT
    }
}

fn room_claim(room: Option<String>) -> Result<RoomClaim, RequestError> {
    match room {
        None => Ok(RoomClaim::None),
        Some(any) if any == "*" => Ok(RoomClaim::Any),
        Some(one) => {
            check_room(&one).map_err(|wanted| malformed(&format!("room_id must be * or {wanted}")))?;
            Ok(RoomClaim::One(one))
        }
    }
}

fn check_permissions(permissions: &Permissions) -> Result<(), RequestError> {
    let sources = permissions.can_publish_sources.as_deref().unwrap_or_default();
    if sources.len() > limits::PUBLISH_SOURCES_MAX {
        let text = format!("canPublishSources has more than {} sources", limits::PUBLISH_SOURCES_MAX);
        return Err(malformed(&text));
    }
    for source in sources {
        check_source(source)
            .map_err(|wanted| malformed(&format!("each of canPublishSources must be {wanted}")))?;
    }
    Ok(())
}

/// The token cannot be used, with any key.
pub(super) fn malformed(what: &str) -> RequestError {
    RequestError::new(ErrorCode::TokenMalformed, format!("the token is malformed: {what}"))
}

fn constant_time_eq(a: &str, b: &str) -> bool {
    constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_without_id_is_known_by_what_is_signed() {
        assert_eq!(TokenId::hash("header.claims.one"), TokenId::hash("header.claims.two"));
        assert_ne!(TokenId::hash("header.claims.one"), TokenId::hash("header.others.one"));
    }
}
