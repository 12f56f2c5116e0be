//! Streams of our own encoders, valid and changed: a model that accepts everything proves nothing.

use super::{Incoming, Receiver, see};
use crate::layered::{LayeredSource, LayeredTrack, TRUTH_LEN, Truth, sent_ext};
use control::Codec;
use machine::{Instant, Rng};
use std::time::Duration;

/// A packet between the source and the receiver, with its stream and its truth.
#[derive(Clone, Debug)]
struct Packet {
    truth: Option<Truth>,
    stream: u8,
    incoming: Incoming,
}

/// The packets of a track in this number of pictures; every stream's keyframe is requested at each of `keys`.
fn pictures(
    track: &LayeredTrack,
    count: u64,
    keys: &[u64],
    change: impl Fn(u64, &mut LayeredSource),
) -> Vec<Packet> {
    let start = Instant::from_nanos(1_000_000_000);
    let mut source = LayeredSource::new(start, track.clone(), "0".to_owned(), Rng::from_number(5));
    let mut packets = Vec::new();
    for picture in 0..count {
        let now = start + Duration::from_millis(34 * picture);
        if keys.contains(&picture) {
            (0..track.encodings.len()).for_each(|encoding| source.change_scene(encoding));
        }
        change(picture, &mut source);
        for packet in source.frame(now) {
            let Some(stream) = source.stream_of(packet.header.ssrc) else { continue };
            let truth = see(track.codec, &packet.payload).ok();
            let incoming = Incoming {
                at: now,
                timestamp: packet.header.timestamp,
                marker: packet.header.marker,
                descriptor: packet.header.get_extension(sent_ext::DESCRIPTOR).map(|value| value.to_vec()),
                payload: packet.payload.to_vec(),
            };
            packets.push(Packet { truth, stream: stream as u8, incoming });
        }
    }
    packets
}

fn plain(track: &LayeredTrack, count: u64, keys: &[u64]) -> Vec<Packet> {
    pictures(track, count, keys, |_, _| {})
}

/// Numbers the packets without a gap and passes them to a receiver.
fn receive(track: &LayeredTrack, packets: impl IntoIterator<Item = Packet>) -> Receiver {
    receive_numbered(track, packets.into_iter().zip(1000..).map(|(packet, seq)| (seq, packet)))
}

fn receive_numbered(track: &LayeredTrack, packets: impl Iterator<Item = (u64, Packet)>) -> Receiver {
    let mut receiver = Receiver::new(track.codec, track.dependency_descriptor);
    let mut now = Instant::EPOCH;
    for (seq, packet) in packets {
        now = now.max(packet.incoming.at);
        receiver.on_packet(seq, packet.incoming);
    }
    receiver.finish(now + Duration::from_secs(5));
    receiver
}

fn of_stream(stream: u8) -> impl Fn(&Packet) -> bool {
    move |packet| packet.stream == stream
}

/// The packets that may be left out for a receiver of these layers at most; padding stays.
fn within(spatial: u8, temporal: u8) -> impl Fn(&Packet) -> bool {
    move |packet| {
        packet.truth.as_ref().is_none_or(|truth| truth.spatial <= spatial && truth.temporal <= temporal)
    }
}

#[track_caller]
fn assert_good(receiver: &Receiver, pictures: usize) {
    assert_eq!(receiver.faults(), [""; 0]);
    assert_eq!(receiver.headless(), 0);
    assert!(receiver.undecodable().is_empty(), "{:#?}", receiver.undecodable().first());
    assert_eq!(receiver.pictures().len(), pictures);
}

#[track_caller]
fn assert_fault(receiver: &Receiver, what: &str) {
    assert!(receiver.faults().iter().any(|fault| fault.contains(what)), "{:#?}", receiver.faults());
}

#[track_caller]
fn assert_undecodable(receiver: &Receiver, why: &str) {
    let frames = receiver.unexplained();
    assert!(frames.iter().any(|frame| frame.why.contains(why)), "{frames:#?}");
}

