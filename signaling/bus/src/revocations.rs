//! Revoked TURN credentials, in a bucket that TURN servers read.
//!
//! A credential has the user name `EXPIRY:USER`. A revocation names the user and the latest expiry that it
//! covers: all credentials of this user that were minted before. A credential that is minted later expires
//! later and is valid. When the latest expiry has passed, no covered credential can be used, so the entry
//! may be removed.

use crate::limits::{
    MESSAGE_BYTES_MAX, REVOCATION_MARGIN, REVOCATIONS_BATCH, REVOCATIONS_PENDING_MAX, REVOCATIONS_READ_EVERY,
    STORE_RETRY, USER_BYTES_MAX,
};
use crate::message::{BusError, bucket_subject};
use crate::subject::token;
use crate::transport::Bus;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// The bucket.
const BUCKET: &str = "leat_turn_revocations";

/// The version of the format.
const VERSION: u32 = 1;

/// A user whose credentials with an expiry up to this one are revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    version: u32,
    /// The part of the user name after the expiry.
    pub user: String,
    /// Seconds since 1970.
    pub expires_until: u64,
}

impl Revocation {
    /// A revocation of the credentials of this user that expire at this time since 1970 or before.
    pub fn new(user: &str, expires_until: Duration) -> Self {
        Self { version: VERSION, user: user.to_owned(), expires_until: expires_until.as_secs() }
    }

    fn from_json(json: &[u8]) -> Option<Self> {
        let json = (json.len() <= MESSAGE_BYTES_MAX).then_some(json)?;
        let read: Self = serde_json::from_slice(json).ok()?;
        (1..=USER_BYTES_MAX).contains(&read.user.len()).then_some(read)
    }

    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers can always be written")
    }
}

/// Stores revocations. A clone is the same.
#[derive(Clone, Debug)]
pub struct Revocations {
    queue: mpsc::Sender<Revocation>,
    lifetime: Duration,
}

impl Revocations {
    /// Stores them on this bus. `lifetime` is that of the credentials.
    pub fn start(bus: Bus, lifetime: Duration) -> Self {
        let (queue, queued) = mpsc::channel(REVOCATIONS_PENDING_MAX);
        tokio::spawn(store(bus, queued, lifetime + REVOCATION_MARGIN));
        Self { queue, lifetime }
    }

    /// Revokes all credentials of this user that were minted until `now` (since 1970). Never waits: it is
    /// stored in the background, and again until it is stored or has no effect any more. False if the user
    /// name is impossible or too many revocations wait; this is logged.
    pub fn revoke(&self, user: &str, now: Duration) -> bool {
        if !(1..=USER_BYTES_MAX).contains(&user.len()) {
            tracing::error!(
                bytes = user.len(),
                "a TURN user name has 1 to {USER_BYTES_MAX} bytes: not revoked"
            );
            return false;
        }
        let is_queued = self.queue.try_send(Revocation::new(user, now + self.lifetime)).is_ok();
        if !is_queued {
            tracing::error!(
                userId = user,
                "{REVOCATIONS_PENDING_MAX} revocations wait for NATS: the TURN credentials of this user stay valid"
            );
        }
        is_queued
    }
}

/// Stores what is queued, and repeats what failed: after a timeout it is not known whether it was stored.
async fn store(bus: Bus, mut queued: mpsc::Receiver<Revocation>, max_age: Duration) {
    let mut pending: BTreeMap<String, Revocation> = BTreeMap::new();
    let mut has_warned = false;
    loop {
        if pending.is_empty() {
            let Some(next) = queued.recv().await else { return };
            pending.insert(next.user.clone(), next);
        }
        while pending.len() < REVOCATIONS_PENDING_MAX
            && let Ok(next) = queued.try_recv()
        {
            pending.insert(next.user.clone(), next);
        }
        let now = unix_now().as_secs();
        pending.retain(|_, revocation| revocation.expires_until >= now);
        let Some((user, revocation)) = pending.first_key_value() else { continue };
        let user = user.clone();
        match bus.put(BUCKET, &token(&user), revocation.to_json().into(), max_age).await {
            Ok(()) => {
                has_warned = false;
                tracing::info!(userId = user, "the TURN credentials of this user are revoked");
                pending.remove(&user);
            }
            Err(error) => {
                if !std::mem::replace(&mut has_warned, true) {
                    tracing::warn!(%error, waiting = pending.len(), "cannot store revocations; trying again");
                }
                sleep(STORE_RETRY).await;
            }
        }
    }
}

/// Reads all revocations at once, after every connection to NATS, and every [`REVOCATIONS_READ_EVERY`], and
/// those that are stored in between at once. `apply` gets at most [`REVOCATIONS_BATCH`] at a time, often the
/// same ones again. Ends when the bus ends.
pub async fn follow_revocations(bus: Bus, mut apply: impl FnMut(Vec<Revocation>)) {
    // Before the first read, so that none is missed.
    let mut stored = bus.subscribe(&bucket_subject(BUCKET, ">")).await;
    let mut connections = bus.connections();
    let mut read_at = Instant::now();
    let mut has_warned = false;
    loop {
        let connected = async {
            match &mut connections {
                Some(connections) => connections.changed().await.is_ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = stored.next() => {
                let Some(message) = message else { return };
                if let Some(revocation) = Revocation::from_json(&message.payload) {
                    apply(vec![revocation]);
                }
            }
            is_alive = connected => {
                if !is_alive {
                    return;
                }
                read_at = Instant::now();
            }
            () = sleep_until(read_at) => match bus.read_all(BUCKET).await {
                Ok(values) => {
                    has_warned = false;
                    read_at = Instant::now() + REVOCATIONS_READ_EVERY;
                    let all: Vec<_> = values.iter().filter_map(|value| Revocation::from_json(value)).collect();
                    all.chunks(REVOCATIONS_BATCH).for_each(|batch| apply(batch.to_vec()));
                }
                // The next connection wakes this.
                Err(BusError::Away) => read_at = Instant::now() + REVOCATIONS_READ_EVERY,
                Err(error) => {
                    if !std::mem::replace(&mut has_warned, true) {
                        tracing::warn!(%error, "cannot read the revocations; trying again");
                    }
                    read_at = Instant::now() + STORE_RETRY;
                }
            },
        }
    }
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
