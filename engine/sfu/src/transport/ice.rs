//! One transport's part of ICE: a lite agent (RFC 8445 §2.5) with host candidates only.
//!
//! It answers authenticated checks and sends none. A check with the right credentials makes its address pair
//! valid; USE-CANDIDATE selects it. Consent (RFC 7675) lasts while checks or authentic media arrive: some
//! clients send no checks while media flows. The peer's own candidates are ignored: names under `.local` need
//! no resolution here.

use crate::limits;
use control::{Discard, IceParameters, IceState, Text};
use machine::{Instant, Path, Rng};
use std::time::Duration;
use stun::{Class, Key, Message, Method, Writer};

/// A local username fragment: fixed length, so that it is a key without allocation.
pub type Ufrag = [u8; UFRAG_LEN];

/// 8 characters of 6 bits: 48 bits, twice the minimum of RFC 8839 §5.4.
const UFRAG_LEN: usize = 8;

/// 24 characters of 6 bits: 144 bits; the minimum of RFC 8839 §5.4 is 128.
const PWD_LEN: usize = 24;

/// An ICE-lite session.
#[derive(Debug)]
pub struct Ice {
    /// Boxed, because they are needed only once in seconds, and would be beside data that every packet needs.
    credentials: Box<Credentials>,
    /// Those before a restart; valid until a pair is nominated with the new ones (RFC 8445 §9: make before
    /// break), or forever.
    previous: Option<Box<Credentials>>,
    /// Pairs that passed a check, the most recently checked last.
    valid: Vec<Pair>,
    selected: Option<Selected>,
    /// When the peer last sent a check or authentic media.
    last_seen: Option<Instant>,
    /// When media was last recorded as activity.
    media_counted_at: Instant,
}

#[derive(Debug)]
struct Credentials {
    ufrag: Ufrag,
    pwd: [u8; PWD_LEN],
    key: Key,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    path: Path,
    /// The last check or authentic media of the pair.
    seen_at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Selected {
    path: Path,
    /// When the peer last nominated it (or, if it replaced a stale pair, that one).
    nominated_at: Option<Instant>,
    /// The last check or authentic media of this pair.
    seen_at: Instant,
}

/// The effects of an accepted check outside of this session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// This pair is valid from now on (or still).
    pub valid: Option<Path>,
    /// This pair was removed for it.
    pub evicted: Option<Path>,
    /// This username fragment is no longer valid: the restart is complete.
    pub retired: Option<Ufrag>,
}

/// The type of the answer, and its code for an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The check is valid.
    Success,
    /// Comprehension-required attributes are unknown (RFC 8489 §6.3.1): 420, which lists them.
    UnknownAttributes,
    /// The peer claims the controlled role, which a lite agent always has (RFC 8445 §7.3.1.1): 487.
    RoleConflict,
}

