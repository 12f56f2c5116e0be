//! The way out of one consumer's packets: which path, under which key, at whose pace, and what they say of their sending.

use crate::bandwidth::sender::{SendSide, Waiting};
use crate::bandwidth::{Class, Purpose};
use crate::base::traffic::Amount;
use crate::transport::Transport;
use crate::transport::send_path::SendPath;
use control::{CodecParameters, Consume, Counters, ExtensionKind};
use machine::{Instant, Tx};
use rtp::ext::abs_send_time::{self, AbsSendTime};
use rtp::ext::transport_cc;
use rtp::{ExtId, Extensions, Header};

/// Where the packets of one consumer go, for as long as one thing is done.
#[derive(Debug)]
pub struct Egress<'a, T> {
    /// The time of this turn.
    pub now: Instant,
    /// The transport's way out.
    pub leg: SendPath<'a>,
    /// The transport's congestion control, if it has any.
    pub send_side: Option<&'a mut SendSide>,
    /// The send batch.
    pub tx: &'a mut T,
    /// What is counted.
    pub counters: &'a mut Counters,
    /// What is counted of the transport's datagrams.
    pub sent: &'a mut Amount,
}

impl<'a, T: Tx> Egress<'a, T> {
    /// The way out of a transport. `None` until the way is known and the keys are there.
    pub fn of(
        transport: &'a mut Transport,
        now: Instant,
        tx: &'a mut T,
        counters: &'a mut Counters,
    ) -> Option<Self> {
        let (flow, path) = (transport.flow(), transport.path()?);
        let outbound = transport.protection.as_ref()?.outbound();
        let leg = SendPath { flow, path, outbound };
        Some(Self {
            now,
            leg,
            send_side: transport.send_side.as_deref_mut(),
            tx,
            counters,
            sent: &mut transport.traffic.sent,
        })
    }

    /// Whether a packet may be written now; otherwise it waits for its turn, or is dropped.
    pub fn admit(&mut self, class: Class, payload_len: usize, waiting: Waiting) -> bool {
        let Some(side) = self.send_side.as_deref_mut() else { return true };
        side.admit(self.now, class, payload_len, waiting, self.counters)
    }

    /// The same for one that was sent before. With `must_wait` it is not written now, whatever the bucket says.
    pub fn admit_again(&mut self, payload_len: usize, waiting: Waiting, must_wait: bool) -> bool {
        let Some(side) = self.send_side.as_deref_mut() else { return !must_wait };
        if must_wait {
            side.put_off(self.now, payload_len, waiting, self.counters);
            return false;
        }
        side.admit(self.now, Class::Retransmission, payload_len, waiting, self.counters)
    }

    /// Adds the send time and the transport-wide number of the packet that is written next.
    pub fn stamp(&self, send_extensions: &SendExtensions, mut extensions: Extensions) -> Stamped {
        if let Some(id) = send_extensions.send_time {
            let time = AbsSendTime::from_duration(self.now.since_epoch());
            extensions.push(id, &abs_send_time::write(time));
        }
        let is_numbered = match (send_extensions.number, self.send_side.as_deref()) {
            (Some(id), Some(side)) => extensions.push(id, &transport_cc::write(side.next_seq())),
            _ => false,
        };
        Stamped { extensions, is_numbered }
    }

    /// Whether a probe lacks something.
    pub fn padding_due(&self) -> bool {
        self.send_side.as_ref().is_some_and(|side| side.estimator.padding_due(self.now) > 0)
    }

    /// A datagram has been written.
    fn on_written(&mut self, len: usize, is_numbered: bool, purpose: Purpose) {
        self.sent.count(len);
        if let Some(side) = self.send_side.as_deref_mut() {
            side.on_sent(self.now, len, is_numbered, purpose);
        }
    }
}

/// What packets of one consumer say of their sending, each time another thing. Nothing where a packet may be sent again on its own stream:
/// one SRTP index would protect two headers then, which gives the authentication key away (RFC 7714 §8.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct SendExtensions {
    /// No packet is sent again on its own stream.
    may_vary: bool,
    /// The transport-wide number, under this id.
    number: Option<ExtId>,
    /// When it was sent: what a peer's own estimate is made from.
    send_time: Option<ExtId>,
}

