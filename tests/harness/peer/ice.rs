//! A full ICE agent in the controlling role (RFC 8445), like a browser: with one candidate on each side, it
//! checks the pair, nominates it, and continues checking it for consent (RFC 7675).

use control::IceParameters;
use machine::{Instant, Rng};
use std::net::SocketAddr;
use std::time::Duration;
use stun::{Class, Key, Message, Method, TransactionId, Writer};

/// Between checks until one succeeds.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Interval of checks of the nominated pair, as in Chrome.
const CONSENT_INTERVAL: Duration = Duration::from_millis(2500);

/// The agent.
#[derive(Debug)]
pub struct Agent {
    rng: Rng,
    ufrag: String,
    remote_ufrag: String,
    key: Key,
    tie_breaker: u64,
    stage: Stage,
    /// Checks without an answer yet.
    pending: Vec<(TransactionId, Instant)>,
    next_check: Option<Instant>,
    /// Our address in the engine's last answer.
    mapped: Option<SocketAddr>,
    round_trip: Option<Duration>,
    errors: Vec<u16>,
    nominates_once: bool,
}

/// In the order a session goes through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Checking,
    Nominating,
    Nominated,
}

impl Agent {
    /// Starts checks at `now`.
    pub fn new(now: Instant, remote: &IceParameters, mut rng: Rng) -> Self {
        Self {
            ufrag: format!("peer{:04x}", rng.below(1 << 16)),
            remote_ufrag: remote.ufrag.as_str().to_owned(),
            key: Key::short_term(remote.pwd.as_str()),
            tie_breaker: rng.next_u64(),
            rng,
            stage: Stage::Checking,
            pending: Vec::new(),
            next_check: Some(now),
            mapped: None,
            round_trip: None,
            errors: Vec::new(),
            nominates_once: false,
        }
    }

    /// Behaves like Firefox: consent checks have no USE-CANDIDATE, and are half as frequent as Chrome's.
    pub fn nominate_once(&mut self) {
        self.nominates_once = true;
    }

    /// The engine has restarted: checks with its new credentials.
    pub fn restart(&mut self, now: Instant, remote: &IceParameters) {
        remote.ufrag.as_str().clone_into(&mut self.remote_ufrag);
        self.key = Key::short_term(remote.pwd.as_str());
        self.stage = Stage::Checking;
        self.pending.clear();
        self.next_check = Some(now);
    }

    /// Stops checks, and so withdraws its consent.
    pub fn fall_silent(&mut self) {
        self.next_check = None;
    }

    /// Whether a check has succeeded.
    pub fn is_connected(&self) -> bool {
        self.stage > Stage::Checking
    }

    /// Whether a nomination has been confirmed.
    pub fn is_nominated(&self) -> bool {
        self.stage == Stage::Nominated
    }

    /// Our address, as the engine sees it.
    pub fn mapped(&self) -> Option<SocketAddr> {
        self.mapped
    }

    /// Of the last check that was answered.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// The codes of error responses.
    pub fn errors(&self) -> &[u16] {
        &self.errors
    }

    /// When the next check is sent.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.next_check
    }

    /// The check that is due at `now`, if one is.
    pub fn check(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.next_check.filter(|due| *due <= now)?;
        let mut id = [0; 12];
        self.rng.fill(&mut id);
        self.pending.push((TransactionId(id), now));
        let is_consent_only = self.nominates_once && self.is_nominated();
        let interval = match self.is_nominated() {
            true if is_consent_only => 2 * CONSENT_INTERVAL,
            true => CONSENT_INTERVAL,
            false => CHECK_INTERVAL,
        };
        self.next_check = Some(now + interval);
        Some(self.write_check(TransactionId(id), self.is_connected() && !is_consent_only))
    }

    /// A check with USE-CANDIDATE whose answer is ignored.
    pub fn nomination(&mut self) -> Vec<u8> {
        let mut id = [0; 12];
        self.rng.fill(&mut id);
        self.write_check(TransactionId(id), true)
    }

    fn write_check(&self, id: TransactionId, nominates: bool) -> Vec<u8> {
        let mut bytes = vec![0xa5; 256];
        let mut writer = Writer::new(&mut bytes, Class::Request, Method::BINDING, id).expect("it fits");
        writer.username(format!("{}:{}", self.remote_ufrag, self.ufrag).as_bytes());
        writer.priority(0x6e00_1eff).ice_controlling(self.tie_breaker);
        if nominates {
            writer.use_candidate();
        }
        let len = writer.integrity(&self.key).fingerprint().finish().expect("a check fits into 256 bytes");
        bytes.truncate(len);
        bytes
    }

    /// An answer, or a similar message. `Err` describes a fault.
    pub fn on_answer(&mut self, now: Instant, bytes: &[u8]) -> Result<(), String> {
        let message = Message::new(bytes).map_err(|malformed| format!("STUN is malformed: {malformed:?}"))?;
        let pending = self.pending.iter().position(|(id, _)| *id == message.transaction_id());
        let Some(pending) = pending else { return Ok(()) }; // from before a restart, or answered twice
        if !message.verify_integrity(&self.key) || message.verify_fingerprint() != Some(true) {
            return Err("a STUN answer is not authentic".to_owned());
        }
        let (_, sent_at) = self.pending.swap_remove(pending);
        if message.class() == Class::Error {
            self.errors.extend(message.error_code().map(|(code, _)| code));
            return Ok(());
        }
        self.mapped = message.xor_mapped_address();
        self.round_trip = Some(now.saturating_since(sent_at));
        self.stage = match self.stage {
            Stage::Checking => Stage::Nominating,
            Stage::Nominating | Stage::Nominated => Stage::Nominated,
        };
        if self.stage == Stage::Nominating {
            self.next_check = Some(now); // with USE-CANDIDATE
        }
        Ok(())
    }
}
