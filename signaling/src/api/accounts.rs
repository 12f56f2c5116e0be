//! Logging in: `POST /api/v1/login` exchanges a password for a session, and `POST /api/v1/token` a session for
//! the token of a room.
//!
//! A session is a JWT. It is signed with a key that is derived from the key of the server for the project, so
//! that it is no token for a room. It ends when the user is disabled or erased or gets another password.

use super::Problem;
use super::input::{UntypedBody, json};
use crate::auth::key::{self, KeyError};
use crate::auth::token::{self, Audience, Claims, NumericDate, Permissions};
use crate::limits;
use crate::token_bucket::TokenBuckets;
use aws_lc_rs::hmac;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::{Extension, Router};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use stores::accounts::limits::PROJECT_LEN_MAX;
use stores::accounts::{
    AccountError, Accounts, ApiKey, DEFAULT_PROJECT, LoginError, PasswordThreads, User, check_project,
};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

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
        let (router, _) = Self::routes().split_for_parts();
        router.layer(DefaultBodyLimit::max(limits::API_BODY_BYTES_MAX)).with_state(self)
    }

    /// The routes, with their description.
    pub(super) fn routes() -> OpenApiRouter<Arc<Self>> {
        OpenApiRouter::new().routes(routes!(login)).routes(routes!(room_token))
    }

    pub(super) fn store(&self) -> &Accounts {
        &self.accounts
    }

    pub(super) fn passwords(&self) -> &PasswordThreads {
        &self.passwords
    }

    fn check_limits(&self, address: IpAddr, account: (String, String)) -> Result<(), Problem> {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets
            .by_address
            .take(address, now)
            .map_err(|pause| Problem::limit("too many logins from this address; try again later", pause))?;
        buckets
            .by_account
            .take_of(account, now)
            .map_err(|pause| Problem::limit("too many logins of this user; try again later", pause))
    }
}

/// A name and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Login)]
struct LoginRequest {
    /// `default` if it is absent.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    project: Option<String>,
    /// The name of the user.
    #[schema(min_length = 1, max_length = 128, example = "ada")]
    user: String,
    /// The password.
    #[schema(max_length = 1024, format = Password)]
    password: String,
}

/// A session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LoginSession)]
struct LoginAnswer {
    /// The session: for the header `Authorization: Bearer` of this API. It is no token for a room.
    token: String,
    /// Seconds since 1970.
    expires_at: u64,
    /// The project.
    project: String,
    /// The name of the user.
    user: String,
    /// Whether the user administers the project.
    admin: bool,
}

/// A room.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OwnToken)]
struct TokenRequest {
    /// The room.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$", example = "stage")]
    room: String,
}

/// A token for a room, for the user itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RoomToken)]
struct TokenAnswer {
    /// For `JoinRoom.token`.
    token: String,
    /// Seconds since 1970.
    expires_at: u64,
    /// The room.
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

/// Logs in
///
/// Exchanges a name and a password for a session.
#[utoipa::path(post, path = "/api/v1/login", tag = "accounts", request_body = LoginRequest, security(()),
    responses((status = 200, description = "A session", body = LoginAnswer)))]
async fn login(
    State(api): State<Arc<AccountsApi>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    UntypedBody(request): UntypedBody<LoginRequest>,
) -> Result<Response, Problem> {
    let LoginRequest { project, user, password } = request;
    let project = project.unwrap_or_else(|| DEFAULT_PROJECT.to_owned());
    check_project(&project)
        .map_err(|_| Problem::field("project", format!("1 to {PROJECT_LEN_MAX} of A-Z a-z 0-9 . _ -")))?;
    token::check_user(&user).map_err(|wanted| Problem::field("user", wanted))?;
    api.check_limits(address, (project.clone(), user.clone()))?;
    let user = match api.accounts.log_in(&api.passwords, &project, &user, &password).await {
        Ok(user) => user,
        Err(LoginError::Credentials) => {
            let text = LoginError::Credentials.to_string();
            return Err(Problem::new(StatusCode::UNAUTHORIZED, text).with_code("LOGIN_REFUSED"));
        }
        Err(LoginError::Busy(error)) => return Err(Problem::limit(error.to_string(), limits::QUOTA_PAUSE)),
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
    let answer = LoginAnswer { token, expires_at, project, user: name, admin: is_admin };
    Ok(json(StatusCode::OK, &answer))
}

/// Mints a token for a room, for the user itself
///
/// The same as `POST /api/v1/tokens` with the room alone; an administrator gets the permission `admin`.
#[utoipa::path(post, path = "/api/v1/token", tag = "accounts", request_body = TokenRequest, security(("bearer" = [])),
    responses((status = 200, description = "A token", body = TokenAnswer)))]
