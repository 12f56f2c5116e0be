//! The fields of RTP and RTCP headers that determine the nonce and the start of encryption.

use crate::Discard;

/// Bytes of an RTP header without CSRCs and extension (RFC 3550 §5.1).
pub(crate) const RTP_HEADER_LEN: usize = 12;
/// Bytes of an RTCP compound that are not encrypted: the first packet's header and SSRC (RFC 3711 §3.4).
pub(crate) const RTCP_HEADER_LEN: usize = 8;
/// Bytes of the word with the E bit and the SRTCP index.
pub(crate) const RTCP_INDEX_LEN: usize = 4;

/// The fields of an RTP header in nonce and tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtpHeader {
    pub(crate) seq: u16,
    pub(crate) ssrc: u32,
}

impl RtpHeader {
    /// `packet` begins with at least a fixed header.
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        let fixed = packet.first_chunk::<RTP_HEADER_LEN>()?;
        Some(Self {
            seq: u16::from_be_bytes([fixed[2], fixed[3]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        })
    }
}

/// The offset of the payload of a received packet, if `tag_len` bytes still fit after it. The padding bit
/// does not matter here: padding is encrypted with the payload (RFC 3711 §3.1).
pub(crate) fn rtp_header_len(packet: &[u8], tag_len: usize) -> Result<usize, Discard> {
    let fixed = packet.first_chunk::<RTP_HEADER_LEN>().ok_or(Discard::TooShort)?;
    if fixed[0] >> 6 != 2 {
        return Err(Discard::NotRtp);
    }
    let mut len = RTP_HEADER_LEN + 4 * usize::from(fixed[0] & 0x0f);
    if fixed[0] & 0x10 != 0 {
        let extension = packet.get(len..len + 4).ok_or(Discard::TooShort)?;
        len += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
    }
    if len + tag_len > packet.len() { Err(Discard::TooShort) } else { Ok(len) }
}

/// The SSRC of a compound's first packet.
pub(crate) fn rtcp_ssrc(packet: &[u8]) -> Result<u32, Discard> {
    let header = packet.first_chunk::<RTCP_HEADER_LEN>().ok_or(Discard::TooShort)?;
    if header[0] >> 6 != 2 {
        return Err(Discard::NotRtp);
    }
    Ok(u32::from_be_bytes([header[4], header[5], header[6], header[7]]))
}