fn every_track() -> Vec<LayeredTrack> {
    vec![
        LayeredTrack::vp8_simulcast(),
        LayeredTrack::vp8_simulcast().short_picture_ids(),
        LayeredTrack::vp8_simulcast().with_descriptor(),
        LayeredTrack::h264_simulcast(),
        LayeredTrack::h264_temporal_simulcast(),
        LayeredTrack::vp9_simulcast(),
        LayeredTrack::vp9_svc(),
        LayeredTrack::vp9_svc().flexible(),
        LayeredTrack::vp9_key_svc(),
        LayeredTrack::vp9_key_svc().flexible(),
        LayeredTrack::av1_svc(),
        LayeredTrack::av1_key_svc(),
        LayeredTrack::av1_simulcast(),
    ]
}

#[test]
fn every_unchanged_stream_is_decodable() {
    for track in every_track() {
        for track in [track.clone(), track.without_rtx().padding(0.3)] {
            let packets = plain(&track, 300, &[50, 123, 124]);
            for stream in 0..track.encodings.len() as u8 {
                let receiver =
                    receive(&track, packets.iter().filter(|packet| of_stream(stream)(packet)).cloned());
                assert_good(&receiver, 300);
                assert_eq!(receiver.padding() > 0, !track.rtx, "{track:?}");
                assert_eq!(receiver.pictures().iter().filter(|picture| picture.is_key).count(), 4);
            }
        }
    }
}

#[test]
fn every_codec_is_read_by_the_engine_as_written() {
    for track in every_track() {
        let mut keys = 0;
        for packet in plain(&track, 20, &[7]).iter().filter(|packet| packet.truth.is_some()) {
            let (payload, truth) = (&packet.incoming.payload, packet.truth.as_ref().unwrap());
            let starts_key = match track.codec {
                Codec::Vp8 => rtp::vp8::is_keyframe(payload),
                Codec::Vp9 => rtp::vp9::is_keyframe(payload),
                Codec::H264 => rtp::h264::Payload::parse(payload).unwrap().starts(rtp::h264::NalKind::Sps),
                Codec::Av1 => rtp::av1::is_keyframe(payload),
                Codec::Opus | Codec::Red => unreachable!(),
            };
            assert_eq!(starts_key, truth.is_key && truth.spatial == 0 && truth.index == 0, "{truth:?}");
            keys += usize::from(starts_key);
        }
        assert_eq!(keys, 2 * track.encodings.len(), "{track:?}");
    }
}

#[test]
fn upper_temporal_layers_can_be_left_out_without_picture_numbers() {
    for track in
        every_track().into_iter().filter(|track| track.codec != Codec::Vp8 && track.temporal_layers == 3)
    {
        let packets = plain(&track, 200, &[]);
        for (temporal, share) in [(0, 4), (1, 2)] {
            let kept = packets
                .iter()
                .filter(|packet| of_stream(0)(packet))
                .filter(|packet| within(9, temporal)(packet));
            assert_good(&receive(&track, kept.cloned()), 200 / share);
        }
    }
}

/// The marker must be on the highest remaining layer.
fn end_at(spatial: u8) -> impl Fn(Packet) -> Packet {
    move |mut packet| {
        if let Some(truth) = &packet.truth {
            packet.incoming.marker = truth.spatial == spatial && truth.index + 1 == truth.count;
        }
        packet
    }
}

fn svc() -> [LayeredTrack; 3] {
    [LayeredTrack::vp9_svc(), LayeredTrack::vp9_svc().flexible(), LayeredTrack::av1_svc()]
}

#[test]
fn upper_spatial_layers_can_be_left_out_if_the_marker_moves() {
    for track in svc() {
        let packets = plain(&track, 100, &[]);
        let kept = || packets.iter().filter(|packet| within(1, 2)(packet)).cloned();
        let receiver = receive(&track, kept().map(end_at(1)));
        assert_good(&receiver, 100);
        assert!(receiver.pictures().iter().all(|picture| picture.layers.spatial == 1));
        let receiver = receive(&track, kept());
        assert_fault(&receiver, "never ended by a marker");
        assert!(receiver.pictures().is_empty());
    }
}

/// Missing packets at the very end cannot be detected.
#[test]
fn a_picture_cut_off_at_the_very_end_is_no_fault() {
    for track in svc() {
        let mut packets = plain(&track, 10, &[]);
        let end = packets.iter().rposition(|packet| packet.incoming.marker).expect("pictures end");
        packets.truncate(end);
        let receiver = receive(&track, packets);
        assert_eq!((receiver.faults(), receiver.unexplained().len()), (&[][..], 0));
        assert_eq!(receiver.pictures().len(), 9);
        assert!(!receiver.undecodable().is_empty());
    }
}

