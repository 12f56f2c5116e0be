//! The walk over a received datagram: one RTCP packet after the other (RFC 3550 §6.1).
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

/// Why bytes are no RTCP compound packet. One bad packet condemns the whole datagram: its sender counts wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// No packet at all.
    Empty,
    /// What is left at the end is shorter than a packet's header.
    TooShort,
    /// A packet's version is not 2; perhaps not RTCP at all.
    Version,
    /// A packet's length runs past the end.
    Cut,
    /// Padding is announced, but its length is zero or more than the packet's body.
    Padding,
    /// A packet that is not the last announces padding (RFC 3550 §6.4.1).
    PaddingBeforeEnd,
    /// A packet's body is shorter than its kind or its counts demand.
    Body,
}

/// A datagram of RTCP whose lengths have all been checked. A first packet other than SR or RR is accepted (reduced-size RTCP,
/// RFC 5506).
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks every packet of a datagram: framing, padding, and that the body holds what its counts say.
    pub fn new(bytes: &'a [u8]) -> Result<Compound<'a>, Malformed> {
        if bytes.is_empty() {
            return Err(Malformed::Empty);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            if rest.len() < HEADER_LEN {
                return Err(Malformed::TooShort);
            }
            if rest[0] >> 6 != 2 {
                return Err(Malformed::Version);
            }
            let (packet, after) = rest.split_at_checked(packet_len(rest)).ok_or(Malformed::Cut)?;
            if packet[0] & PADDING_BIT != 0 {
                if !after.is_empty() {
                    return Err(Malformed::PaddingBeforeEnd);
                }
                // The count includes the byte that holds it. It need not be a multiple of four: libwebrtc pads
                // its transport feedback to the next word with one to three bytes.
                let count = usize::from(packet[packet.len() - 1]);
                if count == 0 || count > packet.len() - HEADER_LEN {
                    return Err(Malformed::Padding);
                }
            }
            if !Packet::view(packet).is_sound() {
                return Err(Malformed::Body);
            }
            rest = after;
        }
        Ok(Compound { bytes })
    }

    /// The packets, in their order; at least one.
    pub fn packets(&self) -> PacketIter<'a> {
        PacketIter { rest: self.bytes }
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

/// Walks the packets of a [`Compound`].
#[derive(Clone, Debug)]
pub struct PacketIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for PacketIter<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (packet, rest) = self.rest.split_at(packet_len(self.rest));
        self.rest = rest;
        Some(Packet::view(packet))
    }
}

impl std::iter::FusedIterator for PacketIter<'_> {}

/// One packet of a compound.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// What a sender has sent, and its clocks (RFC 3550 §6.4.1).
    SenderReport(SenderReport<'a>),
    /// What a receiver has received (RFC 3550 §6.4.2).
    ReceiverReport(ReceiverReport<'a>),
    /// Who the sources are (RFC 3550 §6.5).
    Sdes(Sdes<'a>),
    /// Sources that leave (RFC 3550 §6.6).
    Bye(Bye<'a>),
    /// Something an application defines (RFC 3550 §6.7).
    App(App<'a>),
    /// Packets that are missing (RFC 4585 §6.2.1).
    Nack(Nack<'a>),
    /// A decoder has lost the picture (RFC 4585 §6.3.1).
    Pli(Pli<'a>),
    /// A decoder starts from nothing (RFC 5104 §4.3.1).
    Fir(Fir<'a>),
    /// A receiver's estimate of the bandwidth (draft-alvestrand-rmcat-remb-03).
    Remb(Remb<'a>),
    /// When each packet of a transport arrived (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    Twcc(Twcc<'a>),
    /// Extended reports (RFC 3611).
    Xr(Xr<'a>),
    /// Well framed, of a kind we do not read.
    Unknown(Unknown<'a>),
}

/// A packet of a kind we do not read.
#[derive(Clone, Copy, Debug)]
pub struct Unknown<'a> {
    /// The packet type.
    pub packet_type: u8,
    /// The five bits that count something, or the format of a feedback message.
    pub count: u8,
    /// What follows the header, without padding.
    pub body: &'a [u8],
}

impl<'a> Packet<'a> {
    /// The view of a well-framed packet.
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

    /// Whether the body is as long as its kind and its counts demand.
    fn is_sound(&self) -> bool {
        match self {
            Packet::SenderReport(view) => view.is_sound(),
            Packet::ReceiverReport(view) => view.is_sound(),
            Packet::Sdes(view) => view.is_sound(),
            Packet::Bye(view) => view.is_sound(),
            Packet::App(view) => view.is_sound(),
            Packet::Nack(view) => view.is_sound(),
            Packet::Pli(view) => view.is_sound(),
            Packet::Fir(view) => view.is_sound(),
            Packet::Remb(view) => view.is_sound(),
            Packet::Twcc(view) => view.is_sound(),
            Packet::Xr(view) => view.is_sound(),
            Packet::Unknown(_) => true,
        }
    }
}

/// The announced length of the packet at the front of at least four bytes.
fn packet_len(bytes: &[u8]) -> usize {
    4 * (usize::from(u16_at(bytes, 2)) + 1)
}

/// Version, padding, count, type and length.
pub(crate) const HEADER_LEN: usize = 4;
const PADDING_BIT: u8 = 0x20;
