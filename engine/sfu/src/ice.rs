//! One transport's half of ICE: a lite agent (RFC 8445 §2.5) with host candidates only.
//!
//! It answers authenticated checks and originates none. A check that carries the right credentials makes its address
//! pair valid; USE-CANDIDATE selects it; checks that stop coming withdraw consent (RFC 7675).

use crate::limits;
use control::{Discard, IceParameters, IceState, Text};
use machine::{Instant, Path, Rng};
use stun::{Class, Key, Message, Method, Writer};

/// A username fragment of ours: fixed length, so that it is a key without allocation.
pub type Ufrag = [u8; UFRAG_LEN];

/// 8 characters of 6 bits: 48 bits, twice what RFC 8839 §5.4 asks for.
const UFRAG_LEN: usize = 8;

/// 24 characters of 6 bits: 144 bits; RFC 8839 §5.4 asks for 128.
const PWD_LEN: usize = 24;

/// An ICE-lite session.
#[derive(Debug)]
pub struct Ice {
    credentials: Credentials,
    /// Before a restart; serve until a check with the new ones succeeds (RFC 8445 §9: make before break).
    previous: Option<Credentials>,
    /// Those that passed a check, the most recently checked last.
    valid: Vec<Path>,
    selected: Option<Selected>,
    last_check: Option<Instant>,
}

#[derive(Debug)]
struct Credentials {
    ufrag: Ufrag,
    pwd: [u8; PWD_LEN],
    key: Key,
}

#[derive(Clone, Copy, Debug)]
struct Selected {
    path: Path,
    nominated: bool,
    /// When the peer last checked this very pair.
    checked_at: Instant,
}

/// What an accepted check changed outside of this session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// This pair is valid from now on (or still).
    pub valid: Option<Path>,
    /// This pair is forgotten in its favour.
    pub evicted: Option<Path>,
    /// This username fragment is no longer served: the restart is complete.
    pub retired: Option<Ufrag>,
}

/// The answer to write: its class, and for an error its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The check is good.
    Success,
    /// A comprehension-required attribute is unknown (RFC 8489 §6.3.1): 420.
    UnknownAttribute(u16),
    /// The peer claims the controlled role, which a lite agent always has (RFC 8445 §7.3.1.1): 487.
    RoleConflict,
}

