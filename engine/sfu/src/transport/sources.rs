//! The SSRCs of one transport.

use crate::base::slots::Slot;
use crate::limits;
use rtp::{Mid, Rid, Ssrc};

/// The meaning of an SSRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SsrcMeaning {
    /// Its producer.
    pub producer: Slot,
    /// The index of the producer's stream.
    pub stream: u8,
    /// Retransmissions, not media.
    pub is_retransmission: bool,
}

/// The SSRCs received on one transport: signaled, or learned from MID and RID (RFC 9143 §9.2, RFC 8852).
#[derive(Debug, Default)]
pub struct Sources {
    /// Searched linearly: a browser has few. Stored separately so that the search touches one cache line.
    ssrcs: Vec<Ssrc>,
    sources: Vec<SsrcMeaning>,
}

/// The identifiers in the header of a packet with an unknown SSRC.
#[derive(Clone, Copy, Debug, Default)]
pub struct RtpIdentifiers {
    /// MID (RFC 9143).
    pub mid: Option<Mid>,
    /// RtpStreamId (RFC 8852).
    pub rid: Option<Rid>,
    /// RepairedRtpStreamId (RFC 8852).
    pub repaired_rid: Option<Rid>,
}

impl Sources {
    /// The producers of all SSRCs.
    pub fn producers(&self) -> impl Iterator<Item = Slot> {
        self.sources.iter().map(|source| source.producer)
    }

    /// The meaning of this SSRC, if known.
    pub fn find(&self, ssrc: Ssrc) -> Option<SsrcMeaning> {
        let index = self.ssrcs.iter().position(|known| *known == ssrc)?;
        Some(self.sources[index])
    }

    /// From now on, `ssrc` is `source`, and no other SSRC is. False without a change at the bound.
    pub fn learn(&mut self, ssrc: Ssrc, source: SsrcMeaning) -> bool {
        let taken = self.ssrcs.iter().position(|known| *known == ssrc);
        let same = self.sources.iter().position(|known| *known == source);
        match (taken, same) {
            (None, None) if self.ssrcs.len() >= limits::SSRCS_PER_TRANSPORT_MAX => return false,
            (None, None) => {
                self.ssrcs.push(ssrc);
                self.sources.push(source);
            }
            (None, Some(same)) => self.ssrcs[same] = ssrc,
            (Some(taken), None) => self.sources[taken] = source,
            (Some(taken), Some(same)) if taken == same => {}
            (Some(taken), Some(same)) => {
                self.ssrcs[same] = ssrc;
                self.ssrcs.swap_remove(taken);
                self.sources.swap_remove(taken);
            }
        }
        true
    }

    /// Removes the SSRCs of a closed producer.
    pub fn forget(&mut self, producer: Slot) {
        let mut keep = self.sources.iter().map(|source| source.producer != producer);
        self.ssrcs.retain(|_| keep.next().unwrap_or(true));
        self.sources.retain(|source| source.producer != producer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::slots::Slots;

    fn slots(count: usize) -> Vec<Slot> {
        let mut slots = Slots::default();
        (0..count).map(|_| slots.insert_with(|_| ())).collect()
    }

    #[test]
    fn a_stream_has_one_ssrc_and_an_ssrc_one_meaning() {
        let producers = slots(2);
        let media = SsrcMeaning { producer: producers[0], stream: 0, is_retransmission: false };
        let other = SsrcMeaning { producer: producers[1], ..media };
        let mut sources = Sources::default();
        assert!(sources.learn(Ssrc(1), media));
        assert!(sources.learn(Ssrc(2), media));
        assert_eq!((sources.find(Ssrc(1)), sources.find(Ssrc(2))), (None, Some(media)));
        assert!(sources.learn(Ssrc(2), other));
        assert_eq!(sources.find(Ssrc(2)), Some(other));
        sources.forget(producers[1]);
        assert_eq!(sources.find(Ssrc(2)), None);
    }

    #[test]
    fn the_table_of_sources_is_bounded() {
        let producers = slots(limits::SSRCS_PER_TRANSPORT_MAX + 1);
        let mut sources = Sources::default();
        for (index, producer) in producers.iter().enumerate() {
            let source = SsrcMeaning { producer: *producer, stream: 0, is_retransmission: false };
            assert_eq!(sources.learn(Ssrc(index as u32), source), index < limits::SSRCS_PER_TRANSPORT_MAX);
        }
    }
}
