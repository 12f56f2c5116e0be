//! One transport's part of ICE: a lite agent (RFC 8445 §2.5) with host candidates only.
//!
//! It answers authenticated checks and sends none. A check with the right credentials makes its address pair
//! valid; USE-CANDIDATE selects it. Consent (RFC 7675) lasts while checks or authentic media arrive: some
//! clients send no checks while media flows. The peer's own candidates are ignored: names under `.local` need
//! no resolution here.

use crate::limits;
use control::{Discard, IceParameters, IceState, Text};
use machine::{ICE_CHARS, Instant, Path, Rng};
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
    /// The first character of username fragments.
    lead: Option<u8>,
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
    /// New credentials, no pair. `lead`: the first character of all username fragments; `None`: a random one.
    pub fn new(lead: Option<u8>, rng: &mut Rng) -> Self {
        Self {
            credentials: Box::new(Credentials::new(lead, rng)),
            lead,
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
        let old = std::mem::replace(&mut self.credentials, Box::new(Credentials::new(self.lead, rng)));
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
    fn new(lead: Option<u8>, rng: &mut Rng) -> Self {
        let (mut ufrag, mut pwd) = ([0; UFRAG_LEN], [0; PWD_LEN]);
        fill_with_ice_chars(rng, &mut ufrag);
        if let Some(lead) = lead {
            ufrag[0] = lead;
        }
        fill_with_ice_chars(rng, &mut pwd);
        Self { ufrag, pwd, key: Key::short_term(pwd) }
    }
}

/// Random `ice-char`s (RFC 8839 §5.1), 6 bits each.
fn fill_with_ice_chars(rng: &mut Rng, out: &mut [u8]) {
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
mod tests;