#[test]
fn a_marker_in_the_middle_of_a_picture_is_detected() {
    for track in svc() {
        let spoilt = plain(&track, 10, &[]).into_iter().map(|mut packet| {
            packet.incoming.marker |= packet.truth.as_ref().is_some_and(|truth| {
                truth.spatial == 0 && truth.index + 1 == truth.count && truth.temporal == 2
            });
            packet
        });
        // The rest is a second picture of the same time without its base: it decodes, but counts as one too
        // many.
        assert_ne!(receive(&track, spoilt).pictures().len(), 10, "{track:?}");
    }
}

#[test]
fn independent_spatial_layers_are_switched_at_key_pictures_only() {
    for track in [LayeredTrack::vp9_key_svc(), LayeredTrack::av1_key_svc()] {
        let packets = plain(&track, 120, &[60]);
        let until = |at: u64| {
            let packets = packets.clone();
            let start = packets[0].incoming.at;
            let changes_at = start + Duration::from_millis(34 * at);
            // Of a key picture everything up to the target is needed, of others the target alone.
            packets.into_iter().filter_map(move |packet| {
                let truth = packet.truth.clone()?;
                let target = if packet.incoming.at < changes_at { 0 } else { 2 };
                let takes = if truth.is_key { truth.spatial <= target } else { truth.spatial == target };
                takes.then(|| end_at(target)(packet))
            })
        };
        assert_good(&receive(&track, until(60)), 120);
        assert_undecodable(&receive(&track, until(50)), "");
    }
}

#[test]
fn a_switch_up_without_a_keyframe_is_detected() {
    for track in svc() {
        let packets = plain(&track, 100, &[]);
        let switched = packets.iter().enumerate().filter(|(at, packet)| {
            let target = if *at < packets.len() / 2 { 0 } else { 2 };
            within(target, 2)(packet)
        });
        let switched =
            switched.map(|(at, packet)| end_at(if at < packets.len() / 2 { 0 } else { 2 })(packet.clone()));
        assert_undecodable(&receive(&track, switched), "");
    }
}

#[test]
fn a_switch_between_streams_without_a_keyframe_is_detected() {
    for track in every_track().into_iter().filter(LayeredTrack::is_simulcast) {
        let packets = plain(&track, 60, &[]);
        let half = packets[packets.len() / 2].incoming.at;
        let switched =
            packets.iter().filter(|packet| of_stream(u8::from(packet.incoming.at >= half))(packet));
        let receiver = receive(
            &track,
            switched.cloned().map(|mut packet| {
                // A forwarder that does everything right but this.
                packet.incoming.timestamp = (packet.incoming.at.as_nanos() / 11_111) as u32;
                packet
            }),
        );
        let is_noticed = !receiver.faults().is_empty() || !receiver.unexplained().is_empty();
        assert!(is_noticed, "{track:?}");
        assert!(receiver.pictures().len() < 60 || !receiver.faults().is_empty(), "{track:?}");
    }
}

/// Gives VP8's packets the correct numbers after pictures have been left out. Returns the packets.
fn renumber_vp8(packets: impl Iterator<Item = Packet>) -> Vec<Packet> {
    let mut last = None;
    let mut id = 0u16;
    packets
        .map(|mut packet| {
            let Some(truth) = &packet.truth else { return packet };
            if last.replace(truth.frame) != Some(truth.frame) {
                id += 1;
            }
            let payload = &mut packet.incoming.payload;
            if payload[2] & 0x80 != 0 {
                payload[2..4].copy_from_slice(&(id | 0x8000).to_be_bytes());
            } else {
                payload[2] = (id % 128) as u8;
            }
            packet
        })
        .collect()
}