impl Ice {
    /// New credentials, no pair.
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            credentials: Box::new(Credentials::new(rng)),
            previous: None,
            valid: Vec::with_capacity(limits::PAIRS_PER_TRANSPORT_MAX),
            selected: None,
            last_seen: None,
            media_counted_at: Instant::EPOCH,
        }
    }

    /// The parameters for the peer.
    pub fn parameters(&self) -> IceParameters {
        let text = |bytes: &[u8]| Text::new(String::from_utf8_lossy(bytes));
        IceParameters { ufrag: text(&self.credentials.ufrag), pwd: text(&self.credentials.pwd) }
    }

    /// The username fragment of the current credentials.
    pub fn ufrag(&self) -> Ufrag {
        self.credentials.ufrag
    }

    /// Every valid username fragment.
    pub fn ufrags(&self) -> impl Iterator<Item = Ufrag> {
        std::iter::once(self.credentials.ufrag).chain(self.previous.as_ref().map(|previous| previous.ufrag))
    }

    /// New credentials; those of a restart that was never completed are removed and returned.
    pub fn restart(&mut self, rng: &mut Rng) -> Option<Ufrag> {
        let old = std::mem::replace(&mut self.credentials, Box::new(Credentials::new(rng)));
        // The peer may not know either of two restarts in a row: the working credentials must stay.
        if self.previous.is_some() {
            return Some(old.ufrag);
        }
        self.previous = Some(old);
        None
    }

    /// A Binding request with one of our username fragments. `is_used_by_another`: another transport
    /// [owns](Self::uses) this path. `Err`: not authentic, or from an address that another peer uses; nothing
    /// has changed.
    pub fn on_check(
        &mut self,
        now: Instant,
        path: Path,
        is_used_by_another: bool,
        ufrag: &Ufrag,
        message: &Message<'_>,
    ) -> Result<(Answer, Accepted), Discard> {
        let is_current = *ufrag == self.credentials.ufrag;
        let key = self.key_of(ufrag).ok_or(Discard::StunUnknownUser)?;
        if !message.verify_integrity(key) || message.verify_fingerprint() == Some(false) {
            return Err(Discard::StunUnauthenticated);
        }
        // Not answered either: the answer would be sent to the other peer.
        if is_used_by_another {
            return Err(Discard::StunPathHeld);
        }
        if message.unknown_required().next().is_some() {
            return Ok((Answer::UnknownAttributes, Accepted::default()));
        }
        if message.ice_controlled().is_some() {
            return Ok((Answer::RoleConflict, Accepted::default()));
        }

        let mut accepted = Accepted { valid: Some(path), ..Accepted::default() };
        let nominated = message.use_candidate();
        if is_current && nominated {
            accepted.retired = self.previous.take().map(|previous| previous.ufrag);
        }
        accepted.evicted = self.validate(now, path);
        self.last_seen = Some(now);
        let selected = match accepted.retired {
            // A restart is complete: the selected pair is the old one.
            Some(_) => Selected { path, nominated_at: Some(now), seen_at: now },
            None => self.select(now, path, nominated),
        };
        self.selected = Some(selected);
        Ok((Answer::Success, accepted))
    }

    /// An authentic packet of media arrived on `path`. It renews the pair and the consent like a check. To
    /// keep the cost per packet low, one packet per [`MEDIA_COUNTS_EVERY`](limits::MEDIA_COUNTS_EVERY) is
    /// recorded. True if the peer had been disconnected.
    pub fn on_media(&mut self, now: Instant, path: Path) -> bool {
        if now.saturating_since(self.media_counted_at) < limits::MEDIA_COUNTS_EVERY {
            return false;
        }
        self.media_counted_at = now;
        if let Some(pair) = self.valid.iter_mut().find(|pair| pair.path == path) {
            pair.seen_at = now;
        }
        if let Some(selected) = self.selected.as_mut().filter(|selected| selected.path == path) {
            selected.seen_at = now;
        }
        let was_disconnected = self.state(now) == IceState::Disconnected;
        self.last_seen = Some(now);
        was_disconnected
    }

    /// Whether this peer used `path` so recently that no other transport may use it.
    pub fn uses(&self, now: Instant, path: Path) -> bool {
        let is_recent = |pair: &Pair| now.saturating_since(pair.seen_at) < limits::PATH_OWNED_FOR;
        self.valid.iter().any(|pair| pair.path == path && is_recent(pair))
    }

    /// The selected pair after a check of `path`.
    ///
    /// Firefox nominates once: its consent checks have no USE-CANDIDATE, and after a NAT has changed its
    /// address they come from the new one. So a checked pair replaces a pair that is no longer checked.
    ///
    /// It also nominates every pair that it checks at first, over UDP and TCP, although only the best is
    /// meant: UDP, by our candidates' priorities. Chrome nominates the pair in use with every check, also
    /// when it changes to TCP.
    fn select(&self, now: Instant, path: Path, nominated: bool) -> Selected {
        let fresh = Selected { path, nominated_at: nominated.then_some(now), seen_at: now };
        // Media may use the first valid pair; the nomination follows within a second.
        let Some(selected) = self.selected else { return fresh };
        let nominated_at = fresh.nominated_at.or(selected.nominated_at);
        if selected.path == path {
            return Selected { seen_at: now, nominated_at, ..selected };
        }
        if now.saturating_since(selected.seen_at) >= limits::PAIR_STALE_AFTER {
            return Selected { nominated_at, ..fresh };
        }
        let is_better = !path.local.is_tcp() && selected.path.local.is_tcp();
        let is_worse = path.local.is_tcp() && !selected.path.local.is_tcp();
        let is_settled = |at| now.saturating_since(at) >= limits::UDP_NOMINATION_HOLDS;
        let gives_way = match selected.nominated_at {
            Some(nominated_at) => nominated && (!is_worse || is_settled(nominated_at)),
            None => nominated || is_better,
        };
        if gives_way { fresh } else { selected }
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
            Answer::UnknownAttributes => {
                let mut kinds = [0; limits::UNKNOWN_ATTRIBUTES_MAX];
                let unknown = kinds.iter_mut().zip(message.unknown_required());
                let count = unknown.map(|(place, kind)| *place = kind).count();
                writer.error_code(420, "Unknown Attribute").unknown_attributes(&kinds[..count])
            }
            Answer::RoleConflict => writer.error_code(487, "Role Conflict"),
        };
        // The check that completed a restart is answered with its own credentials.
        let key = self.key_of(ufrag)?;
        writer.integrity(key).fingerprint().finish()
    }

    /// The pair used for media.
    pub fn selected(&self) -> Option<Path> {
        self.selected.map(|selected| selected.path)
    }

    /// Every valid pair.
    pub fn paths(&self) -> impl Iterator<Item = Path> {
        self.valid.iter().map(|pair| pair.path)
    }

    /// Removes a pair: another transport authenticated its address, or its connection has closed. The most
    /// recent one of the others is selected if it still has consent, UDP before TCP.
    pub fn forget(&mut self, now: Instant, path: Path, consent_timeout: Option<Duration>) {
        self.valid.retain(|valid| valid.path != path);
        if self.selected() == Some(path) {
            let has_consent = |pair: &&Pair| {
                consent_timeout.is_none_or(|timeout| now.saturating_since(pair.seen_at) < timeout)
            };
            let next = self.valid.iter().filter(has_consent);
            let next = next.max_by_key(|pair| (!pair.path.local.is_tcp(), pair.seen_at));
            self.selected = next.map(|Pair { path, seen_at }| Selected {
                path: *path,
                nominated_at: None,
                seen_at: *seen_at,
            });
        }
    }

    /// The state at `now`.
    pub fn state(&self, now: Instant) -> IceState {
        match (self.selected, self.last_seen) {
            (Some(_), Some(last)) if now.saturating_since(last) >= limits::ICE_DISCONNECTED_AFTER => {
                IceState::Disconnected
            }
            (Some(Selected { nominated_at: Some(_), .. }), _) => IceState::Completed,
            (Some(_), _) => IceState::Connected,
            // Its pairs are gone, but the peer may still exist.
            (None, Some(_)) => IceState::Disconnected,
            (None, None) => IceState::New,
        }
    }

    /// Whether consent has expired after a silence of this length (RFC 7675 §5.1). `None`: never.
    pub fn is_expired(&self, now: Instant, consent_timeout: Option<Duration>) -> bool {
        let silent_since = self.last_seen.zip(consent_timeout);
        silent_since.is_some_and(|(last, timeout)| now.saturating_since(last) >= timeout)
    }

    /// When [`state`](Self::state) or [`is_expired`](Self::is_expired) next changes without activity of the
    /// peer.
    pub fn next_timeout(&self, now: Instant, consent_timeout: Option<Duration>) -> Option<Instant> {
        let last = self.last_seen?;
        let disconnected_at = Some(last + limits::ICE_DISCONNECTED_AFTER).filter(|at| now < *at);
        let expires_at = consent_timeout.map(|timeout| last + timeout);
        disconnected_at.into_iter().chain(expires_at).min()
    }

    /// Moves `path` to the end of the valid pairs; returns the pair that was removed for it.
    fn validate(&mut self, now: Instant, path: Path) -> Option<Path> {
        self.valid.retain(|valid| valid.path != path);
        let mut evicted = None;
        if self.valid.len() == limits::PAIRS_PER_TRANSPORT_MAX {
            let selected = self.selected();
            let oldest = self.valid.iter().position(|valid| Some(valid.path) != selected).unwrap_or(0);
            evicted = Some(self.valid.remove(oldest).path);
        }
        self.valid.push(Pair { path, seen_at: now });
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

/// Our part of a check's USERNAME: the text before the colon (RFC 8445 §7.2.2).
pub fn local_ufrag(message: &Message<'_>) -> Option<Ufrag> {
    let username = message.username()?;
    let (ufrag, rest) = username.split_first_chunk::<UFRAG_LEN>()?;
    (rest.first() == Some(&b':')).then_some(*ufrag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::LocalId;
    use stun::{Integrity, PasswordAlgorithm, TransactionId};

    const TIMEOUT: Option<Duration> = Some(limits::ICE_CONSENT_TIMEOUT);

    struct Check {
        use_candidate: bool,
        controlled: bool,
        /// Types of additional empty attributes.
        others: Vec<u16>,
        /// MESSAGE-INTEGRITY-SHA256 comes before MESSAGE-INTEGRITY.
        sha256: bool,
        pwd: Vec<u8>,
        ufrag: Vec<u8>,
    }

    impl Check {
        fn of(ice: &Ice) -> Self {
            Self {
                use_candidate: false,
                controlled: false,
                others: Vec::new(),
                sha256: false,
                pwd: ice.credentials.pwd.to_vec(),
                ufrag: ice.credentials.ufrag.to_vec(),
            }
        }

        fn bytes(&self) -> Vec<u8> {
            let mut out = vec![0xa5; 4096];
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
            for kind in &self.others {
                writer.attribute(*kind, &[]);
            }
            if self.sha256 {
                // With any key: a lite agent only has one for MESSAGE-INTEGRITY.
                let parts = [&b"a"[..], b"b", b"c"];
                writer.integrity(&Key::long_term(PasswordAlgorithm::Md5, parts, Integrity::Sha256));
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
            ice.on_check(now, from, false, &ufrag, &message)
        }
    }

    fn path(port: u16) -> Path {
        Path { local: LocalId(0), remote: ([192, 0, 2, 1], port).into() }
    }

    fn tcp(port: u16) -> Path {
        Path { local: LocalId::tcp(0), ..path(port) }
    }

    fn at_millis(millis: u64) -> Instant {
        Instant::EPOCH + Duration::from_millis(millis)
    }

    fn at(secs: u64) -> Instant {
        Instant::EPOCH + Duration::from_secs(secs)
    }

    #[test]
    fn the_first_valid_pair_is_used_until_one_is_nominated() {
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
        assert!(!ice.is_expired(at(1_000), TIMEOUT));
    }

    #[test]
    fn a_peer_in_the_controlled_role_gets_a_role_conflict() {
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let check = Check { controlled: true, ..Check::of(&ice) };
        let (answer, accepted) = check.send(&mut ice, at(1), path(1)).expect("authentic");
        assert_eq!((answer, accepted), (Answer::RoleConflict, Accepted::default()));
    }

    /// The unknown types in the answer to a check.
    fn unknown_in_answer(check: &Check) -> Vec<u16> {
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let check = Check {
            ufrag: ice.ufrag().to_vec(),
            pwd: ice.credentials.pwd.to_vec(),
            others: check.others.clone(),
            ..*check
        };
        let bytes = check.bytes();
        let message = Message::new(&bytes).expect("well-formed");
        let ufrag = ice.ufrag();
        let (answer, accepted) = ice.on_check(at(1), path(1), false, &ufrag, &message).expect("authentic");
        assert_eq!(
            (answer, accepted, ice.selected()),
            (Answer::UnknownAttributes, Accepted::default(), None)
        );
        let mut out = [0xa5; limits::STUN_ANSWER_LEN_MAX];
        let len = ice.write_answer(answer, &ufrag, path(1), &message, &mut out).expect("it fits");
        let answer = Message::new(&out[..len]).expect("well-formed");
        assert!(answer.verify_integrity(&ice.credentials.key));
        assert_eq!(answer.error_code(), Some((420, "Unknown Attribute")));
        let listed = answer.attribute(stun::attribute::UNKNOWN_ATTRIBUTES).expect("a 420 lists them");
        listed.as_chunks().0.iter().map(|kind| u16::from_be_bytes(*kind)).collect()
    }

    #[test]
    fn every_unknown_comprehension_required_attribute_is_listed() {
        let check = Check::of(&Ice::new(&mut Rng::from_number(1)));
        // The one in the middle may be ignored.
        let others = vec![0x7001, 0x8fff, 0x0017, 0x7003];
        assert_eq!(unknown_in_answer(&Check { others, ..check }), [0x7001, 0x0017, 0x7003]);
        let check = Check::of(&Ice::new(&mut Rng::from_number(1)));
        let others: Vec<u16> = (0x4000..0x4000 + 900).collect();
        let listed = unknown_in_answer(&Check { others: others.clone(), ..check });
        assert_eq!(listed, others[..limits::UNKNOWN_ATTRIBUTES_MAX], "up to the bound");
    }

    #[test]
    fn a_check_with_sha256_integrity_first_is_valid() {
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let check = Check { sha256: true, use_candidate: true, ..Check::of(&ice) };
        let (answer, accepted) = check.send(&mut ice, at(1), path(1)).expect("authentic");
        assert_eq!((answer, accepted.valid, ice.selected()), (Answer::Success, Some(path(1)), Some(path(1))));
        let mut forged = Check { sha256: true, ..Check::of(&ice) };
        forged.pwd[0] ^= 1;
        assert_eq!(forged.send(&mut ice, at(1), path(2)), Err(Discard::StunUnauthenticated));
    }

    #[test]
    fn silence_first_disconnects_then_expires() {
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let check = Check { use_candidate: true, ..Check::of(&ice) };
        check.send(&mut ice, at(100), path(1)).expect("authentic");
        assert_eq!(ice.state(at(114)), IceState::Completed);
        assert_eq!(ice.next_timeout(at(114), TIMEOUT), Some(at(115)));
        assert_eq!(ice.state(at(115)), IceState::Disconnected);
        assert_eq!(ice.next_timeout(at(115), TIMEOUT), Some(at(130)));
        assert!(!ice.is_expired(at(129), TIMEOUT) && ice.is_expired(at(130), TIMEOUT));
        // A shorter timeout precedes the state that it would otherwise reach; without a timeout that state is
        // the last change.
        assert_eq!(ice.next_timeout(at(101), Some(Duration::from_secs(10))), Some(at(110)));
        assert!(!ice.is_expired(at(1_000_000), None));
        assert_eq!((ice.next_timeout(at(114), None), ice.next_timeout(at(115), None)), (Some(at(115)), None));
    }

    #[test]
    fn media_renews_consent_and_its_pair() {
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let nomination = Check { use_candidate: true, ..Check::of(&ice) };
        nomination.send(&mut ice, at(1), path(1)).expect("authentic");
        for second in 2..100 {
            assert!(!ice.on_media(at(second), path(1)));
        }
        assert_eq!(ice.state(at(100)), IceState::Completed);
        Check::of(&ice).send(&mut ice, at(100), path(2)).expect("authentic");
        assert_eq!(ice.selected(), Some(path(1)), "media still uses it");
        assert!(ice.uses(at(113), path(1)) && !ice.uses(at(114), path(1)));
        assert!(!ice.is_expired(at(129), TIMEOUT) && ice.is_expired(at(130), TIMEOUT));
        assert!(ice.on_media(at(129), path(1)), "it was disconnected");
        assert_eq!(ice.state(at(129)), IceState::Completed);
        assert!(!ice.is_expired(at(158), TIMEOUT) && ice.is_expired(at(159), TIMEOUT));
    }

    #[test]
    fn a_check_from_a_path_of_another_transport_changes_nothing() {
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let check = Check { use_candidate: true, ..Check::of(&ice) };
        let bytes = check.bytes();
        let message = Message::new(&bytes).expect("well-formed");
        let ufrag = local_ufrag(&message).expect("ours");
        assert_eq!(ice.on_check(at(1), path(1), true, &ufrag, &message), Err(Discard::StunPathHeld));
        assert_eq!((ice.selected(), ice.paths().count(), ice.state(at(1))), (None, 0, IceState::New));
    }

    #[test]
    fn a_peer_that_nominates_once_is_followed_to_its_new_address() {
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let nomination = Check { use_candidate: true, ..Check::of(&ice) };
        nomination.send(&mut ice, at(1), path(1)).expect("authentic");
        let consent = Check::of(&ice);
        consent.send(&mut ice, at(6), path(1)).expect("authentic");
        consent.send(&mut ice, at(7), path(2)).expect("another pair that is checked too");
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
        old.send(&mut ice, at(2), path(1)).expect("the old credentials are still valid");
        assert_eq!(ice.selected(), Some(path(1)));
        let (_, accepted) = new.send(&mut ice, at(3), path(2)).expect("authentic");
        assert_eq!(
            (accepted.valid, accepted.retired),
            (Some(path(2)), None),
            "valid, but the peer may not know yet"
        );
        assert_eq!(ice.selected(), Some(path(1)));
        old.send(&mut ice, at(3), path(1)).expect("the old credentials are still valid");
        let new = Check { use_candidate: true, ..new };
        let (_, accepted) = new.send(&mut ice, at(3), path(2)).expect("authentic");
        assert_eq!(accepted.retired.map(|ufrag| ufrag.to_vec()), Some(old.ufrag.clone()));
        assert_eq!(ice.selected(), Some(path(2)));
        assert_eq!(old.send(&mut ice, at(4), path(1)), Err(Discard::StunUnknownUser));
    }

    #[test]
    fn a_restart_without_nomination_leaves_a_stale_pair() {
        let mut rng = Rng::from_number(1);
        let mut ice = Ice::new(&mut rng);
        let old = Check { use_candidate: true, ..Check::of(&ice) };
        old.send(&mut ice, at(1), path(1)).expect("authentic");
        ice.restart(&mut rng);
        let new = Check::of(&ice);
        new.send(&mut ice, at(2), path(2)).expect("authentic");
        assert_eq!(ice.selected(), Some(path(1)));
        new.send(&mut ice, at(8), path(2)).expect("authentic");
        assert_eq!(ice.selected(), Some(path(2)), "the old one was last checked seven seconds ago");
    }

    #[test]
    fn a_restart_may_move_from_udp_to_tcp_at_once() {
        let mut rng = Rng::from_number(1);
        let mut ice = Ice::new(&mut rng);
        Check { use_candidate: true, ..Check::of(&ice) }.send(&mut ice, at(1), path(1)).expect("authentic");
        ice.restart(&mut rng);
        Check { use_candidate: true, ..Check::of(&ice) }.send(&mut ice, at(1), tcp(2)).expect("authentic");
        assert_eq!(ice.selected(), Some(tcp(2)));
    }

    #[test]
    fn udp_is_preferred_to_tcp_while_it_works() {
        // Without a nomination: UDP as soon as it is valid.
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let check = Check::of(&ice);
        check.send(&mut ice, at(1), tcp(1)).expect("authentic");
        assert_eq!(ice.selected(), Some(tcp(1)));
        check.send(&mut ice, at(1), path(2)).expect("authentic");
        check.send(&mut ice, at(1), tcp(1)).expect("authentic");
        assert_eq!(ice.selected(), Some(path(2)));
        // A peer that nominates everything it checks means the best pair.
        let nomination = Check { use_candidate: true, ..Check::of(&ice) };
        for nominated in [tcp(1), path(2), tcp(1)] {
            nomination.send(&mut ice, at(2), nominated).expect("authentic");
        }
        assert_eq!(ice.selected(), Some(path(2)));
        // A peer that has changed to TCP is followed, although it still checks the UDP pair.
        check.send(&mut ice, at_millis(3_400), path(2)).expect("authentic");
        nomination.send(&mut ice, at_millis(3_499), tcp(1)).expect("authentic");
        assert_eq!(ice.selected(), Some(path(2)));
        nomination.send(&mut ice, at_millis(3_500), tcp(1)).expect("authentic");
        check.send(&mut ice, at_millis(3_600), path(2)).expect("authentic");
        assert_eq!(ice.selected(), Some(tcp(1)));
        nomination.send(&mut ice, at_millis(3_700), path(2)).expect("authentic");
        assert_eq!(ice.selected(), Some(path(2)), "and back at once");
    }

    #[test]
    fn when_a_connection_closes_the_best_pair_with_consent_is_selected() {
        let mut ice = Ice::new(&mut Rng::from_number(1));
        let check = Check::of(&ice);
        let nomination = Check { use_candidate: true, ..Check::of(&ice) };
        check.send(&mut ice, at(1), path(1)).expect("authentic");
        check.send(&mut ice, at(20), path(2)).expect("authentic");
        check.send(&mut ice, at(39), tcp(3)).expect("authentic");
        nomination.send(&mut ice, at(40), tcp(4)).expect("authentic");
        assert_eq!((ice.selected(), ice.state(at(40))), (Some(tcp(4)), IceState::Completed));
        for (closed, next) in [(tcp(4), Some(path(2))), (path(2), Some(tcp(3))), (tcp(3), None)] {
            ice.forget(at(40), closed, TIMEOUT);
            assert_eq!(ice.selected(), next, "after {closed:?}; the first pair has lost its consent");
        }
        assert_eq!(ice.state(at(40)), IceState::Disconnected);
        assert!(!ice.is_expired(at(69), TIMEOUT) && ice.is_expired(at(70), TIMEOUT));
        check.send(&mut ice, at(41), tcp(5)).expect("authentic");
        assert_eq!((ice.selected(), ice.state(at(41))), (Some(tcp(5)), IceState::Connected));
    }

    #[test]
    fn two_restarts_in_a_row_keep_the_working_credentials() {
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
