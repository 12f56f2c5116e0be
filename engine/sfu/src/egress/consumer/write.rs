//! Writes a consumer's packet from the shared plaintext: header, extensions, and the few changed bytes of the
//! payload.

use super::{Consumer, PayloadTypes};
use crate::bandwidth::Class;
use crate::bandwidth::sender::Waiting;
use crate::egress::rewrite::Numbering;
use crate::egress::writer::{Body, Egress, Stamped, write};
use crate::limits;
use crate::packet::media_packet::MediaPacket;
use crate::packet::picture::{PictureNumbers, PictureOffset};
use control::{Codec, Counter, ExtensionKind};
use machine::Tx;
use rtp::dependency_descriptor::{self, FrameNumber};
use rtp::{ExtId, Extensions, Header, Pt, SeqNo};

impl Consumer {
    pub(super) fn send(
        &mut self,
        packet: &MediaPacket<'_>,
        seq: SeqNo,
        numbering: &Numbering,
        out: &mut Egress<'_, impl Tx>,
    ) {
        let stripped;
        let packet = if self.red_content.is_some() {
            stripped = self.without_copies(*packet);
            &stripped
        } else {
            packet
        };
        let Some(payload_types) = self.payload_types_of(packet) else { return };
        let header = self.header(packet, payload_types.media, seq, numbering);
        // Counted as sent even if the batch is full: for the peer it is a loss, and it will request the
        // packet.
        let picture = packet.picture.map(|numbers| numbers.with(numbering.picture));
        let frame = dependency_descriptor::mandatory(packet.descriptor);
        let frame = frame.map(|fields| numbering.frame(fields.frame_number));
        self.rewriter.on_sent(out.now, seq, header.timestamp, picture, frame);
        let waiting = Waiting { ssrc: self.ssrc(), seq, is_retransmission: false };
        if out.admit(self.class, packet.payload.len(), waiting) {
            self.write_first(packet, seq, numbering, &header, out);
        }
    }

    /// Writes a packet for the first time.
    pub(super) fn write_first(
        &mut self,
        packet: &MediaPacket<'_>,
        seq: SeqNo,
        numbering: &Numbering,
        header: &Header,
        out: &mut Egress<'_, impl Tx>,
    ) {
        let stamped = self.extensions(packet, numbering, out);
        let patch = Patch::of(packet, numbering);
        // A packet that is retransmitted under the same number must be identical, and has no padding.
        let body = if self.send_extensions.may_vary() { packet.padded } else { packet.payload };
        let body = Body { bytes: body, is_padded: body.len() > packet.payload.len() };
        if let Some(len) = write_patched(header, seq.roc(), &stamped, body, patch, out) {
            out.counters.count(Counter::RtpOut);
            out.counters.add(Counter::RtpBytesOut, len as u64);
            if self.class == Class::Audio
                && let Some(side) = out.send_side.as_deref_mut()
            {
                side.on_audio(out.now, len);
            }
            self.counts.on_packet(out.now, packet.payload.len());
            self.packet_count = self.packet_count.wrapping_add(1);
            self.octet_count = self.octet_count.wrapping_add(packet.payload.len() as u32);
            self.resend_credit = (self.resend_credit + len as u32).min(limits::RESEND_CREDIT_MAX);
        } else {
            out.counters.count(Counter::TxFull);
        }
    }

    /// The header of a packet for this consumer's peer: identical whenever it is written, because its input
    /// is cached with the packet and stored with the numbering. It contains nothing that may change later,
    /// such as the stream's structure.
    pub(super) fn header(
        &self,
        packet: &MediaPacket<'_>,
        pt: Pt,
        seq: SeqNo,
        numbering: &Numbering,
    ) -> Header {
        Header {
            pt,
            marker: packet.marker.at(numbering.top),
            seq: seq.seq(),
            timestamp: numbering.timestamp(packet.timestamp),
            ssrc: self.ssrc(),
        }
    }

    /// Sends an empty packet for a reserved number whose packet is not forwarded, so that the peer does not
    /// see a loss. Only if retransmissions have their own numbers, because a NACK for this one must not send
    /// it again with other bytes (RFC 7714 §8.1).
    pub(super) fn fill(
        &mut self,
        packet: &MediaPacket<'_>,
        hole: SeqNo,
        numbering: &Numbering,
        out: &mut Egress<'_, impl Tx>,
    ) {
        let Some(PayloadTypes { media, rtx: Some(_) }) = self.payload_types_of(packet) else { return };
        if self.spec.rtx_ssrc.is_none() {
            return;
        }
        let header = Header { marker: false, ..self.header(packet, media, hole, numbering) };
        let mut stamped = self.labels();
        out.stamp(&self.send_extensions, &mut stamped);
        match write(&header, hole.roc(), &stamped, Body::plain(&[]), out) {
            Some(len) => {
                out.counters.count(Counter::RtpOut);
                out.counters.add(Counter::RtpBytesOut, len as u64);
                self.packet_count = self.packet_count.wrapping_add(1);
                if self.filled.len() == limits::HOLES_REMEMBERED {
                    self.filled.pop_front();
                }
                self.filled.push_back(hole);
            }
            None => out.counters.count(Counter::TxFull),
        }
    }