#[test]
fn pictures_left_out_of_vp8_must_leave_no_gap_in_its_numbers() {
    for track in [LayeredTrack::vp8_simulcast(), LayeredTrack::vp8_simulcast().short_picture_ids()] {
        let packets = plain(&track, 400, &[200]);
        let kept = || {
            packets
                .iter()
                .filter(|packet| of_stream(0)(packet))
                .filter(|packet| within(0, 1)(packet))
                .cloned()
        };
        assert_good(&receive(&track, renumber_vp8(kept())), 200);
        let receiver = receive(&track, kept());
        assert_fault(&receiver, "the picture id goes from");
        assert_undecodable(&receiver, "between it and its references is missing");
    }
}

#[test]
fn an_id_may_be_missing_if_padding_replaces_a_picture() {
    let track = LayeredTrack::vp8_simulcast().without_padding();
    let packets: Vec<Packet> = plain(&track, 60, &[]).into_iter().filter(of_stream(0)).collect();
    // Pictures of the highest layer are replaced one by one, from one after which no reference crosses.
    let is_top = |packet: &Packet| packet.truth.as_ref().is_some_and(|truth| truth.temporal == 2);
    let replaced = packets.iter().enumerate().map(|(at, packet)| {
        let mut packet = packet.clone();
        if at > 30 && is_top(&packet) {
            (packet.truth, packet.incoming.marker) = (None, false);
            packet.incoming.payload.clear();
        }
        packet
    });
    let receiver = receive(&track, replaced);
    assert_eq!(receiver.faults(), [""; 0]);
    assert!(receiver.unexplained().is_empty(), "{:#?}", receiver.unexplained());
    assert!(receiver.undecodable().len() < 8 && receiver.pictures().len() > 30);
    let removed = packets.iter().enumerate().filter(|(at, packet)| *at <= 30 || !is_top(packet));
    assert_fault(&receive(&track, removed.map(|(_, packet)| packet.clone())), "the picture id goes from");
}

#[test]
fn vp8s_upper_layers_are_switched_at_sync_points_only() {
    let track = LayeredTrack::vp8_simulcast();
    let packets: Vec<Packet> = plain(&track, 64, &[]).into_iter().filter(of_stream(0)).collect();
    // Pictures of the pattern 0 2 1 2 0 2 1 2: 9 and 10 are sync points, 13 to 15 are not.
    let from = |picture: u64| {
        let at = packets[0].incoming.at + Duration::from_millis(34 * picture);
        let kept = packets
            .iter()
            .filter(move |packet| within(0, if packet.incoming.at < at { 0 } else { 2 })(packet));
        renumber_vp8(kept.cloned())
    };
    assert_good(&receive(&track, from(9)), 64 - 6);
    assert_undecodable(&receive(&track, from(11)), "no sync point");
    assert_undecodable(&receive(&track, from(13)), "no sync point");
}

#[test]
fn tl0picidx_must_count_base_frames() {
    let track = LayeredTrack::vp8_simulcast();
    let spoilt = plain(&track, 20, &[]).into_iter().filter(of_stream(0)).map(|mut packet| {
        let at = packet.truth.as_ref().map(|truth| truth.captured_at.as_nanos() > 1_300_000_000);
        if at == Some(true) {
            packet.incoming.payload[4] = packet.incoming.payload[4].wrapping_add(1);
        }
        packet
    });
    let receiver = receive(&track, spoilt);
    assert_fault(&receiver, "TL0PICIDX");
    assert!(!receiver.unexplained().is_empty());
}

#[test]
fn a_change_of_the_picture_ids_width_is_detected() {
    let [long, short] = [LayeredTrack::vp8_simulcast(), LayeredTrack::vp8_simulcast().short_picture_ids()];
    let first = plain(&long, 5, &[]).into_iter().filter(of_stream(0));
    let second = plain(&short, 5, &[]).into_iter().filter(of_stream(0)).map(|mut packet| {
        packet.incoming.timestamp = packet.incoming.timestamp.wrapping_add(900_000);
        packet
    });
    assert_fault(&receive(&long, first.chain(second)), "the picture id's width changes");
}

/// An aggregate whose NAL units are supplemental information.
fn renamed(track: &LayeredTrack, payload: &[u8]) -> Vec<u8> {
    let truth = see(track.codec, payload).unwrap();
    let mut rewritten = payload[..payload.len() - TRUTH_LEN].to_vec();
    (rewritten[3], rewritten[3 + 8 + 2]) = (0x66, 0x66);
    truth.append(&mut rewritten, 0);
    rewritten
}

