//! The four-way handshake (RFC 9260 §5.1), also if both sides begin (§5.2.1, §5.2.4).
//!
//! The library could do it, with random numbers of its own and with errors if both sides begin. So this is
//! done here, from a seed, and the library gets the two INITs of a complete handshake, as if they had been
//! exchanged by signaling (draft-hancke-tsvwg-snap).

use crate::discard::Discard;
use crate::limits::{
    COOKIE_LEN_MAX, HANDSHAKE_ATTEMPTS_MAX, RECEIVE_WINDOW, RTO_INITIAL, RTO_MAX, STREAMS_MAX,
};
use crate::packet::{Chunk, Ports, Writer, be16, be32, kind, parameters};
use bytes::Bytes;
use machine::{Instant, Rng};
use std::time::Duration;

const COOKIE: u16 = 7;
const SUPPORTED_EXTENSIONS: u16 = 0x8008;
const FORWARD_TSN_SUPPORTED: u16 = 0xc000;
const INIT_LEN: usize = 16;
/// The smallest window that a peer may announce (RFC 9260 §3.3.2).
const WINDOW_MIN: u32 = 1500;

/// The extensions that we announce (RFC 6525, RFC 3758): two parameters.
const EXTENSIONS: [u8; 12] = [0xc0, 0, 0, 4, 0x80, 8, 0, 6, kind::RECONFIG, kind::FORWARD_TSN, 0, 0];

/// The content of an INIT or an INIT ACK (RFC 9260 §3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Init {
    pub(crate) tag: u32,
    pub(crate) window: u32,
    pub(crate) outbound: u16,
    pub(crate) inbound: u16,
    pub(crate) tsn: u32,
    pub(crate) has_forward_tsn: bool,
}

impl Init {
    fn ours(rng: &mut Rng) -> Self {
        let mut not_zero = || rng.next_u32().max(1);
        Self {
            tag: not_zero(),
            window: RECEIVE_WINDOW as u32,
            outbound: STREAMS_MAX,
            inbound: STREAMS_MAX,
            tsn: not_zero(),
            has_forward_tsn: true,
        }
    }

    fn read(value: &[u8]) -> Option<Self> {
        let init = Self {
            tag: be32(value, 0)?,
            window: be32(value, 4)?,
            outbound: be16(value, 8)?,
            inbound: be16(value, 10)?,
            tsn: be32(value, 12)?,
            has_forward_tsn: parameters(&value[INIT_LEN..]).any(|(parameter, value)| match parameter {
                FORWARD_TSN_SUPPORTED => true,
                SUPPORTED_EXTENSIONS => value.contains(&kind::FORWARD_TSN),
                _ => false,
            }),
        };
        let is_valid = init.tag != 0 && init.tsn != 0 && init.outbound != 0 && init.inbound != 0;
        (is_valid && init.window >= WINDOW_MIN).then_some(init)
    }

    fn write(&self) -> [u8; INIT_LEN] {
        let mut value = [0; INIT_LEN];
        value[..4].copy_from_slice(&self.tag.to_be_bytes());
        value[4..8].copy_from_slice(&self.window.to_be_bytes());
        value[8..10].copy_from_slice(&self.outbound.to_be_bytes());
        value[10..12].copy_from_slice(&self.inbound.to_be_bytes());
        value[12..].copy_from_slice(&self.tsn.to_be_bytes());
        value
    }

    /// The INIT chunk for the library.
    pub(crate) fn chunk(&self) -> Bytes {
        let extensions: &[u8] = if self.has_forward_tsn { &EXTENSIONS } else { &[] };
        let ports = Ports { local: 0, remote: 0 };
        let packet = Writer::new(ports, 0).chunk(kind::INIT, 0, &[&self.write(), extensions]).finish();
        packet.slice(crate::packet::HEADER_LEN..)
    }
}

/// The handshake of one association.
pub(crate) struct Handshake {
    ports: Ports,
    ours: Init,
    cookie: [u8; 32],
    /// The peer's INIT, which we have acknowledged.
    heard: Option<Init>,
    phase: Phase,
    attempts: u32,
    next_at: Option<Instant>,
}

enum Phase {
    /// Before our INIT.
    Waiting,
    /// After it.
    CookieWait,
    /// After our COOKIE ECHO: with the content of the peer's INIT ACK, and its cookie.
    CookieEchoed(Init, Bytes),
    Established,
}

/// What follows from a chunk.
pub(crate) enum Step {
    /// To be sent.
    Reply(Bytes),
    /// The association is established with the peer of this INIT; and what is to be sent.
    Established(Init, Option<Bytes>),
    Discarded(Discard),
}

impl Handshake {
    /// Begins at `begin_at`, or when the peer begins.
    pub(crate) fn new(ports: Ports, begin_at: Instant, rng: &mut Rng) -> Self {
        let ours = Init::ours(rng);
        let mut cookie = [0; 32];
        rng.fill(&mut cookie);
        let next_at = Some(begin_at);
        Self { ports, ours, cookie, heard: None, phase: Phase::Waiting, attempts: 0, next_at }
    }

    pub(crate) fn ours(&self) -> &Init {
        &self.ours
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.next_at
    }

