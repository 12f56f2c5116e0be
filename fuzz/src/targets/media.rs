//! RTP and the payloads that a forwarder reads.

use bytes::Bytes;
use oracle_util::marshal::Unmarshal;
use rtp::{ExtId, Extensions, Header, Packet, Pt, Ssrc};

use control::Codec;
use leat_tests::decoder::codec::{self, Seen};

use crate::known;
use crate::oracle::{ask, hold_against, same};
use crate::script::Script;

/// An RTP packet as a view: its parts cover the datagram, the oracle reads the same, and our written packet
/// is read back by us and by the oracle.
pub fn rtp(data: &[u8]) {
    let ours = Packet::new(data).map_err(|malformed| format!("{malformed:?}"));
    let theirs = ask(|| oracle_rtp::packet::Packet::unmarshal(&mut Bytes::copy_from_slice(data)));
    if let Ok(packet) = &ours {
        check_parts(packet);
        check_rewritten(packet);
    }
    hold_against("rtp", known::RTP, data, ours, theirs, compare);
}

fn check_parts(packet: &Packet<'_>) {
    let bytes = packet.as_bytes();
    assert_eq!(packet.header_len() + packet.payload().len() + packet.padding_len(), bytes.len());
    assert_eq!(packet.payload_with_padding().len(), packet.payload().len() + packet.padding_len());
    assert_eq!(packet.csrcs().len(), packet.csrc_count());
    for (id, value) in packet.extensions() {
        assert_ne!(id, ExtId(0), "0 is padding");
        assert!(packet.extension(id).is_some());
        // Every reader gets every value: the peer determines which extension an id means.
        let _ = rtp::ext::mid::read(value);
        let _ = rtp::ext::rid::read(value);
        let _ = rtp::ext::transport_cc::read(value);
        let _ = rtp::ext::toffset::read(value);
        let _ = rtp::ext::abs_send_time::read(value);
        let _ = rtp::ext::audio_level::read(value);
        let _ = rtp::ext::video_orientation::read(value);
        let _ = rtp::ext::playout_delay::read(value);
        let _ = rtp::ext::abs_capture_time::read(value);
    }
    vp8(packet.payload());
    rtx(packet.payload());
}

/// Writes the packet's header again, as a forwarder does for each receiver.
fn check_rewritten(packet: &Packet<'_>) {
    let mut extensions = Extensions::new();
    let mut all = true;
    for (id, value) in packet.extensions() {
        all &= extensions.push(id, value);
    }
    let header = Header {
        pt: packet.pt(),
        marker: packet.marker(),
        seq: packet.seq(),
        timestamp: packet.timestamp(),
        ssrc: packet.ssrc(),
    };
    let len = Header::encoded_len(&extensions);
    let mut out = vec![0xa5; len];
    assert_eq!(header.write(&extensions, &mut out[..len - 1]), None, "one byte short");
    assert_eq!(out, vec![0xa5; len], "and nothing written");
    assert_eq!(header.write(&extensions, &mut out), Some(len));
    let again = Packet::new(&out).expect("our packet is valid");
    assert_eq!(again.header_len(), len);
    assert!(again.payload().is_empty() && again.padding_len() == 0);
    assert_eq!((again.pt(), again.marker()), (packet.pt(), packet.marker()));
    assert_eq!((again.seq(), again.timestamp()), (packet.seq(), packet.timestamp()));
    assert_eq!(again.ssrc(), packet.ssrc());
    assert!(again.extensions().eq(extensions.iter()));
    if all {
        assert!(again.extensions().eq(packet.extensions()));
    }
    let theirs = ask(|| oracle_rtp::packet::Packet::unmarshal(&mut Bytes::copy_from_slice(&out)));
    hold_against("rtp, rewritten", known::RTP, &out, Ok(again), theirs, compare);
}

fn compare(ours: &Packet<'_>, theirs: &oracle_rtp::packet::Packet) -> Result<(), String> {
    let header = &theirs.header;
    same("payload type", ours.pt(), Pt(header.payload_type))?;
    same("marker", ours.marker(), header.marker)?;
    same("sequence number", ours.seq().0, header.sequence_number)?;
    same("timestamp", ours.timestamp(), header.timestamp)?;
    same("SSRC", ours.ssrc(), Ssrc(header.ssrc))?;
    same("CSRCs", ours.csrcs().map(|ssrc| ssrc.0).collect(), header.csrc.clone())?;
    same("payload", ours.payload(), &theirs.payload[..])?;
    if [0xbede, 0x1000].contains(&header.extension_profile) {
        let extensions = header.extensions.iter().map(|extension| (extension.id, extension.payload.to_vec()));
        same(
            "extensions",
            ours.extensions().map(|(id, value)| (id.0, value.to_vec())).collect::<Vec<_>>(),
            extensions.collect(),
        )?;
    }
    Ok(())
}