#[test]
fn h264_needs_every_packet_and_a_keyframe_needs_its_parameter_sets() {
    let track = LayeredTrack::h264_simulcast().without_padding();
    let packets: Vec<Packet> = plain(&track, 60, &[30]).into_iter().filter(of_stream(1)).collect();
    // One packet in the middle of a picture is left out, and even the numbers do not show it.
    let cut = packets.iter().position(|packet| {
        packet
            .truth
            .as_ref()
            .is_some_and(|truth| truth.captured_at.as_nanos() > 1_400_000_000 && truth.count > 1)
    });
    let cut = cut.unwrap();
    let without = |left_out: usize| {
        let kept = packets.iter().enumerate().filter(move |(at, _)| *at != left_out);
        kept.map(|(_, packet)| packet.clone())
    };
    assert_fault(&receive(&track, without(cut)), "look like a frame and are not one");
    // The numbers show it: everything up to the next keyframe is lost, without a fault of the sender.
    let numbered = packets.iter().cloned().zip(0..).filter(|(_, seq)| *seq != cut as u64);
    let receiver = receive_numbered(&track, numbered.map(|(packet, seq)| (seq, packet)));
    assert_eq!((receiver.faults().len(), receiver.unexplained().len(), receiver.lost()), (0, 0, 1));
    assert!(receiver.undecodable().len() > 10 && receiver.pictures().len() > 30);
    let key = packets
        .iter()
        .rposition(|packet| packet.truth.as_ref().is_some_and(|truth| truth.is_key && truth.index == 0));
    let receiver = receive(&track, without(key.unwrap()));
    assert_fault(&receiver, "look like a frame and are not one");
    assert_undecodable(&receiver, "packets of it are missing");
    // False parameter sets: the same bytes, but of unknown kinds.
    let unknown = packets.iter().cloned().map(|mut packet| {
        if packet.incoming.payload.first() == Some(&0x78) {
            packet.incoming.payload = renamed(&track, &packet.incoming.payload);
        }
        packet
    });
    assert_undecodable(&receive(&track, unknown), "a keyframe without its parameter sets");
}

#[test]
fn loss_explains_what_follows_it_until_the_next_keyframe() {
    for track in every_track() {
        let packets: Vec<Packet> = plain(&track, 90, &[60]).into_iter().filter(of_stream(0)).collect();
        // A base frame between 30 and 39 is lost.
        let is_lost = |packet: &Packet| {
            packet.truth.as_ref().is_some_and(|truth| {
                let picture = (truth.captured_at.as_nanos() - 1_000_000_000) / 34_000_000;
                (32..36).contains(&picture) && truth.temporal == 0 && truth.spatial == 0
            })
        };
        let numbered = packets.iter().cloned().zip(0..).filter(|(packet, _)| !is_lost(packet));
        let receiver = receive_numbered(&track, numbered.map(|(packet, seq)| (seq, packet)));
        assert_eq!(receiver.faults(), [""; 0], "{track:?}");
        assert!(receiver.unexplained().is_empty(), "{track:?}: {:#?}", receiver.unexplained());
        assert!(receiver.undecodable().len() >= 20, "{track:?}: {}", receiver.undecodable().len());
        let pictures = receiver.pictures().len();
        assert!((60..=75).contains(&pictures), "{track:?}: {pictures}");
    }
}

#[test]
fn a_stream_that_starts_in_the_middle_of_a_frame_has_no_start() {
    for track in every_track() {
        let top = track.encodings.len() as u8 - 1;
        let packets: Vec<Packet> = plain(&track, 60, &[20]).into_iter().filter(of_stream(top)).collect();
        let receiver = receive(&track, packets.iter().skip(1).cloned());
        assert!(receiver.headless() > 0, "{track:?}");
        assert!(receiver.pictures().len() <= 40, "{track:?}");
        // Without its structure, frames cannot be identified.
        assert_eq!(receiver.undecodable().is_empty(), track.dependency_descriptor, "{track:?}");
    }
}

#[test]
fn late_and_reordered_packets_are_sorted() {
    for track in every_track() {
        let packets: Vec<Packet> = plain(&track, 60, &[]).into_iter().filter(of_stream(0)).collect();
        let mut numbered: Vec<(u64, Packet)> = (0..).zip(packets).collect();
        for pair in numbered.chunks_mut(5) {
            pair.reverse();
        }
        assert_good(&receive_numbered(&track, numbered.into_iter()), 60);
    }
}

