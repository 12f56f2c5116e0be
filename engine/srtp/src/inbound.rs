//! The receiving side: verify, decrypt in place, update the replay window (RFC 3711 §3.3).

use crate::cipher::{BadTag, Cipher, ENCRYPTED, RtcpNonce, RtpNonce};
use crate::header::{RTCP_HEADER_LEN, RtpHeader, rtcp_ssrc, rtp_header_len};
use crate::limits::{FIRST_LEN_MAX, RTP_INDEX_MAX, SSRCS_MAX, SSRCS_RETIRED_MAX};
use crate::replay::Window;
use crate::{Discard, MasterKey, Profile};
use std::collections::BTreeMap;
use std::fmt;

/// The receiving side of a session: the peer's keys, and per source the roll-over counter and the
/// replay window.
///
/// A source is added by its first authentic packet. Its roll-over counter should be 0 (RFC 3711 §3.3.1), but
/// is 1 if all packets before the wrap of the sequence number were lost: a sender may start close to the end,
/// or send for minutes before a packet arrives. So 1 is tried if 0 is not authentic. More values are not
/// tried: each one costs one more decryption for every forged packet.
///
/// If a source is retired for a newer one, only its highest index is kept: its packets are then accepted from
/// the next index on. A full context returns [`SsrcLimit`](Discard::SsrcLimit) for every authentic packet of
/// a new source, and needs a new key.
///
/// Both methods look up the source, check the replay window, authenticate, and only then update the state; on
/// `Err` the context is unchanged, and the packet's bytes are no longer usable.
pub struct Inbound {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
    rtp_sources: Sources,
    rtcp_sources: Sources,
}

impl Inbound {
    /// A context for the key with which the *peer* sends.
    ///
    /// # Panics
    /// If the key is for another profile: the caller that created the key has chosen its profile.
    pub fn new(profile: Profile, key: &MasterKey) -> Self {
        assert_eq!(key.profile(), profile, "a key is used with its own profile");
        Self {
            profile,
            rtp: Cipher::rtp(key),
            rtcp: Cipher::rtcp(key),
            rtp_sources: Sources::default(),
            rtcp_sources: Sources::default(),
        }
    }

    /// The profile of the keys.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Decrypts an SRTP packet in place; returns the RTP packet, without the tag.
    pub fn unprotect_rtp<'p>(&mut self, packet: &'p mut [u8]) -> Result<&'p mut [u8], Discard> {
        let tag_len = self.profile.tag_len();
        let header_len = rtp_header_len(packet, tag_len)?;
        let RtpHeader { seq, ssrc } = RtpHeader::read(packet).ok_or(Discard::TooShort)?;

        let source = self.rtp_sources.find(ssrc);
        let opened = match self.rtp_sources.highest(source) {
            Some(highest) => {
                let index = estimate(highest, seq)?;
                self.rtp_sources.check(source, index)?;
                self.rtp.open_rtp(RtpNonce { ssrc, index }, packet, header_len).map(|()| index)
            }
            None => open_first(&self.rtp, RtpHeader { seq, ssrc }, packet, header_len),
        };
        let index = opened.map_err(|_| Discard::AuthFailed)?;
        self.rtp_sources.accept(source, ssrc, index)?;

        let len = packet.len() - tag_len;
        Ok(&mut packet[..len])
    }

    /// Decrypts an SRTCP packet in place; returns the compound, without tag and index.
    pub fn unprotect_rtcp<'p>(&mut self, packet: &'p mut [u8]) -> Result<&'p mut [u8], Discard> {
        let overhead = self.profile.rtcp_overhead();
        if packet.len() < RTCP_HEADER_LEN + overhead {
            return Err(Discard::TooShort);
        }
        let ssrc = rtcp_ssrc(packet)?;
        let word = self.rtcp.index_word(packet).ok_or(Discard::TooShort)?;
        if word & ENCRYPTED == 0 {
            return Err(Discard::NotEncrypted);
        }
        let index = word & !ENCRYPTED;

        let source = self.rtcp_sources.find(ssrc);
        self.rtcp_sources.check(source, index.into())?;
        let nonce = RtcpNonce { ssrc, index };
        self.rtcp.open_rtcp(nonce, packet).map_err(|_| Discard::AuthFailed)?;
        self.rtcp_sources.accept(source, ssrc, index.into())?;

        let len = packet.len() - overhead;
        Ok(&mut packet[..len])
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("profile", &self.profile)
            .field("rtp_sources", &self.rtp_sources.ssrcs)
            .field("rtcp_sources", &self.rtcp_sources.ssrcs)
            .finish_non_exhaustive()
    }
}

