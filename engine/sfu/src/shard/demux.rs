//! Finds the producer and stream of a packet.

use crate::base::slots::{Slot, Slots};
use crate::ingress::producer::{Producer, has_labels};
use crate::limits;
use crate::packet::media_packet::Carried;
use crate::packet::received::Role;
use crate::transport::Transport;
use crate::transport::sources::{RtpIdentifiers, SsrcMeaning};
use control::{Discard, ExtensionKind};
use machine::Instant;
use rtp::{Pt, Ssrc, TwccSeq};

/// The parsed header extensions of a packet.
#[derive(Default)]
pub(super) struct Read<'a> {
    /// For routing.
    pub(super) identifiers: RtpIdentifiers,
    /// Values that are forwarded.
    pub(super) carried: Carried,
    /// The transport-wide number.
    pub(super) twcc_seq: Option<TwccSeq>,
    /// The dependency descriptor; empty without one.
    pub(super) descriptor: &'a [u8],
}

/// One pass over the header extensions.
pub(super) fn read_extensions<'a>(transport: &Transport, rtp: &rtp::Packet<'a>) -> Read<'a> {
    let Read { mut identifiers, mut carried, mut twcc_seq, mut descriptor } = Read::default();
    for (id, value) in rtp.extensions() {
        match transport.extensions.kind(id) {
            Some(ExtensionKind::Mid) => identifiers.mid = rtp::ext::mid::read(value),
            Some(ExtensionKind::Rid) => identifiers.rid = rtp::ext::rid::read(value),
            Some(ExtensionKind::RepairedRid) => identifiers.repaired_rid = rtp::ext::rid::read(value),
            Some(ExtensionKind::TransportCc) => twcc_seq = rtp::ext::transport_cc::read(value),
            Some(ExtensionKind::DependencyDescriptor) if value.len() <= limits::DESCRIPTOR_LEN_MAX => {
                descriptor = value;
            }
            Some(kind) => carried.keep(kind, value),
            None => {}
        }
    }
    Read { identifiers, carried, twcc_seq, descriptor }
}

/// The producer and stream of a packet: by its SSRC, or by its header extensions.
pub(super) fn find_source(
    now: Instant,
    transport: &mut Transport,
    producers: &mut Slots<Producer>,
    rtp: &rtp::Packet<'_>,
    identifiers: &RtpIdentifiers,
) -> Result<(SsrcMeaning, Role), Discard> {
    if let Some(source) = transport.sources.find(rtp.ssrc()) {
        let producer = producers.find(source.producer).ok_or(Discard::RtpUnroutable)?;
        let role = producer.role(rtp.pt()).ok_or(Discard::RtpUnknownPt)?;
        if matches!(role, Role::Retransmission(_)) == source.is_retransmission {
            return Ok((source, role));
        }
        return Err(Discard::RtpUnknownPt);
    }
    learn(now, transport, producers, rtp, identifiers)
}

/// Finds the producer and stream of a packet whose SSRC is unknown, and learns the SSRC.
///
/// On a plain transport an SSRC may also replace the one before without a MID, by its payload type alone: a
/// restarted program chooses another SSRC (RFC 3550 §8.2).
fn learn(
    now: Instant,
    transport: &mut Transport,
    producers: &mut Slots<Producer>,
    rtp: &rtp::Packet<'_>,
    identifiers: &RtpIdentifiers,
) -> Result<(SsrcMeaning, Role), Discard> {
    let (ssrc, pt) = (rtp.ssrc(), rtp.pt());
    let slot =
        find_producer(&transport.producers, producers, pt, identifiers).ok_or(Discard::RtpUnroutable)?;
    let producer = producers.find_mut(slot).ok_or(Discard::RtpUnroutable)?;
    let role = producer.role(pt).ok_or(Discard::RtpUnknownPt)?;
    let is_retransmission = matches!(role, Role::Retransmission(_));
    // Some clients name the stream of a retransmission as that of media (RFC 8852 has another extension).
    let RtpIdentifiers { rid, repaired_rid, .. } = *identifiers;
    let rid = if is_retransmission { repaired_rid.or(rid) } else { rid };
    let index = match (rid, producer.streams.len()) {
        (_, 1) => Some(0),
        (Some(rid), _) => producer.streams.iter().position(|stream| stream.rid == Some(rid)),
        (None, _) => None,
    };
    let index = index.ok_or(Discard::RtpUnroutable)?;
    let stream = &mut producer.streams[index];
    if !is_retransmission && stream.is_straggler(now, ssrc, rtp.seq()) {
        return Err(Discard::RtpTooOld);
    }
    // A payload type alone may identify a stream, but not change a browser's SSRC: browsers omit the MID
    // after a report has arrived, and a late packet of a closed producer then looks the same.
    let known = if is_retransmission { stream.rtx_ssrc } else { stream.ssrc };
    let may_rename = identifiers.mid.is_some()
        || transport.plain().is_some() && may_restart(now, producer, is_retransmission);
    if known.is_some() && !may_rename {
        return Err(Discard::RtpUnroutable);
    }
    let source = SsrcMeaning { producer: slot, stream: index as u8, is_retransmission };
    if !transport.sources.learn(ssrc, source) {
        return Err(Discard::SsrcLimit);
    }
    let stream = &mut producer.streams[index];
    if is_retransmission {
        stream.rtx_ssrc = Some(ssrc);
    } else if stream.learn_ssrc(now, ssrc) {
        producer.on_new_beginning(index);
    }
    Ok((source, role))
}

/// Whether a new SSRC with one of a producer's payload types can belong to its restarted source. A producer
/// that is identified by its payload types alone has no other source. One whose SSRC or MID was signaled
/// keeps its SSRC while that source sends.
fn may_restart(now: Instant, producer: &Producer, is_retransmission: bool) -> bool {
    let ([stream], [encoding]) = (&producer.streams[..], &producer.spec.encodings[..]) else { return false };
    if !has_labels(&producer.spec) {
        return true;
    }
    // Retransmissions follow their media.
    let has_restarted = is_retransmission && stream.ssrc != encoding.ssrc.map(Ssrc);
    has_restarted || stream.is_silent(now)
}

/// By MID; without one, by a payload type that only one producer has (RFC 9143 §9.2).
fn find_producer(
    of_transport: &[Slot],
    producers: &Slots<Producer>,
    pt: Pt,
    identifiers: &RtpIdentifiers,
) -> Option<Slot> {
    let of_transport = || of_transport.iter().filter_map(|slot| Some((*slot, producers.find(*slot)?)));
    if let Some(mid) = identifiers.mid {
        return of_transport().find(|(_, producer)| producer.mid == Some(mid)).map(|(slot, _)| slot);
    }
    let mut with_pt = of_transport().filter(|(_, producer)| producer.role(pt).is_some());
    let (slot, _) = with_pt.next()?;
    with_pt.next().is_none().then_some(slot)
}
