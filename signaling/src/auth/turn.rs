//! The TURN servers that are announced to clients: their URLs, and short-lived credentials.
//!
//! The URLs are those of the options, and those of the least loaded server in the register on the bus.
//!
//! A credential is derived from a secret that the TURN server also has (coturn's `use-auth-secret`, "TURN
//! REST API"): the user name contains the expiry time and the user, the password is an HMAC of it. Neither
//! side stores credentials.

use super::DEFAULT_PROJECT;
use crate::limits::TURN_URLS_MAX;
use crate::proto::IceServer;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bus::{Bus, Region, Revocations, TurnRegister, TurnUrl};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use bus::url_host as host;

/// The TURN servers that are announced to clients.
pub struct TurnServer {
    urls: Vec<String>,
    key: hmac::Key,
    secret_id: String,
    ttl: Duration,
    on_bus: Option<OnBus>,
}

/// The TURN servers that are known by the bus.
struct OnBus {
    register: Arc<Mutex<TurnRegister>>,
    /// Where this process is.
    region: Option<Region>,
    revocations: Revocations,
}

/// An invalid TURN configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnServerError {
    /// Not a TURN URL (RFC 7065).
    #[error(
        "--turn-url {0:?}: expected turn:HOST:PORT?transport=udp (or tcp), or turns:HOST:PORT?transport=tcp"
    )]
    Url(String),
    /// Browsers become slow with more than a few.
    #[error("--turn-url is given {0} times; at most {TURN_URLS_MAX} are possible")]
    TooMany(usize),
    /// Credentials need a secret.
    #[error(
        "--turn-url needs a secret: give --turn-secret-file or LEAT_TURN_SECRET, the same as for the TURN server"
    )]
    NoSecret,
}

impl TurnServer {
    /// Announces these URLs, with credentials that expire after `ttl`. Only the first line of the secret
    /// counts: the file of the TURN server may have a second line with the previous secret.
    pub fn new(urls: Vec<String>, secret: &str, ttl: Duration) -> Result<Self, TurnServerError> {
        let secret =
            secret.lines().map(str::trim).find(|line| !line.is_empty()).ok_or(TurnServerError::NoSecret)?;
        if urls.len() > TURN_URLS_MAX {
            return Err(TurnServerError::TooMany(urls.len()));
        }
        if let Some(url) = urls.iter().find(|url| url.parse::<TurnUrl>().is_err()) {
            return Err(TurnServerError::Url(url.clone()));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        Ok(Self { urls, key, secret_id: secret_id(secret), ttl, on_bus: None })
    }

    /// Uses the register of TURN servers on this bus, and revokes credentials there. `region` is where this
    /// process is.
    pub fn use_bus(&mut self, bus: &Bus, region: Option<Region>) {
        let register = Arc::<Mutex<TurnRegister>>::default();
        tokio::spawn(bus::follow_turn_servers(bus.clone(), register.clone()));
        let revocations = Revocations::start(bus.clone(), self.ttl);
        self.on_bus = Some(OnBus { register, region, revocations });
    }

    /// The URLs, each group with a new credential for this user; `now` is the time since 1970. A registered
    /// server is first: a browser tries all, and prefers none.
    pub fn ice_servers(&self, user: &str, now: Duration) -> Vec<IceServer> {
        let of_options = (!self.urls.is_empty()).then(|| self.urls.clone());
        let groups = self.registered().into_iter().chain(of_options);
        groups.map(|urls| self.ice_server(urls, user, now)).collect()
    }

    fn ice_server(&self, urls: Vec<String>, user: &str, now: Duration) -> IceServer {
        let username = format!("{}:{user}", (now + self.ttl).as_secs());
        let credential = STANDARD.encode(hmac::sign(&self.key, username.as_bytes()));
        IceServer { urls, username, credential }
    }

    /// The id by which TURN servers that accept our credentials are known in the register.
    pub fn secret_id(&self) -> &str {
        &self.secret_id
    }

    /// The URLs of the registered server for the next client.
    fn registered(&self) -> Option<Vec<String>> {
        let OnBus { register, region, .. } = self.on_bus.as_ref()?;
        let mut register = register.lock().unwrap_or_else(PoisonError::into_inner);
        register.choose(region.as_ref(), &self.secret_id)
    }

    /// Revokes all credentials of this user that were minted until `now` (since 1970). Without a bus, TURN
    /// servers do not get it, and the credentials end with their lifetime.
    pub fn revoke(&self, user: &str, now: Duration) {
        if let Some(on_bus) = &self.on_bus {
            on_bus.revocations.revoke(user, now);
        }
    }
}

/// The user in a credential: users of different projects are different, also if they have the same name. A
/// project has no slash in its name.
pub fn user_name(project: &str, user: &str) -> String {
    if project == DEFAULT_PROJECT && !user.contains('/') {
        user.to_owned()
    } else {
        format!("{project}/{user}")
    }
}

/// The id of a secret in the register; `leat-turn` computes the same.
fn secret_id(secret: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), b"leat.turn.v1");
    tag.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