/// A VP8 payload: the descriptor is inside it, and the shortcuts agree with it.
pub fn vp8(data: &[u8]) {
    let descriptor = rtp::vp8::Descriptor::parse(data);
    let is_keyframe = rtp::vp8::is_keyframe(data);
    if let Some(descriptor) = &descriptor {
        assert!((1..=6).contains(&descriptor.len) && descriptor.len <= data.len());
        assert!(descriptor.partition_id < 8);
        assert!(descriptor.tid.is_none_or(|tid| tid < 4));
        assert!(descriptor.key_idx.is_none_or(|index| index < 32));
        if let Some(id) = descriptor.picture_id {
            assert!(id.value < if id.bits15 { 1 << 15 } else { 1 << 7 });
        }
        // Reading the descriptor does not read the frame.
        assert_eq!(rtp::vp8::Descriptor::parse(&data[..descriptor.len]), Some(*descriptor));
        assert_eq!(rtp::vp8::Descriptor::parse(&data[..descriptor.len - 1]), None);
    }
    // The simulator's peers read the same, with a separate reader.
    match (codec::read(Codec::Vp8, data), descriptor) {
        (Ok((Seen::Vp8(theirs), len)), Some(ours)) => {
            assert_eq!((theirs.starts, len), (ours.starts_frame(), ours.len));
            let id = ours.picture_id.map(|id| (id.value, if id.bits15 { 1 << 15 } else { 1 << 7 }));
            assert_eq!((theirs.picture_id, theirs.tl0picidx), (id, ours.tl0picidx));
            assert_eq!(theirs.layer, ours.tid.map(|tid| (tid, ours.layer_sync)));
            assert_eq!(theirs.is_key, is_keyframe);
        }
        (theirs, ours) => assert!(theirs.is_err() && ours.is_none(), "{theirs:?} and {ours:?}"),
    }
    assert!(!is_keyframe || descriptor.is_some_and(|descriptor| descriptor.starts_frame()));
    assert!(rtp::vp8::keyframe_size(data).is_none() || is_keyframe);
}

/// An RTX payload, and the sequence arithmetic of its number.
pub fn rtx(data: &[u8]) {
    match rtp::rtx::original(data) {
        Some((seq, payload)) => {
            assert_eq!([&seq.0.to_be_bytes()[..], payload].concat(), data);
        }
        None => assert!(data.len() < rtp::rtx::OSN_LEN),
    }
    // The numbers of a stream, extended: each keeps its lower half, none is further than half a circle
    // from the highest before it.
    let mut script = Script::new(data);
    let mut extender = rtp::SeqExtender::new();
    while !script.is_over() {
        let seq = rtp::Seq(script.u16());
        let before = extender.highest();
        let no = extender.extend(seq);
        assert_eq!(no.seq(), seq);
        assert!(before.is_none_or(|highest| no.0.abs_diff(highest.0) <= 1 << 15));
        assert_eq!(extender.highest(), before.max(Some(no)));
    }
}

/// Redundant audio: headers and blocks cover the whole payload, in order.
pub fn red(data: &[u8]) {
    let Some(red) = rtp::red::Payload::parse(data) else { return };
    let copies: Vec<_> = red.copies().collect();
    assert!(copies.len() <= rtp::limits::RED_COPIES_MAX);
    assert!(copies.iter().all(|copy| copy.pt.0 < 128 && copy.timestamp_offset < 1 << 14));
    assert!(red.primary.pt.0 < 128);
    let blocks = copies.iter().map(|copy| copy.bytes).chain([red.primary.bytes]);
    assert_eq!(blocks.collect::<Vec<_>>().concat(), data[copies.len() * 4 + 1..]);
}

/// A payload as each of the layered codecs: every part is inside it, and the shortcuts agree with the walk.
pub fn payloads(data: &[u8]) {
    vp9(data);
    av1(data);
    h264(data);
}