    /// For a peer without RED, the primary block of redundant audio (RFC 2198) as a packet of Opus. The
    /// result is always the same, because one number must not protect two payloads. A packet that is not RED
    /// is returned unchanged, and is not sent to a peer without RED.
    pub(super) fn without_copies<'a>(&self, packet: MediaPacket<'a>) -> MediaPacket<'a> {
        let Some(content) = self.red_content.filter(|_| packet.codec == Codec::Red) else { return packet };
        match rtp::red::Payload::parse(packet.payload).map(|red| red.primary) {
            Some(primary) if primary.pt == content => {
                MediaPacket { codec: Codec::Opus, payload: primary.bytes, padded: primary.bytes, ..packet }
            }
            _ => packet,
        }
    }

    /// The extensions of a packet without media.
    pub(super) fn labels(&self) -> Stamped {
        let mut stamped = Stamped::default();
        let mid = self.extensions.iter().flatten().find(|extension| extension.kind == ExtensionKind::Mid);
        if let (Some(extension), Some(mid)) = (mid, &self.mid) {
            stamped.extensions.push(ExtId(extension.id), mid.as_bytes());
        }
        stamped
    }

    pub(super) fn extensions(
        &self,
        packet: &MediaPacket<'_>,
        numbering: &Numbering,
        out: &Egress<'_, impl Tx>,
    ) -> Stamped {
        let mut stamped = Stamped::default();
        let extensions = &mut stamped.extensions;
        for extension in self.extensions.iter().flatten() {
            let id = ExtId(extension.id);
            // An extension that does not fit is left out: the packet is more important.
            match (extension.kind, &self.mid) {
                (ExtensionKind::Mid, Some(mid)) => {
                    extensions.push(id, mid.as_bytes());
                }
                (ExtensionKind::DependencyDescriptor, _) => {
                    push_descriptor(extensions, id, packet.descriptor, numbering);
                }
                (kind, _) => {
                    let own = self.playout_delay.as_ref().filter(|_| kind == ExtensionKind::PlayoutDelay);
                    if let Some(value) = own.map(|own| &own[..]).or_else(|| packet.carried.value(kind)) {
                        extensions.push(id, value);
                    }
                }
            }
        }
        out.stamp(&self.send_extensions, &mut stamped);
        stamped
    }
}

/// The publisher's descriptor, with the frame number of this consumer.
fn push_descriptor(extensions: &mut Extensions, id: ExtId, descriptor: &[u8], numbering: &Numbering) {
    let Some(fields) = dependency_descriptor::mandatory(descriptor) else { return };
    if !numbering.changes_frames() {
        extensions.push(id, descriptor);
        return;
    }
    let mut copy = [0; limits::DESCRIPTOR_LEN_MAX];
    let Some(copy) = copy.get_mut(..descriptor.len()) else { return };
    copy.copy_from_slice(descriptor);
    let FrameNumber(number) = numbering.frame(fields.frame_number);
    copy[1..3].copy_from_slice(&number.to_be_bytes());
    extensions.push(id, copy);
}

/// The changes to a payload that all consumers share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patch {
    numbers: PictureNumbers,
    offset: PictureOffset,
}

impl Patch {
    /// `None` if the payload is unchanged.
    pub(super) fn of(packet: &MediaPacket<'_>, numbering: &Numbering) -> Option<Self> {
        let offset = numbering.picture;
        packet.picture.filter(|_| !offset.is_zero()).map(|numbers| Self { numbers, offset })
    }

    pub(super) fn apply(&self, payload: &mut [u8]) {
        self.numbers.write(self.offset, payload);
    }
}

/// [`write`] with a changed payload: in a separate copy, which costs a tenth of the encryption.
pub(super) fn write_patched(
    header: &Header,
    roc: u32,
    stamped: &Stamped,
    body: Body<'_>,
    patch: Option<Patch>,
    out: &mut Egress<'_, impl Tx>,
) -> Option<usize> {
    let Some(patch) = patch.filter(|_| body.bytes.len() <= limits::CACHED_LEN_MAX) else {
        return write(header, roc, stamped, body, out);
    };
    let mut copy = [0; limits::CACHED_LEN_MAX];
    let copy = &mut copy[..body.bytes.len()];
    copy.copy_from_slice(body.bytes);
    patch.apply(copy);
    write(header, roc, stamped, Body { bytes: copy, ..body }, out)
}