async fn room_token(
    State(api): State<Arc<AccountsApi>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
    request: Result<UntypedBody<TokenRequest>, Problem>,
) -> Result<Response, Problem> {
    let taken = {
        let mut buckets = api.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.room_tokens.take(address, Instant::now())
    };
    taken.map_err(|pause| Problem::limit("too many requests from this address; try again later", pause))?;
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(|| {
        session_invalid("expected the header Authorization: Bearer, with the token of a login")
    })?;
    let (user, key) = api.session(token).await?;
    let UntypedBody(TokenRequest { room }) = request?;
    token::check_room(&room).map_err(|wanted| Problem::field("room", wanted))?;
    let permissions = Permissions { admin: user.is_admin, ..Permissions::default() };
    let (token, expires_at) =
        api.sign(&key, &user.name, None, &room, &permissions, limits::ROOM_TOKEN_TTL)?;
    Ok(json(StatusCode::OK, &TokenAnswer { token, expires_at, room }))
}

impl AccountsApi {
    /// The user of a session, and the key of the server for the user's project.
    pub(super) async fn session(&self, token: &str) -> Result<(User, ApiKey), Problem> {
        let ended = || session_invalid("the session has ended or is invalid; log in again");
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

    /// A token that the server signs for a user of a project, and its expiry in seconds since 1970.
    pub(super) async fn mint(
        &self,
        project: &str,
        user: &str,
        name: Option<String>,
        room: &str,
        permissions: &Permissions,
        ttl: Duration,
    ) -> Result<(String, u64), Problem> {
        let key = self.accounts.server_key(project).await.map_err(|error| Problem::of_store(&error))?;
        self.sign(&key, user, name, room, permissions, ttl)
    }

    fn sign(
        &self,
        key: &ApiKey,
        user: &str,
        name: Option<String>,
        room: &str,
        permissions: &Permissions,
        ttl: Duration,
    ) -> Result<(String, u64), Problem> {
        let now = now_seconds();
        let expires_at = now + ttl.as_secs();
        let TokenParties { audience, issuer } = self.parties.clone();
        let shown = name.unwrap_or_else(|| user.chars().take(limits::DISPLAY_NAME_LEN_MAX).collect());
        let claims = Claims {
            name: Some(shown),
            iat: Some(NumericDate(now)),
            jti: Some(random_id()),
            aud: audience.map(Audience::One),
            iss: issuer,
            permissions: permissions.clone(),
            ..Claims::new(user, room, NumericDate(expires_at))
        };
        let token = token::mint_with_kid(&claims, key.secret.as_bytes(), Some(&key.id));
        let token = token.map_err(|error: KeyError| {
            tracing::error!(key = key.id, error = %error, "a stored key cannot sign");
            Problem::internal()
        })?;
        Ok((token, expires_at))
    }
}

fn session_invalid(text: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, text).with_code("SESSION_INVALID")
}

/// Another key than that of tokens for rooms, so that neither is accepted as the other.
fn session_secret(key: &ApiKey) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.secret.as_bytes()), b"session of a user")
}

/// The database did not answer, or the project was deleted meanwhile.
fn unavailable(error: &AccountError) -> Problem {
    match error {
        AccountError::NotFound { .. } => {
            let text = LoginError::Credentials.to_string();
            Problem::new(StatusCode::UNAUTHORIZED, text).with_code("LOGIN_REFUSED")
        }
        error => Problem::of_store(error),
    }
}

fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// So that a token can be revoked alone.
fn random_id() -> String {
    format!("{:016x}", getrandom::u64().expect("the system provides random numbers"))
}
