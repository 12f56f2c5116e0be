//! A controlling ICE agent (RFC 8445) with one pair, like a browser: it checks, nominates, continues checking
//! for consent (RFC 7675), and answers the other side's checks. STUN is the published crate's; it is used for
//! joins, not media.

use super::{Local, Remote};
use oracle_stun::attributes::{
    ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME, RawAttribute,
};
use oracle_stun::fingerprint::FINGERPRINT;
use oracle_stun::integrity::MessageIntegrity;
use oracle_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter};
use oracle_stun::textattrs::TextAttribute;
use oracle_stun::xoraddr::XorMappedAddress;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The interval of checks until one succeeds.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The interval of checks of the nominated pair, as in Chrome.
const CONSENT_INTERVAL: Duration = Duration::from_millis(2500);

/// A peer-reflexive candidate's, RFC 8445 §5.1.2.1.
const PRIORITY: u32 = 0x6e00_1eff;

/// The agent.
pub struct Agent {
    username: String,
    local: MessageIntegrity,
    remote: MessageIntegrity,
    is_connected: bool,
    next_check: Instant,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The result of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// Not usable.
    Nothing,
    /// A check was answered: the pair works.
    Connected,
    /// The other side's check; this is the answer.
    Answer(Vec<u8>),
}

impl Agent {
    /// Begins to check at `now`.
    pub fn new(now: Instant, local: &Local, remote: &Remote) -> Self {
        Self {
            username: format!("{}:{}", remote.ufrag, local.ufrag),
            local: MessageIntegrity::new_short_term_integrity(local.pwd.clone()),
            remote: MessageIntegrity::new_short_term_integrity(remote.pwd.clone()),
            is_connected: false,
            next_check: now,
        }
    }

    /// The time of the next check.
    pub fn next_timeout(&self) -> Instant {
        self.next_check
    }

    /// The check that is due.
    pub fn check(&mut self, now: Instant) -> Vec<u8> {
        self.next_check = now + if self.is_connected { CONSENT_INTERVAL } else { CHECK_INTERVAL };
        let attribute =
            |typ, value: &[u8]| RawAttribute { typ, length: value.len() as u16, value: value.to_vec() };
        build(&[
            Box::new(BINDING_REQUEST),
            Box::new(TextAttribute::new(ATTR_USERNAME, self.username.clone())),
            Box::new(attribute(ATTR_PRIORITY, &PRIORITY.to_be_bytes())),
            Box::new(attribute(ATTR_ICE_CONTROLLING, &[0xff; 8])),
            Box::new(attribute(ATTR_USE_CANDIDATE, &[])),
            Box::new(self.remote.clone()),
            Box::new(FINGERPRINT),
        ])
    }

    /// A STUN message from `from`.
    pub fn on_message(&mut self, bytes: &[u8], from: SocketAddr) -> CheckResult {
        let mut message = Message::new();
        if message.unmarshal_binary(bytes).is_err() {
            return CheckResult::Nothing;
        }
        if message.typ == BINDING_SUCCESS && self.remote.check(&mut message).is_ok() {
            self.is_connected = true;
            return CheckResult::Connected;
        }
        if message.typ != BINDING_REQUEST || self.local.check(&mut message).is_err() {
            return CheckResult::Nothing;
        }
        CheckResult::Answer(build(&[
            Box::new(message.transaction_id),
            Box::new(BINDING_SUCCESS),
            Box::new(XorMappedAddress { ip: from.ip(), port: from.port() }),
            Box::new(self.local.clone()),
            Box::new(FINGERPRINT),
        ]))
    }
}

/// A message with a random transaction id, unless the setters set another.
fn build(setters: &[Box<dyn Setter>]) -> Vec<u8> {
    let mut message = Message::new();
    message.new_transaction_id().expect("there is randomness");
    message.build(setters).expect("attributes of usual size");
    message.raw
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides() -> (Agent, Agent) {
        let (now, address) = (Instant::now(), "127.0.0.1:9".parse().unwrap());
        let local =
            |name: &str| Local { ufrag: format!("ufrag-{name}"), pwd: format!("a long password of {name}") };
        let remote = |name: &str| Remote {
            address,
            ufrag: local(name).ufrag,
            pwd: local(name).pwd,
            fingerprint: String::new(),
        };
        (Agent::new(now, &local("a"), &remote("b")), Agent::new(now, &local("b"), &remote("a")))
    }

    #[test]
    fn two_agents_connect() {
        let (mut ours, mut theirs) = sides();
        let from = "127.0.0.1:7".parse().unwrap();
        let CheckResult::Answer(answer) = theirs.on_message(&ours.check(Instant::now()), from) else {
            panic!("a check is answered")
        };
        assert_eq!(ours.on_message(&answer, from), CheckResult::Connected);
        assert!(ours.next_timeout() <= Instant::now() + CHECK_INTERVAL);
        ours.check(Instant::now());
        assert!(ours.next_timeout() > Instant::now() + CHECK_INTERVAL, "consent is slower");
    }

    #[test]
    fn unauthenticated_messages_are_ignored() {
        let (mut ours, _) = sides();
        let (mut other, from) = (sides().1, "127.0.0.1:7".parse().unwrap());
        let check = ours.check(Instant::now());
        assert_eq!(ours.on_message(&check, from), CheckResult::Nothing, "keyed for the other side");
        let CheckResult::Answer(mut answer) = other.on_message(&check, from) else { panic!() };
        let last = answer.len() - 20;
        answer[last] ^= 1;
        assert_eq!(ours.on_message(&answer, from), CheckResult::Nothing);
        assert_eq!(ours.on_message(b"nonsense", from), CheckResult::Nothing);
    }
}
