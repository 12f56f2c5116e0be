//! Reads a received datagram: one RTCP packet after the other (RFC 3550 §6.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |V=2|P|  count  |  packet type  |  length in words, minus one   |
//! |                             body                              |
//! ```

use crate::feedback::{Fir, Nack, Pli, Remb};
use crate::report::{ReceiverReport, SenderReport};
use crate::sdes::{App, Bye, Sdes};
use crate::twcc::Twcc;
use crate::xr::Xr;
use crate::{format, packet_type, u16_at};

/// Why a packet, or the rest of a datagram, cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// There is no packet.
    Empty,
    /// The rest is shorter than a packet's header.
    TooShort,
    /// A packet's version is not 2; perhaps not RTCP.
    Version,
    /// A packet's length runs past the end.
    Cut,
    /// Padding is announced, but its length is zero or more than the packet's body.
    Padding,
    /// A packet before the last one announces padding (RFC 3550 §6.4.1).
    PaddingBeforeEnd,
    /// A packet's body is shorter than its type or its counts require.
    Body,
}

/// Iterates over a received datagram. A first packet other than SR or RR is accepted (reduced-size RTCP, RFC
/// 5506).
///
/// A malformed packet with correct framing is one `Err`, and the walk continues after it: some senders add an
/// SDES without the final null or an FIR without entries to valid reports. If the framing itself is wrong
/// (`TooShort`, `Version`, `Cut`), the walk ends with that `Err`.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    /// Starts at the first packet of the datagram.
    pub fn new(datagram: &'a [u8]) -> Walk<'a> {
        Walk { rest: datagram }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<Packet<'a>, Malformed>;

    fn next(&mut self) -> Option<Result<Packet<'a>, Malformed>> {
        if self.rest.is_empty() {
            return None;
        }
        let (packet, after) = match split_packet(self.rest) {
            Ok(split) => split,
            Err(malformed) => {
                self.rest = &[];
                return Some(Err(malformed));
            }
        };
        self.rest = after;
        Some(Packet::read(packet, after.is_empty()))
    }
}

impl std::iter::FusedIterator for Walk<'_> {}

/// Splits off the first packet. `Err` if the framing is wrong.
fn split_packet(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    if bytes.len() < HEADER_LEN {
        return Err(Malformed::TooShort);
    }
    if bytes[0] >> 6 != 2 {
        return Err(Malformed::Version);
    }
    bytes.split_at_checked(packet_len(bytes)).ok_or(Malformed::Cut)
}

/// A datagram of RTCP in which every packet is valid, such as one written by us. A receiver keeps the valid
/// packets of any datagram with [`Walk`].
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks every packet of a datagram: framing, padding, and that the body has the length of its counts.
    pub fn new(bytes: &'a [u8]) -> Result<Compound<'a>, Malformed> {
        if bytes.is_empty() {
            return Err(Malformed::Empty);
        }
        Walk::new(bytes).try_for_each(|packet| packet.map(|_| ()))?;
        Ok(Compound { bytes })
    }

    /// The packets, in order; at least one.
    pub fn packets(&self) -> PacketIter<'a> {
        PacketIter(Walk::new(self.bytes))
    }

    /// The whole datagram.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> IntoIterator for Compound<'a> {
    type Item = Packet<'a>;
    type IntoIter = PacketIter<'a>;

    fn into_iter(self) -> PacketIter<'a> {
        self.packets()
    }
}

/// Iterates over the packets of a [`Compound`].
#[derive(Clone, Debug)]
pub struct PacketIter<'a>(Walk<'a>);

impl<'a> Iterator for PacketIter<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        self.0.next()?.ok()
    }
}

impl std::iter::FusedIterator for PacketIter<'_> {}