impl Ice {
    /// New credentials, no pair.
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            credentials: Credentials::new(rng),
            previous: None,
            valid: Vec::with_capacity(limits::PAIRS_PER_TRANSPORT_MAX),
            selected: None,
            last_check: None,
        }
    }

    /// What the peer must know.
    pub fn parameters(&self) -> IceParameters {
        let text = |bytes: &[u8]| Text::new(String::from_utf8_lossy(bytes));
        IceParameters { ufrag: text(&self.credentials.ufrag), pwd: text(&self.credentials.pwd) }
    }

    /// The username fragment of the current credentials.
    pub fn ufrag(&self) -> Ufrag {
        self.credentials.ufrag
    }

    /// Every username fragment that is served.
    pub fn ufrags(&self) -> impl Iterator<Item = Ufrag> {
        std::iter::once(self.credentials.ufrag).chain(self.previous.as_ref().map(|previous| previous.ufrag))
    }

    /// New credentials; those of a restart that never completed are forgotten and returned.
    pub fn restart(&mut self, rng: &mut Rng) -> Option<Ufrag> {
        let old = std::mem::replace(&mut self.credentials, Credentials::new(rng));
        // Of two restarts in a row the peer may have seen neither: what works now must go on working.
        if self.previous.is_some() {
            return Some(old.ufrag);
        }
        self.previous = Some(old);
        None
    }

    /// A Binding request that named one of our username fragments. `Err`: not authentic, nothing changed.
    pub fn on_check(
        &mut self,
        now: Instant,
        path: Path,
        ufrag: &Ufrag,
        message: &Message<'_>,
    ) -> Result<(Answer, Accepted), Discard> {
        let is_current = *ufrag == self.credentials.ufrag;
        let key = self.key_of(ufrag).ok_or(Discard::StunUnknownUser)?;
        if !message.verify_integrity(key) || message.verify_fingerprint() == Some(false) {
            return Err(Discard::StunUnauthenticated);
        }
        if let Some(kind) = message.unknown_required().next() {
            return Ok((Answer::UnknownAttribute(kind), Accepted::default()));
        }
        if message.ice_controlled().is_some() {
            return Ok((Answer::RoleConflict, Accepted::default()));
        }

        let mut accepted = Accepted { valid: Some(path), ..Accepted::default() };
        if is_current {
            accepted.retired = self.previous.take().map(|previous| previous.ufrag);
        }
        accepted.evicted = self.validate(path);
        self.last_check = Some(now);
        let is_chosen = message.use_candidate() || accepted.retired.is_some();
        self.selected = Some(self.select(now, path, is_chosen, message.use_candidate()));
        Ok((Answer::Success, accepted))
    }

    /// What is selected after a check of `path`.
    ///
    /// Firefox nominates once: its consent checks carry no USE-CANDIDATE, and after a NAT gave it another address they come
    /// from there. So a pair that is no longer checked gives way to one that is.
    fn select(&self, now: Instant, path: Path, is_chosen: bool, nominated: bool) -> Selected {
        let fresh = Selected { path, nominated, checked_at: now };
        match self.selected {
            _ if is_chosen => fresh,
            // Media may flow on the first valid pair; the nomination follows in the same second.
            None => fresh,
            Some(selected) if selected.path == path => Selected { checked_at: now, ..selected },
            Some(selected) if now.saturating_since(selected.checked_at) >= limits::PAIR_STALE_AFTER => {
                Selected { nominated: selected.nominated, ..fresh }
            }
            Some(selected) => selected,
        }
    }

    /// Writes the answer to a check into `out`; its length, or `None` if `out` is too short.
    pub fn write_answer(
        &self,
        answer: Answer,
        ufrag: &Ufrag,
        path: Path,
        message: &Message<'_>,
        out: &mut [u8],
    ) -> Option<usize> {
        let class = if answer == Answer::Success { Class::Success } else { Class::Error };
        let mut writer = Writer::new(out, class, Method::BINDING, message.transaction_id())?;
        match answer {
            Answer::Success => writer.xor_mapped_address(path.remote),
            Answer::UnknownAttribute(kind) => {
                writer.error_code(420, "Unknown Attribute").unknown_attributes(&[kind])
            }
            Answer::RoleConflict => writer.error_code(487, "Role Conflict"),
        };
        // The check that completed a restart is answered with the credentials it came with.
        let key = self.key_of(ufrag)?;
        writer.integrity(key).fingerprint().finish()
    }

    /// The pair media goes by.
    pub fn selected(&self) -> Option<Path> {
        self.selected.map(|selected| selected.path)
    }

    /// Every valid pair.
    pub fn paths(&self) -> impl Iterator<Item = Path> {
        self.valid.iter().copied()
    }

    /// Another transport authenticated this address: it is no longer ours.
    pub fn forget(&mut self, path: Path) {
        self.valid.retain(|valid| *valid != path);
        if self.selected() == Some(path) {
            let checked_at = self.last_check.unwrap_or(Instant::EPOCH);
            self.selected =
                self.valid.last().map(|path| Selected { path: *path, nominated: false, checked_at });
        }
    }

    /// The state at `now`.
    pub fn state(&self, now: Instant) -> IceState {
        match (self.selected, self.last_check) {
            (Some(_), Some(last)) if now.saturating_since(last) >= limits::ICE_DISCONNECTED_AFTER => {
                IceState::Disconnected
            }
            (Some(Selected { nominated: true, .. }), _) => IceState::Completed,
            (Some(_), _) => IceState::Connected,
            (None, _) => IceState::New,
        }
    }

    /// Whether the peer has withdrawn its consent by silence (RFC 7675 §5.1).
    pub fn is_expired(&self, now: Instant) -> bool {
        self.last_check.is_some_and(|last| now.saturating_since(last) >= limits::ICE_CONSENT_EXPIRY)
    }

    /// When [`state`](Self::state) or [`is_expired`](Self::is_expired) next changes without a check.
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let last = self.last_check?;
        let disconnected_at = last + limits::ICE_DISCONNECTED_AFTER;
        Some(if now < disconnected_at { disconnected_at } else { last + limits::ICE_CONSENT_EXPIRY })
    }

    /// Moves `path` to the end of the valid pairs; returns the pair that had to make room.
    fn validate(&mut self, path: Path) -> Option<Path> {
        self.valid.retain(|valid| *valid != path);
        let mut evicted = None;
        if self.valid.len() == limits::PAIRS_PER_TRANSPORT_MAX {
            let selected = self.selected();
            let oldest = self.valid.iter().position(|valid| Some(*valid) != selected).unwrap_or(0);
            evicted = Some(self.valid.remove(oldest));
        }
        self.valid.push(path);
        evicted
    }

    fn key_of(&self, ufrag: &Ufrag) -> Option<&Key> {
        std::iter::once(&self.credentials)
            .chain(&self.previous)
            .find(|credentials| credentials.ufrag == *ufrag)
            .map(|credentials| &credentials.key)
    }
}