/// The authenticated sources. There are few, so a scan over their SSRCs is faster than a hash. Grows only
/// when an authenticated peer adds one.
#[derive(Default)]
struct Sources {
    ssrcs: Vec<u32>,
    /// In the same order.
    sources: Vec<Source>,
    /// Counts packets, to find the source that has been silent longest.
    clock: u64,
    /// The highest index of each retired source.
    retired: BTreeMap<u32, u64>,
}

struct Source {
    window: Window,
    /// The clock at its newest packet.
    used_at: u64,
}

/// The state of a source.
#[derive(Clone, Copy)]
enum SourceState {
    /// Its window, at this index.
    Whole(usize),
    /// Its highest index.
    Retired(u64),
    Nothing,
}

impl Sources {
    fn find(&self, ssrc: u32) -> SourceState {
        match self.ssrcs.iter().position(|known| *known == ssrc) {
            Some(at) => SourceState::Whole(at),
            None => {
                self.retired.get(&ssrc).map_or(SourceState::Nothing, |highest| SourceState::Retired(*highest))
            }
        }
    }

    fn highest(&self, source: SourceState) -> Option<u64> {
        match source {
            SourceState::Whole(at) => Some(self.sources[at].window.highest()),
            SourceState::Retired(highest) => Some(highest),
            SourceState::Nothing => None,
        }
    }

    /// Whether a packet with this index would be accepted. Changes nothing.
    fn check(&self, source: SourceState, index: u64) -> Result<(), Discard> {
        match source {
            SourceState::Whole(at) => self.sources[at].window.check(index),
            // Which of the indices below the highest were received is not stored.
            SourceState::Retired(highest) if index <= highest => Err(Discard::TooOld),
            SourceState::Retired(_) | SourceState::Nothing => Ok(()),
        }
    }

    /// Records an authentic packet of a source, as returned by [`find`](Self::find).
    fn accept(&mut self, source: SourceState, ssrc: u32, index: u64) -> Result<(), Discard> {
        self.clock += 1;
        let window = match source {
            SourceState::Whole(at) => {
                let source = &mut self.sources[at];
                source.window.accept(index);
                source.used_at = self.clock;
                return Ok(());
            }
            SourceState::Retired(highest) => {
                self.retired.remove(&ssrc);
                Window::behind(highest, index)
            }
            SourceState::Nothing => Window::new(index),
        };
        self.make_room()?;
        self.ssrcs.push(ssrc);
        self.sources.push(Source { window, used_at: self.clock });
        Ok(())
    }

    /// Retires the source that has been silent longest, if the maximum is reached.
    fn make_room(&mut self) -> Result<(), Discard> {
        if self.ssrcs.len() < SSRCS_MAX {
            return Ok(());
        }
        if self.retired.len() >= SSRCS_RETIRED_MAX {
            return Err(Discard::SsrcLimit);
        }
        let longest = self.sources.iter().enumerate().min_by_key(|(_, source)| source.used_at);
        if let Some((at, _)) = longest {
            let source = self.sources.swap_remove(at);
            self.retired.insert(self.ssrcs.swap_remove(at), source.window.highest());
        }
        Ok(())
    }
}

/// Decrypts the first packet of a source, whose roll-over counter is 0 or 1; returns its index.
fn open_first(
    cipher: &Cipher,
    RtpHeader { seq, ssrc }: RtpHeader,
    packet: &mut [u8],
    header_len: usize,
) -> Result<u64, BadTag> {
    // AES-GCM overwrites a packet that is not authentic.
    let mut copy = [0; FIRST_LEN_MAX];
    let kept = copy.get_mut(..packet.len());
    let kept = kept.map(|kept| {
        kept.copy_from_slice(packet);
        &*kept
    });
    let index = u64::from(seq);
    if cipher.open_rtp(RtpNonce { ssrc, index }, packet, header_len).is_ok() {
        return Ok(index);
    }
    packet.copy_from_slice(kept.ok_or(BadTag)?);
    let index = 1 << 16 | index;
    cipher.open_rtp(RtpNonce { ssrc, index }, packet, header_len).map(|()| index)
}

/// The index that is closest to the highest one so far (RFC 3711 §3.3.1, appendix A).
fn estimate(highest: u64, seq: u16) -> Result<u64, Discard> {
    let (roc, highest_seq) = (highest >> 16, highest as u16);
    let roc = if highest_seq < 0x8000 {
        if u32::from(seq) > u32::from(highest_seq) + 0x8000 {
            // A packet from before the counter's first wrap cannot be authentic.
            roc.checked_sub(1).ok_or(Discard::TooOld)?
        } else {
            roc
        }
    } else if seq < highest_seq - 0x8000 {
        roc + 1
    } else {
        roc
    };
    let index = roc << 16 | u64::from(seq);
    if index > RTP_INDEX_MAX { Err(Discard::IndexExhausted) } else { Ok(index) }
}

#[cfg(test)]
mod tests;