fn vp9(data: &[u8]) {
    let Some(descriptor) = rtp::vp9::Descriptor::parse(data) else {
        assert!(!rtp::vp9::is_keyframe(data));
        return;
    };
    assert!(descriptor.len >= 1 && descriptor.len <= data.len());
    assert!(descriptor.sid() < 8 && descriptor.tid() < 8);
    assert!(descriptor.references.diffs().len() <= 3);
    assert!(descriptor.picture_id.is_none_or(|id| id.value < if id.bits15 { 1 << 15 } else { 1 << 7 }));
    assert!(descriptor.ends_picture(true, 0));
    if let Some(structure) = &descriptor.structure {
        assert!((1..=8).contains(&structure.spatial_layers));
        assert_eq!(structure.size(structure.spatial_layers), None);
        for picture in structure.pictures().into_iter().flatten() {
            assert!(picture.tid < 8 && picture.diffs.len() <= 3);
        }
    }
    // Its receiver sees the same, unless it needs a picture id.
    if let Ok((Seen::Vp9(theirs), len)) = codec::read(Codec::Vp9, data) {
        assert_eq!(len, descriptor.len);
        assert_eq!(Some(theirs.picture_id), descriptor.picture_id.map(|id| id.value));
        assert_eq!((theirs.starts, theirs.ends), (descriptor.start_of_frame, descriptor.end_of_frame));
        assert_eq!((theirs.spatial, theirs.temporal), (descriptor.sid(), descriptor.tid()));
        assert_eq!(theirs.tl0picidx, descriptor.tl0picidx);
        assert_eq!(theirs.diffs, descriptor.references.diffs());
        assert_eq!(theirs.is_predicted, descriptor.inter_picture_predicted);
        let layer = descriptor.layer.map(|layer| (layer.switching_up, layer.inter_layer_predicted));
        assert_eq!((theirs.switches_up, theirs.is_inter_layer), layer.unwrap_or_default());
        let pictures = descriptor.structure.and_then(|structure| structure.pictures());
        let group = pictures.map(|pictures| {
            pictures.map(|picture| (picture.tid, picture.switching_up, picture.diffs.to_vec())).collect()
        });
        assert_eq!(theirs.group, group);
    } else {
        assert_eq!(descriptor.picture_id, None);
    }
    // Reading the descriptor does not read the frame.
    assert_eq!(rtp::vp9::Descriptor::parse(&data[..descriptor.len]), Some(descriptor));
    assert_eq!(rtp::vp9::Descriptor::parse(&data[..descriptor.len - 1]), None);
}

fn av1(data: &[u8]) {
    let Some(payload) = rtp::av1::Payload::parse(data) else {
        assert!(!rtp::av1::is_keyframe(data));
        return;
    };
    let theirs = codec::read(Codec::Av1, data).map(|(seen, _)| seen);
    let ours = codec::Av1 {
        continues: payload.continues,
        goes_on: payload.continued,
        begins_sequence: payload.new_sequence,
    };
    assert_eq!(theirs, Ok(Seen::Av1(ours)));
    let elements: Vec<_> = payload.elements().collect();
    assert!(!elements.is_empty() && (payload.count == 0 || elements.len() == usize::from(payload.count)));
    assert!(elements.iter().map(|element| element.bytes.len()).sum::<usize>() < data.len());
    assert_eq!(elements.first().map(|first| first.start), Some(!payload.continues));
    assert_eq!(elements.last().map(|last| last.end), Some(!payload.continued));
    for element in elements {
        let header = element.header();
        assert!(header.is_none_or(|header| header.kind < 16 && element.start));
    }
}

fn h264(data: &[u8]) {
    use rtp::h264::{NalKind, Payload};
    if let Some(payload) = Payload::parse(data) {
        let has = |kind| payload.starts(kind);
        let ours = codec::H264 {
            has_sps: has(NalKind::Sps),
            has_pps: has(NalKind::Pps),
            has_idr: has(NalKind::Idr),
        };
        let theirs = codec::read(Codec::H264, data).map(|(seen, _)| seen);
        assert_eq!(theirs, Ok(Seen::H264(ours)));
    }
    match Payload::parse(data) {
        None => assert!(!rtp::h264::is_keyframe(data)),
        Some(Payload::Single(nal)) => assert_eq!(nal.bytes.len(), data.len() - 1),
        Some(Payload::Aggregate(aggregate)) => {
            let nals: Vec<_> = aggregate.collect();
            assert!(!nals.is_empty() && nals.iter().all(|nal| nal.ref_idc < 4));
            assert_eq!(nals.iter().map(|nal| nal.bytes.len() + 3).sum::<usize>(), data.len() - 1);
        }
        Some(Payload::Fragment { nal, start, end }) => {
            assert_eq!(nal.bytes.len(), data.len() - 2);
            let mut whole = 0;
            Payload::Fragment { nal, start, end }.whole_units(|_| whole += 1);
            assert_eq!(whole == 1, start && end);
        }
    }
    if let Some(payload) = Payload::parse(data) {
        payload.whole_units(|nal| {
            let is_set = matches!(nal.kind, NalKind::Sps | NalKind::Pps);
            assert!(nal.parameter_set_id().is_none() || is_set);
        });
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_has_keyframes() {
        let vp9 = include_bytes!("../../corpus/payloads/vp9-key-picture-with-structure");
        assert!(rtp::vp9::is_keyframe(vp9));
        assert!(rtp::av1::is_keyframe(include_bytes!("../../corpus/payloads/av1-sequence")));
        assert!(rtp::h264::is_keyframe(include_bytes!("../../corpus/payloads/h264-aggregate")));
    }
}