    /// The packet that is due. `Err` if there were too many.
    pub(crate) fn on_timeout(&mut self, now: Instant) -> Result<Option<Bytes>, ()> {
        if self.next_at.is_none_or(|at| now < at) {
            return Ok(None);
        }
        if self.attempts >= HANDSHAKE_ATTEMPTS_MAX {
            self.next_at = None;
            return Err(());
        }
        if matches!(self.phase, Phase::Waiting) {
            self.phase = Phase::CookieWait;
        }
        Ok(self.repeat(now))
    }

    /// Writes the packet of this state, and sets the time of its repetition.
    fn repeat(&mut self, now: Instant) -> Option<Bytes> {
        let packet = match &self.phase {
            Phase::CookieWait => {
                Writer::new(self.ports, 0).chunk(kind::INIT, 0, &[&self.ours.write(), &EXTENSIONS]).finish()
            }
            Phase::CookieEchoed(peer, cookie) => {
                Writer::new(self.ports, peer.tag).chunk(kind::COOKIE_ECHO, 0, &[cookie]).finish()
            }
            Phase::Waiting | Phase::Established => return None,
        };
        self.next_at = Some(now + timeout(self.attempts));
        self.attempts += 1;
        Some(packet)
    }

    /// A handshake chunk has arrived in a packet with this verification tag.
    pub(crate) fn on_chunk(&mut self, now: Instant, tag: u32, chunk: &Chunk<'_>, is_alone: bool) -> Step {
        match chunk.kind {
            kind::INIT if tag == 0 && is_alone => self.on_init(now, chunk.value),
            kind::INIT_ACK if tag == self.ours.tag => self.on_init_ack(now, chunk.value),
            kind::COOKIE_ECHO if tag == self.ours.tag => self.on_cookie_echo(chunk.value),
            kind::COOKIE_ACK if tag == self.ours.tag => self.on_cookie_ack(),
            _ => Step::Discarded(Discard::WrongAssociation),
        }
    }

    /// Answered with the same tag, TSN and cookie each time, as §5.2.1 requires after our own INIT.
    fn on_init(&mut self, now: Instant, value: &[u8]) -> Step {
        let Some(peer) = Init::read(value).filter(|peer| peer.tag != self.ours.tag) else {
            return Step::Discarded(Discard::Malformed);
        };
        if matches!(self.phase, Phase::Established) {
            // A repetition that was overtaken. A peer that restarts begins with DTLS.
            return Step::Discarded(Discard::UnexpectedHandshake);
        }
        self.heard = Some(peer);
        if matches!(self.phase, Phase::Waiting) {
            // The peer has begun: it repeats what is lost.
            self.next_at = Some(now + RTO_MAX);
        }
        let len = (4 + self.cookie.len()) as u16;
        let [kind_high, kind_low] = COOKIE.to_be_bytes();
        let [len_high, len_low] = len.to_be_bytes();
        let header = [kind_high, kind_low, len_high, len_low];
        let value: &[&[u8]] = &[&self.ours.write(), &header, &self.cookie, &EXTENSIONS];
        Step::Reply(Writer::new(self.ports, peer.tag).chunk(kind::INIT_ACK, 0, value).finish())
    }

    fn on_init_ack(&mut self, now: Instant, value: &[u8]) -> Step {
        if !matches!(self.phase, Phase::CookieWait) {
            return Step::Discarded(Discard::UnexpectedHandshake);
        }
        let Some(peer) = Init::read(value).filter(|peer| peer.tag != self.ours.tag) else {
            return Step::Discarded(Discard::Malformed);
        };
        let cookie = parameters(&value[INIT_LEN..]).find(|(parameter, _)| *parameter == COOKIE);
        let Some((_, cookie)) = cookie.filter(|(_, cookie)| cookie.len() <= COOKIE_LEN_MAX) else {
            return Step::Discarded(Discard::Malformed);
        };
        self.phase = Phase::CookieEchoed(peer, Bytes::copy_from_slice(cookie));
        self.attempts = 0;
        match self.repeat(now) {
            Some(packet) => Step::Reply(packet),
            None => Step::Discarded(Discard::UnexpectedHandshake),
        }
    }

    fn on_cookie_echo(&mut self, cookie: &[u8]) -> Step {
        let Some(peer) = self.heard.filter(|_| cookie == self.cookie) else {
            return Step::Discarded(Discard::UnexpectedHandshake);
        };
        let ack = Writer::new(self.ports, peer.tag).chunk(kind::COOKIE_ACK, 0, &[]).finish();
        if matches!(self.phase, Phase::Established) {
            // Our COOKIE ACK was lost.
            return Step::Reply(ack);
        }
        self.establish();
        Step::Established(peer, Some(ack))
    }

    fn on_cookie_ack(&mut self) -> Step {
        let Phase::CookieEchoed(peer, _) = self.phase else {
            return Step::Discarded(Discard::UnexpectedHandshake);
        };
        self.establish();
        Step::Established(peer, None)
    }

    fn establish(&mut self) {
        self.phase = Phase::Established;
        self.next_at = None;
    }
}

fn timeout(attempts: u32) -> Duration {
    RTO_INITIAL.saturating_mul(1 << attempts.min(16)).min(RTO_MAX)
}

#[cfg(test)]
mod tests;