/// One packet of a compound.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// A sender's counts and clocks (RFC 3550 §6.4.1).
    SenderReport(SenderReport<'a>),
    /// A receiver's reception (RFC 3550 §6.4.2).
    ReceiverReport(ReceiverReport<'a>),
    /// Names of sources (RFC 3550 §6.5).
    Sdes(Sdes<'a>),
    /// Sources that leave (RFC 3550 §6.6).
    Bye(Bye<'a>),
    /// Application-defined (RFC 3550 §6.7).
    App(App<'a>),
    /// Missing packets (RFC 4585 §6.2.1).
    Nack(Nack<'a>),
    /// A decoder has lost the picture (RFC 4585 §6.3.1).
    Pli(Pli<'a>),
    /// A decoder starts without state (RFC 5104 §4.3.1).
    Fir(Fir<'a>),
    /// A receiver's estimate of the bandwidth (draft-alvestrand-rmcat-remb-03).
    Remb(Remb<'a>),
    /// The arrival times of a transport's packets (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    Twcc(Twcc<'a>),
    /// Extended reports (RFC 3611).
    Xr(Xr<'a>),
    /// Valid framing, of an unsupported type.
    Unknown(Unknown<'a>),
}

/// A packet of an unsupported type.
#[derive(Clone, Copy, Debug)]
pub struct Unknown<'a> {
    /// The packet type.
    pub packet_type: u8,
    /// The five bits of a count, or of the format of a feedback message.
    pub count: u8,
    /// The bytes after the header, without padding.
    pub body: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Checks the padding and body of a packet.
    fn read(packet: &'a [u8], is_last: bool) -> Result<Packet<'a>, Malformed> {
        if packet[0] & PADDING_BIT != 0 {
            if !is_last {
                return Err(Malformed::PaddingBeforeEnd);
            }
            // The count includes its own byte. It need not be a multiple of four: libwebrtc pads its
            // transport feedback to the next word with one to three bytes.
            let count = usize::from(packet[packet.len() - 1]);
            if count == 0 || count > packet.len() - HEADER_LEN {
                return Err(Malformed::Padding);
            }
        }
        let view = Packet::view(packet);
        if view.is_valid() { Ok(view) } else { Err(Malformed::Body) }
    }

    /// The view of a packet whose padding has been checked.
    fn view(packet: &'a [u8]) -> Packet<'a> {
        let (count, packet_type) = (packet[0] & 0x1f, packet[1]);
        let padding_len = if packet[0] & PADDING_BIT == 0 { 0 } else { packet[packet.len() - 1] };
        let body = &packet[HEADER_LEN..packet.len() - usize::from(padding_len)];
        match (packet_type, count) {
            (packet_type::SR, _) => Packet::SenderReport(SenderReport { count, body }),
            (packet_type::RR, _) => Packet::ReceiverReport(ReceiverReport { count, body }),
            (packet_type::SDES, _) => Packet::Sdes(Sdes { count, body }),
            (packet_type::BYE, _) => Packet::Bye(Bye { count, body }),
            (packet_type::APP, _) => Packet::App(App { subtype: count, body }),
            (packet_type::RTPFB, format::NACK) => Packet::Nack(Nack { body }),
            (packet_type::RTPFB, format::TWCC) => Packet::Twcc(Twcc { body }),
            (packet_type::PSFB, format::PLI) => Packet::Pli(Pli { body }),
            (packet_type::PSFB, format::FIR) => Packet::Fir(Fir { body }),
            (packet_type::PSFB, format::ALFB) if Remb::is_named(body) => Packet::Remb(Remb { body }),
            (packet_type::XR, _) => Packet::Xr(Xr { body }),
            _ => Packet::Unknown(Unknown { packet_type, count, body }),
        }
    }

    /// Whether the body is as long as its type and its counts require.
    fn is_valid(&self) -> bool {
        match self {
            Packet::SenderReport(view) => view.is_valid(),
            Packet::ReceiverReport(view) => view.is_valid(),
            Packet::Sdes(view) => view.is_valid(),
            Packet::Bye(view) => view.is_valid(),
            Packet::App(view) => view.is_valid(),
            Packet::Nack(view) => view.is_valid(),
            Packet::Pli(view) => view.is_valid(),
            Packet::Fir(view) => view.is_valid(),
            Packet::Remb(view) => view.is_valid(),
            Packet::Twcc(view) => view.is_valid(),
            Packet::Xr(view) => view.is_valid(),
            Packet::Unknown(_) => true,
        }
    }
}

/// The announced length of the first packet; `bytes` has at least four bytes.
fn packet_len(bytes: &[u8]) -> usize {
    4 * (usize::from(u16_at(bytes, 2)) + 1)
}

/// Version, padding, count, type and length.
pub(crate) const HEADER_LEN: usize = 4;
const PADDING_BIT: u8 = 0x20;

#[cfg(test)]
mod tests;
