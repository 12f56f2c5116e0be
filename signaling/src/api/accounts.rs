//! Logging in: `POST /api/v1/login` exchanges a password for a session, and `POST /api/v1/token` a session for
//! the token of a room.
//!
//! A session is a JWT. It is signed with a key that is derived from the key of the server for the project, so
//! that it is no token for a room. It ends when the user is disabled or erased or gets another password.

use super::ApiError;
use crate::auth::key::{self, KeyError};
use crate::auth::token::{self, Audience, Claims, NumericDate, Permissions};
use crate::limits;
use crate::proto::ErrorCode;
use crate::token_bucket::TokenBuckets;
use aws_lc_rs::hmac;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use stores::accounts::{
    AccountError, Accounts, ApiKey, DEFAULT_PROJECT, LoginError, PasswordThreads, User, check_project,
    check_user,
};

/// The address of a client, an extension of every request.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// What the tokens of this server contain beside the user.
#[derive(Clone, Debug, Default)]
pub struct TokenParties {
    /// `aud`.
    pub audience: Option<String>,
    /// `iss`.
    pub issuer: Option<String>,
}

/// The requests about accounts.
pub struct AccountsApi {
    accounts: Accounts,
    passwords: PasswordThreads,
    parties: TokenParties,
    buckets: Mutex<LoginBuckets>,
}

/// Limits of logins.
struct LoginBuckets {
    by_address: TokenBuckets,
    /// By project and name, whether or not there is such a user.
    by_account: TokenBuckets<(String, String)>,
    /// Requests for tokens of rooms.
    room_tokens: TokenBuckets,
}

impl AccountsApi {
    /// Starts the threads that hash passwords.
    pub fn start(accounts: Accounts, parties: TokenParties) -> io::Result<Self> {
        let by_address =
            TokenBuckets::new(limits::LOGINS_PER_ADDRESS_PER_SECOND, limits::LOGINS_PER_ADDRESS_BURST);
        let by_account =
            TokenBuckets::new(limits::LOGINS_PER_ACCOUNT_PER_SECOND, limits::LOGINS_PER_ACCOUNT_BURST);
        let room_tokens = TokenBuckets::new(
            limits::ROOM_TOKENS_PER_ADDRESS_PER_SECOND,
            limits::ROOM_TOKENS_PER_ADDRESS_BURST,
        );
        let buckets = Mutex::new(LoginBuckets { by_address, by_account, room_tokens });
        Ok(Self { accounts, passwords: PasswordThreads::start()?, parties, buckets })
    }

    /// The routes.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/api/v1/login", post(login))
            .route("/api/v1/token", post(room_token))
            .layer(DefaultBodyLimit::max(limits::API_BODY_BYTES_MAX))
            .with_state(self)
    }

    fn check_limits(&self, address: IpAddr, account: (String, String)) -> Result<(), ApiError> {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets
            .by_address
            .take(address, now)
            .map_err(|pause| ApiError::limit("too many logins from this address; try again later", pause))?;
        buckets
            .by_account
            .take_of(account, now)
            .map_err(|pause| ApiError::limit("too many logins of this user; try again later", pause))
    }
}

#[derive(Deserialize)]
struct LoginRequest {
    project: Option<String>,
    user: String,
    password: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoginAnswer {
    /// The session.
    token: String,
    /// Seconds since 1970.
    expires_at: u64,
    project: String,
    user: String,
    admin: bool,
}

#[derive(Deserialize)]
struct TokenRequest {
    room: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenAnswer {
    /// For `JoinRoom.token`.
    token: String,
    /// Seconds since 1970.
    expires_at: u64,
    room: String,
}

/// The claims of a session.
#[derive(Serialize, Deserialize)]
struct SessionClaims {
    /// The permanent id of the user.
    sub: String,
    /// The name of the user.
    user: String,
    /// The session ended if that of the user is higher.
    epoch: i64,
    exp: u64,
}

async fn login(
    State(api): State<Arc<AccountsApi>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(not_read)?;
    let LoginRequest { project, user, password } = parse(&body, "{project?, user, password}")?;
    let project = project.unwrap_or_else(|| DEFAULT_PROJECT.to_owned());
    check_project(&project)
        .and_then(|()| check_user(&user))
        .map_err(|error| ApiError::bad(error.to_string()))?;
    api.check_limits(address, (project.clone(), user.clone()))?;
    let user = match api.accounts.log_in(&api.passwords, &project, &user, &password).await {
        Ok(user) => user,
        Err(LoginError::Credentials) => {
            let text = LoginError::Credentials.to_string();
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "LOGIN_REFUSED", text));
        }
        Err(LoginError::Busy(error)) => return Err(ApiError::limit(error.to_string(), limits::QUOTA_PAUSE)),
        Err(LoginError::Store(error)) => return Err(unavailable(&error)),
    };
    let key = api.accounts.server_key(&project).await.map_err(|error| unavailable(&error))?;
    let expires_at = now_seconds() + limits::SESSION_TTL.as_secs();
    let User { id, name, is_admin, session_epoch, .. } = user;
    let claims = SessionClaims { sub: id, user: name.clone(), epoch: session_epoch, exp: expires_at };
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(key.id.clone());
    let token =
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(session_secret(&key).as_ref()));
    let token = token.expect("claims are plain JSON, and HS256 takes any key");
    Ok(json(&LoginAnswer { token, expires_at, project, user: name, admin: is_admin }))
}