impl SendExtensions {
    /// As the consumer negotiated.
    pub fn of(spec: &Consume) -> Self {
        let has_rtx = |codec: &CodecParameters| codec.rtx_pt.is_some() && spec.rtx_ssrc.is_some();
        if !spec.codecs.iter().all(|codec| !codec.nack || has_rtx(codec)) {
            return Self::default();
        }
        let id = |kind| {
            let extension = spec.extensions.iter().find(|extension| extension.kind == kind)?;
            Some(ExtId(extension.id))
        };
        Self {
            may_vary: true,
            number: id(ExtensionKind::TransportCc),
            send_time: id(ExtensionKind::AbsSendTime),
        }
    }

    /// Whether one packet's header may say other things each time it is sent.
    pub fn may_vary(&self) -> bool {
        self.may_vary
    }

    /// Whether packets carry transport-wide numbers.
    pub fn has_number(&self) -> bool {
        self.number.is_some()
    }
}

/// What goes behind a header.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// The payload, with its padding.
    pub bytes: &'a [u8],
    /// The last byte counts bytes of padding (RFC 3550 §5.1).
    pub is_padded: bool,
}

impl<'a> Body<'a> {
    /// A payload as it is.
    pub fn plain(payload: &'a [u8]) -> Self {
        Self { bytes: payload, is_padded: false }
    }
}

/// The complete header extensions of the next packet, made by [`Egress::stamp`].
#[derive(Debug)]
pub struct Stamped {
    extensions: Extensions,
    /// They contain the next transport-wide number, so the packet takes it.
    is_numbered: bool,
}

/// Claims a slot, writes the header and encrypts the payload behind it. The length, or `None` if the batch is full.
pub fn write(
    header: &Header,
    roc: u32,
    stamped: &Stamped,
    body: Body<'_>,
    out: &mut Egress<'_, impl Tx>,
) -> Option<usize> {
    let Stamped { extensions, is_numbered } = stamped;
    let header_len = Header::encoded_len(extensions);
    let Egress { leg, tx, .. } = out;
    let len = header_len + body.bytes.len() + leg.outbound.rtp_overhead();
    let slot = tx.slot(leg.flow, leg.path, len)?;
    let written = header.write(extensions, slot).and_then(|header_len| {
        slot[0] |= if body.is_padded { PADDING_BIT } else { 0 };
        leg.outbound.protect_rtp(roc, header_len, body.bytes, slot)
    });
    match written {
        Some(len) => out.on_written(len, *is_numbered, Purpose::Media),
        None => out.tx.cancel(),
    }
    written
}

/// A packet of padding as long as padding can be (RFC 3550 §5.1: its last byte counts it), encrypted like a payload.
pub fn write_padding(
    header: &Header,
    roc: u32,
    stamped: &Stamped,
    out: &mut Egress<'_, impl Tx>,
) -> Option<usize> {
    let Stamped { extensions, is_numbered } = stamped;
    let mut padding = [0; PADDING_LEN];
    padding[PADDING_LEN - 1] = PADDING_LEN as u8;
    let Egress { leg, tx, .. } = out;
    let len = Header::encoded_len(extensions) + padding.len() + leg.outbound.rtp_overhead();
    let slot = tx.slot(leg.flow, leg.path, len)?;
    let written = header.write(extensions, slot).and_then(|header_len| {
        slot[0] |= PADDING_BIT;
        leg.outbound.protect_rtp(roc, header_len, &padding, slot)
    });
    match written {
        Some(len) => out.on_written(len, *is_numbered, Purpose::Padding),
        None => out.tx.cancel(),
    }
    written
}

const PADDING_BIT: u8 = 0x20;

/// As much as one byte can count.
const PADDING_LEN: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use control::{ConsumerId, Extension, ProducerId, TransportId, fixtures};

    fn consume(nack: bool, rtx_pt: Option<u8>) -> Consume {
        let codec = CodecParameters { rtx_pt, nack, ..fixtures::vp8(96, 97) };
        Consume {
            rtx_ssrc: rtx_pt.map(|_| 2),
            extensions: vec![Extension { kind: ExtensionKind::TransportCc, id: 5 }],
            ..fixtures::consume(TransportId(1), ProducerId(1), ConsumerId(1), codec, 1)
        }
    }

    #[test]
    fn what_may_be_sent_again_on_its_own_stream_is_never_stamped() {
        assert!(SendExtensions::of(&consume(true, Some(97))).has_number());
        assert!(SendExtensions::of(&consume(false, None)).has_number());
        assert!(!SendExtensions::of(&consume(true, None)).has_number());
    }
}