#[test]
fn time_does_not_run_backwards_and_padding_stays_out_of_frames() {
    let track = LayeredTrack::h264_simulcast();
    let mut packets: Vec<Packet> = plain(&track, 30, &[]).into_iter().filter(of_stream(2)).collect();
    let middle = packets
        .iter()
        .rposition(|packet| packet.truth.as_ref().is_some_and(|truth| truth.count > 2 && truth.index == 1));
    let middle = middle.unwrap();
    let mut padded = packets.clone();
    padded[middle - 1].incoming.marker = false;
    let padding = Incoming { payload: Vec::new(), descriptor: None, ..padded[middle].incoming.clone() };
    padded.insert(middle, Packet { truth: None, stream: 2, incoming: padding });
    assert_fault(&receive(&track, padded), "padding inside a frame");
    packets.last_mut().unwrap().incoming.timestamp -= 90_000;
    assert_fault(&receive(&track, packets), "the timestamp goes from");
}

#[test]
fn without_its_structure_a_descriptor_is_not_used() {
    for track in [LayeredTrack::av1_svc(), LayeredTrack::h264_temporal_simulcast()] {
        let packets: Vec<Packet> = plain(&track, 30, &[]).into_iter().filter(of_stream(0)).collect();
        let late = packets.iter().filter(|packet| packet.truth.as_ref().is_some_and(|truth| !truth.is_key));
        let receiver = receive(&track, late.cloned());
        assert_eq!((receiver.headless() > 20, receiver.pictures().len()), (true, 0));
        let bare = packets.iter().cloned().map(|mut packet| {
            packet.incoming.descriptor = None;
            packet
        });
        assert_fault(&receive(&track, bare), "there is no dependency descriptor");
    }
}

#[test]
fn frame_numbers_that_go_back_are_dropped() {
    let track = LayeredTrack::av1_simulcast();
    let first = plain(&track, 20, &[]).into_iter().filter(of_stream(0)).map(|mut packet| {
        packet.incoming.timestamp = packet.incoming.timestamp.wrapping_sub(900_000);
        packet
    });
    let again: Vec<Packet> = plain(&track, 20, &[]).into_iter().filter(of_stream(0)).collect();
    assert_undecodable(&receive(&track, first.chain(again)), "has been decoded");
}

#[test]
fn spatial_layers_change_with_the_encoder() {
    for track in svc().into_iter().chain([LayeredTrack::vp9_key_svc(), LayeredTrack::av1_key_svc()]) {
        let packets = pictures(&track, 120, &[], |picture, source| match picture {
            33 => source.set_spatial_layers(2),
            47 => source.set_spatial_layers(1),
            90 => source.set_spatial_layers(3),
            _ => {}
        });
        let receiver = receive(&track, packets);
        assert_good(&receiver, 120);
        let heights: Vec<u8> = receiver.pictures().iter().map(|picture| picture.layers.spatial).collect();
        // Returning layers start with a base picture, and that is every fourth.
        assert_eq!((heights[32], heights[33], heights[47], heights[92]), (2, 1, 0, 2));
    }
}

#[test]
fn a_new_structure_has_templates_of_its_own() {
    let track = LayeredTrack::av1_simulcast();
    let packets = pictures(&track, 40, &[], |picture, source| {
        if picture == 20 {
            source.resize(2, 960, 540);
        }
    });
    let of_top = || packets.iter().filter(|packet| of_stream(2)(packet)).cloned();
    assert_good(&receive(&track, of_top()), 40);
    // A receiver without the second structure cannot use the first one any longer.
    let mut keys = 0;
    let without = of_top().map(|mut packet| {
        let truth = packet.truth.as_ref();
        if truth.is_some_and(|truth| truth.is_key && truth.index == 0) {
            keys += 1;
            if keys == 2 {
                packet.incoming.descriptor.as_mut().unwrap().truncate(3);
            }
        }
        packet
    });
    let receiver = receive(&track, without);
    assert_fault(&receiver, "there is no template");
    assert_eq!(receiver.pictures().len(), 20);
}