async fn room_token(
    State(api): State<Arc<AccountsApi>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(not_read)?;
    let taken = {
        let mut buckets = api.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.room_tokens.take(address, Instant::now())
    };
    taken.map_err(|pause| ApiError::limit("too many requests from this address; try again later", pause))?;
    let (user, key) = api.session(&headers).await?;
    let TokenRequest { room } = parse(&body, "{room}")?;
    token::check_room(&room).map_err(|wanted| ApiError::bad(format!("room: expected {wanted}")))?;
    let now = now_seconds();
    let expires_at = now + limits::ROOM_TOKEN_TTL.as_secs();
    let TokenParties { audience, issuer } = api.parties.clone();
    let claims = Claims {
        name: Some(user.name.chars().take(limits::DISPLAY_NAME_LEN_MAX).collect()),
        iat: Some(NumericDate(now)),
        jti: Some(random_id()),
        aud: audience.map(Audience::One),
        iss: issuer,
        permissions: Permissions { admin: user.is_admin, ..Permissions::default() },
        ..Claims::new(user.name, room.clone(), NumericDate(expires_at))
    };
    let token = token::mint_with_kid(&claims, key.secret.as_bytes(), Some(&key.id));
    let token = token.map_err(|error: KeyError| {
        tracing::error!(key = key.id, error = %error, "a stored key cannot sign");
        ApiError::with_code(
            StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::Internal,
            "internal error; see the log of the server",
        )
    })?;
    Ok(json(&TokenAnswer { token, expires_at, room }))
}

impl AccountsApi {
    /// The user of a session, and the key of the server for the user's project.
    async fn session(&self, headers: &HeaderMap) -> Result<(User, ApiKey), ApiError> {
        let refused = |message| ApiError::new(StatusCode::UNAUTHORIZED, "SESSION_INVALID", message);
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = bearer
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(|| refused("expected the header Authorization: Bearer, with the token of a login"))?;
        let ended = || refused("the session has ended or is invalid; log in again");
        if token.len() > limits::TOKEN_LEN_MAX {
            return Err(ended());
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| ended())?;
        let kid = header.kid.filter(|kid| key::check_id(kid).is_ok()).ok_or_else(ended)?;
        let found = self.accounts.valid_server_key(&kid).await.map_err(|error| unavailable(&error))?;
        let key = found.ok_or_else(ended)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_aud = false;
        let decoding = DecodingKey::from_secret(session_secret(&key).as_ref());
        let claims = jsonwebtoken::decode::<SessionClaims>(token, &decoding, &validation);
        let SessionClaims { sub, user, epoch, .. } = claims.map_err(|_| ended())?.claims;
        let found = self.accounts.user(&key.project, &user).await.map_err(|error| unavailable(&error))?;
        let is_valid = |user: &User| user.id == sub && user.session_epoch == epoch && !user.is_disabled;
        Ok((found.filter(is_valid).ok_or_else(ended)?, key))
    }
}

/// Another key than that of tokens for rooms, so that neither is accepted as the other.
fn session_secret(key: &ApiKey) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.secret.as_bytes()), b"session of a user")
}

fn not_read(error: BytesRejection) -> ApiError {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let text = format!("the body must have at most {} bytes", limits::API_BODY_BYTES_MAX);
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LONG", text)
        }
        _ => ApiError::bad("the body ended early".to_owned()),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8], wanted: &str) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad(format!("the body must be JSON, {wanted}: {error}")))
}

fn json(value: &impl Serialize) -> Response {
    let body = serde_json::to_string(value).expect("plain JSON") + "\n";
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// The database did not answer, or the server has an error.
fn unavailable(error: &AccountError) -> ApiError {
    match error {
        // The project was deleted meanwhile.
        AccountError::NotFound { .. } => {
            ApiError::new(StatusCode::UNAUTHORIZED, "LOGIN_REFUSED", LoginError::Credentials.to_string())
        }
        error => {
            tracing::warn!(error = error as &dyn std::error::Error, "a request about accounts failed");
            let text = "the database of accounts is not available; try again";
            ApiError::with_code(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::StoreUnavailable, text)
                .retry_after(limits::QUOTA_PAUSE)
        }
    }
}

fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// So that a token can be revoked alone.
fn random_id() -> String {
    format!("{:016x}", getrandom::u64().expect("the system provides random numbers"))
}