impl Credentials {
    fn new(rng: &mut Rng) -> Self {
        let (mut ufrag, mut pwd) = ([0; UFRAG_LEN], [0; PWD_LEN]);
        fill_with_ice_chars(rng, &mut ufrag);
        fill_with_ice_chars(rng, &mut pwd);
        Self { ufrag, pwd, key: Key::short_term(pwd) }
    }
}

/// Random `ice-char`s (RFC 8839 §5.1), 6 bits each.
fn fill_with_ice_chars(rng: &mut Rng, out: &mut [u8]) {
    const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    rng.fill(out);
    for byte in out {
        *byte = ICE_CHARS[usize::from(*byte & 63)];
    }
}

/// Our part of a check's USERNAME: what stands before the colon (RFC 8445 §7.2.2).
pub fn local_ufrag(message: &Message<'_>) -> Option<Ufrag> {
    let username = message.username()?;
    let (ufrag, rest) = username.split_first_chunk::<UFRAG_LEN>()?;
    (rest.first() == Some(&b':')).then_some(*ufrag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::LocalId;
    use std::time::Duration;
    use stun::TransactionId;

    struct Check {
        use_candidate: bool,
        controlled: bool,
        pwd: Vec<u8>,
        ufrag: Vec<u8>,
    }

    impl Check {
        fn of(ice: &Ice) -> Self {
            Self {
                use_candidate: false,
                controlled: false,
                pwd: ice.credentials.pwd.to_vec(),
                ufrag: ice.credentials.ufrag.to_vec(),
            }
        }

        fn bytes(&self) -> Vec<u8> {
            let mut out = vec![0xa5; 256];
            let mut writer =
                Writer::new(&mut out, Class::Request, Method::BINDING, TransactionId([3; 12])).expect("fits");
            let mut username = self.ufrag.clone();
            username.extend_from_slice(b":peer");
            writer.username(&username).priority(1);
            if self.use_candidate {
                writer.use_candidate();
            }
            if self.controlled {
                writer.ice_controlled(1);
            } else {
                writer.ice_controlling(1);
            }
            let len =
                writer.integrity(&Key::short_term(&self.pwd)).fingerprint().finish().expect("it all fits");
            out.truncate(len);
            out
        }

        fn send(&self, ice: &mut Ice, now: Instant, from: Path) -> Result<(Answer, Accepted), Discard> {
            let bytes = self.bytes();
            let message = Message::new(&bytes).expect("well-formed");
            let ufrag = local_ufrag(&message).ok_or(Discard::StunUnknownUser)?;
            ice.on_check(now, from, &ufrag, &message)
        }
    }

    fn path(port: u16) -> Path {
        Path { local: LocalId(0), remote: ([192, 0, 2, 1], port).into() }
    }

    fn at(secs: u64) -> Instant {
        Instant::EPOCH + Duration::from_secs(secs)
    }

    #[test]
    fn the_first_valid_pair_serves_until_one_is_nominated() {
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let mut check = Check::of(&ice);
        check.send(&mut ice, at(1), path(1)).expect("authentic");
        check.send(&mut ice, at(1), path(2)).expect("authentic");
        assert_eq!((ice.selected(), ice.state(at(1))), (Some(path(1)), IceState::Connected));
        check.use_candidate = true;
        check.send(&mut ice, at(1), path(2)).expect("authentic");
        assert_eq!((ice.selected(), ice.state(at(1))), (Some(path(2)), IceState::Completed));
    }

    #[test]
    fn a_check_with_the_wrong_password_changes_nothing() {
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let mut check = Check::of(&ice);
        check.pwd[0] ^= 1;
        assert_eq!(check.send(&mut ice, at(1), path(1)), Err(Discard::StunUnauthenticated));
        assert_eq!((ice.selected(), ice.paths().count()), (None, 0));
        assert!(!ice.is_expired(at(1_000)));
    }

    #[test]
    fn a_peer_in_the_controlled_role_is_told_so() {
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let check = Check { controlled: true, ..Check::of(&ice) };
        let (answer, accepted) = check.send(&mut ice, at(1), path(1)).expect("authentic");
        assert_eq!((answer, accepted), (Answer::RoleConflict, Accepted::default()));
    }

    #[test]
    fn silence_first_disconnects_then_expires() {
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let check = Check { use_candidate: true, ..Check::of(&ice) };
        check.send(&mut ice, at(100), path(1)).expect("authentic");
        assert_eq!(ice.state(at(114)), IceState::Completed);
        assert_eq!(ice.next_timeout(at(114)), Some(at(115)));
        assert_eq!(ice.state(at(115)), IceState::Disconnected);
        assert_eq!(ice.next_timeout(at(115)), Some(at(130)));
        assert!(!ice.is_expired(at(129)) && ice.is_expired(at(130)));
    }

    #[test]
    fn a_peer_that_nominates_once_is_followed_to_its_new_address() {
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let nomination = Check { use_candidate: true, ..Check::of(&ice) };
        nomination.send(&mut ice, at(1), path(1)).expect("authentic");
        let consent = Check::of(&ice);
        consent.send(&mut ice, at(6), path(1)).expect("authentic");
        consent.send(&mut ice, at(7), path(2)).expect("another pair that is kept warm");
        assert_eq!(ice.selected(), Some(path(1)), "checked a second ago");
        consent.send(&mut ice, at(13), path(2)).expect("authentic");
        assert_eq!((ice.selected(), ice.state(at(13))), (Some(path(2)), IceState::Completed));
    }

    #[test]
    fn a_restart_keeps_the_old_pair_until_the_new_one_works() {
        let mut rng = Rng::from_number(1);
        let mut ice = Ice::new(&mut rng);
        let old = Check { use_candidate: true, ..Check::of(&ice) };
        old.send(&mut ice, at(1), path(1)).expect("authentic");
        ice.restart(&mut rng);
        let new = Check::of(&ice);
        old.send(&mut ice, at(2), path(1)).expect("old credentials still serve");
        assert_eq!(ice.selected(), Some(path(1)));
        let (_, accepted) = new.send(&mut ice, at(3), path(2)).expect("authentic");
        assert_eq!(accepted.retired.map(|ufrag| ufrag.to_vec()), Some(old.ufrag.clone()));
        assert_eq!(ice.selected(), Some(path(2)));
        assert_eq!(old.send(&mut ice, at(4), path(1)), Err(Discard::StunUnknownUser));
    }

    #[test]
    fn two_restarts_in_a_row_keep_what_works() {
        let mut rng = Rng::from_number(1);
        let mut ice = Ice::new(&mut rng);
        let works = Check::of(&ice);
        works.send(&mut ice, at(1), path(1)).expect("authentic");
        assert_eq!(ice.restart(&mut rng), None);
        let unseen = ice.ufrag();
        assert_eq!(ice.restart(&mut rng), Some(unseen));
        works.send(&mut ice, at(2), path(1)).expect("still serves");
    }

    #[test]
    fn the_table_of_pairs_is_bounded_and_keeps_the_selected_one() {
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let check = Check::of(&ice);
        for port in 1..=100 {
            check.send(&mut ice, at(1), path(port)).expect("authentic");
        }
        assert_eq!(ice.paths().count(), limits::PAIRS_PER_TRANSPORT_MAX);
        assert_eq!(ice.selected(), Some(path(1)));
    }
}
