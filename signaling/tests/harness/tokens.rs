//! Tokens, and what clients of administrators request.

use super::engine::{Engine, socket_path};
use super::{Client, Signaling, join};
use signaling::auth::keyring::Keyring;
use signaling::auth::token::{self, Claims, NumericDate, Permissions};
use signaling::proto::{self, signal::Payload};
use signaling::rooms::Admission;
use std::time::{Duration, SystemTime};

pub const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
pub const OTHER_SECRET: &[u8] = b"fedcba9876543210fedcba9876543210";

pub fn keyring() -> Keyring {
    Keyring::with_secret(SECRET, Duration::ZERO).expect("a good secret")
}

pub fn start() -> (Engine, Signaling) {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::TokenRequired(keyring()));
    (engine, signaling)
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

pub fn claims(user: &str, permissions: Permissions) -> Claims {
    let (iat, jti) = (Some(NumericDate(now())), Some(format!("token of {user}")));
    Claims { permissions, iat, jti, ..Claims::new(user, "r", NumericDate(now() + 3_600)) }
}

pub fn token(claims: &Claims) -> String {
    token::mint(claims, SECRET).expect("a good secret")
}

pub fn entry(user: &str, permissions: Permissions) -> proto::JoinRoom {
    proto::JoinRoom { token: token(&claims(user, permissions)), ..join("r", "") }
}

pub fn admin() -> Permissions {
    Permissions { admin: true, ..Permissions::default() }
}

/// A client in the room `r`.
pub async fn enter(signaling: &Signaling, user: &str, permissions: Permissions) -> (Client, proto::Joined) {
    let client = signaling.client();
    let joined = client.join(entry(user, permissions)).await;
    (client, joined)
}

pub fn resume(joined: &proto::Joined) -> proto::Resume {
    let (peer_id, secret) = (joined.peer_id.clone(), joined.resume_secret.clone());
    proto::Resume { peer_id, secret, ..Default::default() }
}

pub fn set_room(change: impl FnOnce(&mut proto::SetRoom)) -> Payload {
    let mut set = proto::SetRoom::default();
    change(&mut set);
    Payload::SetRoom(set)
}

pub fn kick(peer: &str) -> Payload {
    Payload::Kick(proto::Kick { peer_id: peer.into(), ..Default::default() })
}

/// Skips notifications up to the first one that `is_it` accepts.
pub async fn until<T>(client: &mut Client, is_it: impl Fn(Payload) -> Option<T>) -> T {
    loop {
        if let Some(found) = is_it(client.notification().await) {
            return found;
        }
    }
}
