//! What arrives: verify, decrypt in place, remember (RFC 3711 §3.3).

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
/// A source becomes known by its first authentic packet. Its roll-over counter should be 0 (RFC 3711 §3.3.1), but is 1 if all packets
/// were lost that came before the sequence number wrapped: a sender may start close to the end, or send for minutes before anything
/// arrives. So 1 is tried when 0 is not authentic. More is not tried: each counter costs every forged packet one more decryption.
///
/// Of a source that gives way to a newer one, only the highest index is kept: its packets are then taken again from the next index
/// on. A context that can keep no more says [`SsrcLimit`](Discard::SsrcLimit) to every authentic packet of a new source, and needs a new
/// key.
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

/// The sources that have proved themselves. A handful, so a scan over their bare numbers beats a hash.
/// Grows when an authenticated peer brings a new one, never otherwise.
#[derive(Default)]
struct Sources {
    ssrcs: Vec<u32>,
    /// In the same order.
    sources: Vec<Source>,
    /// Counts packets, to tell which source has been silent longest.
    clock: u64,
    /// The highest index of each source that has given way to another.
    retired: BTreeMap<u32, u64>,
}

struct Source {
    window: Window,
    /// The clock at its newest packet.
    used_at: u64,
}

/// What is known of a source.
#[derive(Clone, Copy)]
enum Known {
    /// Its window, at this place.
    Whole(usize),
    /// Its highest index.
    Retired(u64),
    Nothing,
}

impl Sources {
    fn find(&self, ssrc: u32) -> Known {
        match self.ssrcs.iter().position(|known| *known == ssrc) {
            Some(at) => Known::Whole(at),
            None => self.retired.get(&ssrc).map_or(Known::Nothing, |highest| Known::Retired(*highest)),
        }
    }

    fn highest(&self, source: Known) -> Option<u64> {
        match source {
            Known::Whole(at) => Some(self.sources[at].window.highest()),
            Known::Retired(highest) => Some(highest),
            Known::Nothing => None,
        }
    }

    /// Whether a packet of this index is still wanted. Changes nothing.
    fn check(&self, source: Known, index: u64) -> Result<(), Discard> {
        match source {
            Known::Whole(at) => self.sources[at].window.check(index),
            // Which of those before the highest have been seen is forgotten.
            Known::Retired(highest) if index <= highest => Err(Discard::TooOld),
            Known::Retired(_) | Known::Nothing => Ok(()),
        }
    }

    /// Notes an authentic packet of a source, as [`find`](Self::find) found it.
    fn accept(&mut self, source: Known, ssrc: u32, index: u64) -> Result<(), Discard> {
        self.clock += 1;
        let window = match source {
            Known::Whole(at) => {
                let source = &mut self.sources[at];
                source.window.accept(index);
                source.used_at = self.clock;
                return Ok(());
            }
            Known::Retired(highest) => {
                self.retired.remove(&ssrc);
                Window::behind(highest, index)
            }
            Known::Nothing => Window::new(index),
        };
        self.make_room()?;
        self.ssrcs.push(ssrc);
        self.sources.push(Source { window, used_at: self.clock });
        Ok(())
    }

    /// Has the source that has been silent longest give way, if there are as many as there may be.
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

/// Opens the first packet of a source, whose roll-over counter is 0 or 1; yields its index.
fn open_first(
    cipher: &Cipher,
    RtpHeader { seq, ssrc }: RtpHeader,
    packet: &mut [u8],
    header_len: usize,
) -> Result<u64, BadTag> {
    // AES-GCM overwrites what it cannot open.
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

    /// What a source that gave way had sent is not taken again, and what it sends next is.
    #[test]
    fn a_source_that_gave_way_goes_on_behind_its_highest_index() {
        let mut sources = Sources::default();
        let mut take = |ssrc, index| {
            let source = sources.find(ssrc);
            sources.check(source, index).and_then(|()| sources.accept(source, ssrc, index))
        };
        for ssrc in 0..SSRCS_MAX as u32 {
            for index in [70_000, 70_005, 70_003] {
                assert_eq!(take(ssrc, index), Ok(()));
            }
        }
        // The first is heard again, so the second has been silent longest.
        assert_eq!(take(0, 70_001), Ok(()));
        assert_eq!(take(1000, 1), Ok(()));
        assert_eq!(take(0, 70_002), Ok(()), "it has its whole window");
        for index in [70_000, 70_004, 70_005] {
            assert_eq!(take(1, index), Err(Discard::TooOld), "{index}");
        }
        assert_eq!(take(1, 70_007), Ok(()));
        assert_eq!(take(1, 70_006), Ok(()), "late, and behind the highest of before");
        assert_eq!(take(1, 70_007), Err(Discard::Replayed));
        assert_eq!(take(1, 70_004), Err(Discard::Replayed));
    }

    #[test]
    fn as_many_sources_as_can_be_told_apart_are_taken_and_no_more() {
        let mut sources = Sources::default();
        let all = (SSRCS_MAX + SSRCS_RETIRED_MAX) as u32;
        for ssrc in 0..all {
            let source = sources.find(ssrc);
            assert_eq!(sources.accept(source, ssrc, 7), Ok(()), "{ssrc}");
        }
        let source = sources.find(all);
        assert_eq!(sources.accept(source, all, 7), Err(Discard::SsrcLimit));
        for ssrc in [0, all - 1] {
            let source = sources.find(ssrc);
            assert_eq!(sources.accept(source, ssrc, 8), Ok(()), "{ssrc} is known");
        }
        assert_eq!((sources.ssrcs.len(), sources.retired.len()), (SSRCS_MAX, SSRCS_RETIRED_MAX));
    }

    #[test]
    fn the_counter_turns_both_ways() {
        assert_eq!(estimate(0xffff, 0), Ok(0x1_0000));
        assert_eq!(estimate(0x1_0000, 0xffff), Ok(0xffff));
        assert_eq!(estimate(0x0_0002, 0xfffe), Err(Discard::TooOld));
        assert_eq!(estimate(RTP_INDEX_MAX, 0), Err(Discard::IndexExhausted));
    }
}
