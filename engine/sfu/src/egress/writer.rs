//! Writes one consumer's packets: path, key, pacing, and the extensions that are set when sending.

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

/// The output of one consumer, for one operation.
#[derive(Debug)]
pub struct Egress<'a, T> {
    /// The time of this turn.
    pub now: Instant,
    /// The transport's send path.
    pub leg: SendPath<'a>,
    /// The transport's congestion control, if any.
    pub send_side: Option<&'a mut SendSide>,
    /// The send batch.
    pub tx: &'a mut T,
    /// The worker's counters.
    pub counters: &'a mut Counters,
    /// The counters of the transport's sent datagrams.
    pub sent: &'a mut Amount,
}

impl<'a, T: Tx> Egress<'a, T> {
    /// The output of a transport. `None` until its path and keys are known.
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

    /// Whether a packet may be written now; otherwise it waits, or is dropped.
    pub fn admit(&mut self, class: Class, payload_len: usize, waiting: Waiting) -> bool {
        let Some(side) = self.send_side.as_deref_mut() else { return true };
        side.admit(self.now, class, payload_len, waiting, self.counters)
    }

    /// The same for a packet that was sent before. With `must_wait` it is not written now, whatever the
    /// bucket's level.
    pub fn admit_again(&mut self, payload_len: usize, waiting: Waiting, must_wait: bool) -> bool {
        let Some(side) = self.send_side.as_deref_mut() else { return !must_wait };
        if must_wait {
            side.put_off(self.now, payload_len, waiting, self.counters);
            return false;
        }
        side.admit(self.now, Class::Retransmission, payload_len, waiting, self.counters)
    }

    /// Adds the send-time extensions of the next packet.
    pub fn stamp(&self, send_extensions: &SendExtensions, stamped: &mut Stamped) {
        let Stamped { extensions, is_numbered } = stamped;
        if let Some(id) = send_extensions.send_time {
            let time = AbsSendTime::from_duration(self.now.since_epoch());
            extensions.push(id, &abs_send_time::write(time));
        }
        *is_numbered = match (send_extensions.number, self.send_side.as_deref()) {
            (Some(id), Some(side)) => extensions.push(id, &transport_cc::write(side.next_seq())),
            _ => false,
        };
    }

    /// Whether a probe needs padding.
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

/// The send-time extensions of one consumer's packets, which differ each time. None if packets may be
/// retransmitted on their own stream: one SRTP index would protect two headers, which reveals the
/// authentication key (RFC 7714 §8.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct SendExtensions {
    /// No packet is retransmitted on its own stream.
    may_vary: bool,
    /// The id of the transport-wide number.
    number: Option<ExtId>,
    /// The id of the send time: used for a peer's own estimate.
    send_time: Option<ExtId>,
}

impl SendExtensions {
    /// As negotiated by the consumer.
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

    /// Whether one packet's header may differ each time it is sent.
    pub fn may_vary(&self) -> bool {
        self.may_vary
    }

    /// Whether packets carry transport-wide numbers.
    pub fn has_number(&self) -> bool {
        self.number.is_some()
    }
}

/// The part after a header.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// The payload, with its padding.
    pub bytes: &'a [u8],
    /// The last byte counts bytes of padding (RFC 3550 §5.1).
    pub is_padded: bool,
}

impl<'a> Body<'a> {
    /// An unpadded payload.
    pub fn plain(payload: &'a [u8]) -> Self {
        Self { bytes: payload, is_padded: false }
    }
}

/// The header extensions of the next packet. They are built in place, because a copy costs more than
/// the elements.
#[derive(Debug, Default)]
pub struct Stamped {
    /// The elements.
    pub extensions: Extensions,
    /// The transport-wide number is one of them, so the packet uses it. [`Egress::stamp`] sets it.
    is_numbered: bool,
}

/// Claims a slot, writes the header and encrypts the payload after it. Returns the length, or `None` if the
/// batch is full.
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

/// A packet of maximum padding (RFC 3550 §5.1: its last byte is the count), encrypted like a payload.
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

/// The maximum of one byte.
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
    fn packets_retransmitted_on_their_own_stream_have_no_send_time_extensions() {
        assert!(SendExtensions::of(&consume(true, Some(97))).has_number());
        assert!(SendExtensions::of(&consume(false, None)).has_number());
        assert!(!SendExtensions::of(&consume(true, None)).has_number());
    }
}
