//! What arrives: verify, decrypt in place, remember (RFC 3711 §3.3).

use crate::cipher::{Cipher, ENCRYPTED, RtcpNonce, RtpNonce};
use crate::header::{RTCP_HEADER_LEN, RtpHeader, rtcp_ssrc, rtp_header_len};
use crate::limits::{RTP_INDEX_MAX, SSRCS_MAX};
use crate::replay::Window;
use crate::{Discard, MasterKey, Profile};
use std::fmt;

/// The receiving side of a session: the peer's keys, and per source the roll-over counter and the
/// replay window.
///
/// A source becomes known by its first authentic packet, whose roll-over counter must be 0
/// (RFC 3711 §3.3.1): a sender's first packets must not all get lost right before its sequence number
/// wraps. Browsers start in the lower half to that end.
///
/// For both methods: a packet is looked up, checked against the replay window, authenticated, and only
/// then noted; on `Err` the context is as it was, and the packet's bytes are worth nothing any more.
pub struct Inbound {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
    rtp_sources: Sources,
    rtcp_sources: Sources,
}

impl Inbound {
    /// A context for the key the *peer* sends with.
    ///
    /// # Panics
    /// If the key is for another profile: whoever made the key named its profile.
    pub fn new(profile: Profile, key: &MasterKey) -> Self {
        assert_eq!(key.profile(), profile, "a key is used with the profile it was made for");
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

    /// Decrypts an SRTP packet in place; yields the RTP packet, without the tag.
    pub fn unprotect_rtp<'p>(&mut self, packet: &'p mut [u8]) -> Result<&'p mut [u8], Discard> {
        let tag_len = self.profile.tag_len();
        let header_len = rtp_header_len(packet, tag_len)?;
        let RtpHeader { seq, ssrc } = RtpHeader::read(packet).ok_or(Discard::TooShort)?;

        let source = self.rtp_sources.find(ssrc)?;
        let index = match source {
            Some(at) => {
                let window = self.rtp_sources.window(at);
                let index = estimate(window.highest(), seq)?;
                window.check(index)?;
                index
            }
            None => u64::from(seq),
        };
        let nonce = RtpNonce { ssrc, index };
        self.rtp.open_rtp(nonce, packet, header_len).map_err(|_| Discard::AuthFailed)?;
        self.rtp_sources.accept(source, ssrc, index);

        let len = packet.len() - tag_len;
        Ok(&mut packet[..len])
    }

    /// Decrypts an SRTCP packet in place; yields the compound, without tag and index.
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

        let source = self.rtcp_sources.find(ssrc)?;
        if let Some(at) = source {
            self.rtcp_sources.window(at).check(index.into())?;
        }
        let nonce = RtcpNonce { ssrc, index };
        self.rtcp.open_rtcp(nonce, packet).map_err(|_| Discard::AuthFailed)?;
        self.rtcp_sources.accept(source, ssrc, index.into());

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

/// The sources that have proved themselves. A handful, so a scan over their bare numbers beats a hash.
/// Grows when an authenticated peer brings a new one, never otherwise.
#[derive(Default)]
struct Sources {
    ssrcs: Vec<u32>,
    /// In the same order.
    windows: Vec<Window>,
}

impl Sources {
    /// Where a known source is; `None` for one there is still room for.
    fn find(&self, ssrc: u32) -> Result<Option<usize>, Discard> {
        match self.ssrcs.iter().position(|known| *known == ssrc) {
            None if self.ssrcs.len() >= SSRCS_MAX => Err(Discard::SsrcLimit),
            at => Ok(at),
        }
    }

    fn window(&self, at: usize) -> &Window {
        &self.windows[at]
    }

    /// Notes an authentic packet of a source, as [`find`](Self::find) found it.
    fn accept(&mut self, at: Option<usize>, ssrc: u32, index: u64) {
        match at {
            Some(at) => self.windows[at].accept(index),
            None => {
                self.ssrcs.push(ssrc);
                self.windows.push(Window::new(index));
            }
        }
    }
}

/// The index that is closest to the highest one so far (RFC 3711 §3.3.1, appendix A).
fn estimate(highest: u64, seq: u16) -> Result<u64, Discard> {
    let (roc, highest_seq) = (highest >> 16, highest as u16);
    let roc = if highest_seq < 0x8000 {
        if u32::from(seq) > u32::from(highest_seq) + 0x8000 {
            // From before the counter's first turn there is nothing that could be authentic.
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_estimate_is_the_nearest_index(highest in 0_u64..1 << 48, seq: u16) {
            match estimate(highest, seq) {
                Ok(index) => {
                    prop_assert_eq!(index as u16, seq);
                    prop_assert!(index.abs_diff(highest) <= 0x8000);
                }
                Err(Discard::TooOld) => prop_assert!(highest < 0x8000 && seq > 0x8000),
                Err(Discard::IndexExhausted) => prop_assert!(highest > RTP_INDEX_MAX - 0x8000),
                Err(other) => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn the_counter_turns_both_ways() {
        assert_eq!(estimate(0xffff, 0), Ok(0x1_0000));
        assert_eq!(estimate(0x1_0000, 0xffff), Ok(0xffff));
        assert_eq!(estimate(0x0_0002, 0xfffe), Err(Discard::TooOld));
        assert_eq!(estimate(RTP_INDEX_MAX, 0), Err(Discard::IndexExhausted));
    }
}
