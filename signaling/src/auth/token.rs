//! The claims of a token (JWT, RFC 7519): who a client is, its room, and its permissions. [`super::keyring`]
//! verifies tokens.

use super::key::{self, KeyError};
use crate::limits;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// The claims of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user id.
    pub sub: String,
    /// Display name. Takes precedence over the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The room that it admits to: a name, or `*` for every room of the project. A token without it admits to
    /// no room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_id: Option<String>,
    /// Another name of `room_id`. If a token has both, they are equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// Expiry time.
    pub exp: NumericDate,
    /// Start of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<NumericDate>,
    /// Creation time. It is not compared with the clock; the revocation of a user applies to tokens from
    /// before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<NumericDate>,
    /// The id of the token, unique in its project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The audiences, of which one must be the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<Audience>,
    /// The issuer, which must be the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// What the peer may do in the room.
    #[serde(default)]
    pub permissions: Permissions,
}

impl Claims {
    /// Claims with the default permissions.
    pub fn new(user: impl Into<String>, room: impl Into<String>, exp: NumericDate) -> Self {
        Self {
            sub: user.into(),
            name: None,
            room_id: Some(room.into()),
            room: None,
            exp,
            nbf: None,
            iat: None,
            jti: None,
            aud: None,
            iss: None,
            permissions: Permissions::default(),
        }
    }
}

/// The `aud` claim: one text or a list (RFC 7519 §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "the names are the shapes")]
pub enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    /// Whether `audience` is one of them.
    pub fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Several(several) => several.iter().any(|one| one == audience),
        }
    }
}

/// Seconds since 1970, rounded down (RFC 7519 §2: a JSON number, "non-integer values can be represented").
/// Libraries write `1764417600`, `1764417600.336`, `1764417600.0` and `1.7644176e9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct NumericDate(pub u64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Number {
            Integer(u64),
            Float(f64),
        }
        match Number::deserialize(deserializer)? {
            Number::Integer(seconds) => Ok(Self(seconds)),
            // The conversion saturates at the last date.
            Number::Float(seconds) if seconds >= 0.0 => Ok(Self(seconds as u64)),
            Number::Float(_) => Err(D::Error::custom("a date before 1970")),
        }
    }
}

/// What a peer may do in its room. The default is what browsers need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Permissions {
    /// May join the room. Without it, the token is for other requests than `JoinRoom`.
    pub can_join: bool,
    /// May join a room that does not exist yet, which creates it.
    pub can_create_room: bool,
    /// May create producers.
    pub can_publish: bool,
    /// The sources it may publish, for example "microphone"; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_sources: Option<Vec<String>>,
    /// May create consumers.
    pub can_subscribe: bool,
    /// May send data to the other peers.
    pub can_publish_data: bool,
    /// May change its own display name and metadata after the join.
    pub can_update_own_metadata: bool,
    /// May create plain transports. False by default, because such a client can have media sent to any
    /// address.
    pub can_use_plain_transports: bool,
    /// May remove and mute peers, change the room's settings, and answer clients in the waiting room.
    pub admin: bool,
    /// The other peers are not notified of it. Such a peer cannot publish.
    pub hidden: bool,
}

impl Default for Permissions {
    fn default() -> Self {
        Self {
            can_join: true,
            can_create_room: true,
            can_publish: true,
            can_publish_sources: None,
            can_subscribe: true,
            can_publish_data: true,
            can_update_own_metadata: false,
            can_use_plain_transports: false,
            admin: false,
            hidden: false,
        }
    }
}

impl Permissions {
    /// The permissions that both contain. `hidden` is a restriction: one of them is sufficient.
    pub fn and(self, other: Self) -> Self {
        let can_publish_sources = match (self.can_publish_sources, other.can_publish_sources) {
            (Some(one), Some(two)) => Some(one.into_iter().filter(|source| two.contains(source)).collect()),
            (one, two) => one.or(two),
        };
        Self {
            can_join: self.can_join && other.can_join,
            can_create_room: self.can_create_room && other.can_create_room,
            can_publish: self.can_publish && other.can_publish,
            can_publish_sources,
            can_subscribe: self.can_subscribe && other.can_subscribe,
            can_publish_data: self.can_publish_data && other.can_publish_data,
            can_update_own_metadata: self.can_update_own_metadata && other.can_update_own_metadata,
            can_use_plain_transports: self.can_use_plain_transports && other.can_use_plain_transports,
            admin: self.admin && other.admin,
            hidden: self.hidden || other.hidden,
        }
    }

    /// Whether a producer of this source is permitted.
    pub fn may_publish(&self, source: &str) -> bool {
        let has_source = |sources: &Vec<String>| sources.iter().any(|permitted| permitted == source);
        self.can_publish && !self.hidden && self.can_publish_sources.as_ref().is_none_or(has_source)
    }
}

/// Checks the name of a room. The error is what is expected.
pub fn check_room(room: &str) -> Result<(), String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !room.is_empty() && room.len() <= limits::ROOM_LEN_MAX && room.chars().all(is_name) {
        return Ok(());
    }
    Err(format!("1 to {} of A-Z a-z 0-9 . _ -", limits::ROOM_LEN_MAX))
}

/// Checks a user id. The error is what is expected.
pub fn check_user(user: &str) -> Result<(), String> {
    let has_length =
        (1..=limits::USER_LEN_MAX).contains(&user.chars().count()) && user.len() <= limits::USER_BYTES_MAX;
    if has_length && !user.chars().any(char::is_control) {
        return Ok(());
    }
    let (chars, bytes) = (limits::USER_LEN_MAX, limits::USER_BYTES_MAX);
    Err(format!("1 to {chars} characters in at most {bytes} bytes, none of them a control character"))
}

/// Checks the name of a source. The error is what is expected.
pub fn check_source(source: &str) -> Result<(), String> {
    if source.chars().count() <= limits::SOURCE_LEN_MAX && !source.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!("at most {} characters, none of them a control character", limits::SOURCE_LEN_MAX))
}

/// Signs a token with a shared secret: HS256.
pub fn mint(claims: &Claims, secret: &[u8]) -> Result<String, KeyError> {
    mint_with_kid(claims, secret, None)
}

/// Signs a token with a shared secret, HS256, and names the key.
pub fn mint_with_kid(claims: &Claims, secret: &[u8], kid: Option<&str>) -> Result<String, KeyError> {
    key::check_secret(secret)?;
    let mut header = Header::new(Algorithm::HS256);
    header.kid = kid.map(str::to_owned);
    let token = jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret));
    Ok(token.expect("claims are plain JSON, and HS256 takes any key"))
}
