//! Packets of a real browser (`tests/vectors/captures`, made by `tests/browser/capture.js`): our parsers read
//! them, our models of a receiver accept them, and the shard forwards any layers of them.

use control::{Codec, Command, ExtensionKind, Layers};
use leat_tests::capture::Capture;
use leat_tests::decoder::codec::{self, Seen};
use leat_tests::decoder::{Incoming, Receiver};
use leat_tests::dependency;
use leat_tests::{MS, SEC, World};
use machine::{Instant, Rng};
use std::collections::BTreeMap;
use std::time::Duration;

/// Every capture, and its name.
fn captures() -> Vec<(&'static str, Capture)> {
    let files: [(&str, &[u8]); 6] = [
        ("vp8-simulcast", include_bytes!("../vectors/captures/vp8-simulcast.rtp")),
        ("h264-simulcast", include_bytes!("../vectors/captures/h264-simulcast.rtp")),
        ("vp9-l3t3", include_bytes!("../vectors/captures/vp9-l3t3.rtp")),
        ("vp9-l3t3-key", include_bytes!("../vectors/captures/vp9-l3t3-key.rtp")),
        ("av1-l3t3", include_bytes!("../vectors/captures/av1-l3t3.rtp")),
        ("av1-l3t3-key", include_bytes!("../vectors/captures/av1-l3t3-key.rtp")),
    ];
    files.into_iter().map(|(name, file)| (name, Capture::read(file))).collect()
}

#[test]
fn the_captures_have_the_expected_content() {
    for (name, capture) in captures() {
        let streams = capture.streams();
        assert_eq!(streams.len(), if name.ends_with("simulcast") { 3 } else { 1 }, "{name}");
        assert_eq!(streams[0].1.is_some(), streams.len() > 1, "{name}: {streams:?}");
        let of_media = capture.packets.iter().filter(|packet| packet.header.payload_type == capture.pt);
        let media = of_media.count();
        assert!(media > 150 && capture.truthful().len() > media * 9 / 10, "{name}: {media}");
        assert!(capture.packets.iter().any(|packet| packet.header.padding), "{name}");
    }
}

#[test]
fn every_descriptor_of_a_browser_is_read_equally() {
    for (name, capture) in captures() {
        let id = capture.extension(ExtensionKind::DependencyDescriptor).unwrap();
        let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
        let (mut described, mut structures) = (0, 0);
        for packet in capture.packets.iter().filter(|packet| packet.header.payload_type == capture.pt) {
            let ssrc = packet.header.ssrc;
            let Some(value) = packet.header.get_extension(id) else { continue };
            described += 1;
            let (descriptor, brought) = rtp::dependency_descriptor::read(&value, ours.get(&ssrc)).unwrap();
            let other = dependency::read(&value, theirs.get(&ssrc)).unwrap();
            assert_eq!(descriptor.diffs(), other.frame.diffs, "{name}");
            assert_eq!(descriptor.chain_diffs(), other.frame.chain_diffs, "{name}");
            let layer = (descriptor.layer.spatial_id, descriptor.layer.temporal_id);
            assert_eq!(layer, (other.frame.spatial, other.frame.temporal), "{name}");
            assert_eq!(brought.is_some(), other.structure.is_some(), "{name}");
            if let (Some(brought), Some(other)) = (brought, other.structure) {
                structures += 1;
                assert_eq!(brought.templates(), other.templates.len(), "{name}");
                ours.insert(ssrc, brought);
                theirs.insert(ssrc, other);
            }
        }
        assert!(described > 150 && structures >= 2, "{name}: {described} described, {structures} structures");
    }
}

#[test]
fn every_payload_of_a_browser_is_read_equally() {
    for (name, capture) in captures() {
        let mut keyframes = 0;
        for packet in capture.packets.iter().filter(|packet| packet.header.payload_type == capture.pt) {
            if packet.payload.is_empty() {
                continue;
            }
            let (seen, _) = codec::read(capture.codec, &packet.payload).unwrap();
            let payload = &packet.payload[..];
            match seen {
                Seen::Vp8(vp8) => {
                    let ours = rtp::vp8::Descriptor::parse(payload).unwrap();
                    assert_eq!(vp8.layer, ours.tid.map(|tid| (tid, ours.layer_sync)), "{name}");
                    assert_eq!(vp8.is_key, rtp::vp8::is_keyframe(payload), "{name}");
                }
                Seen::Vp9(vp9) => {
                    let ours = rtp::vp9::Descriptor::parse(payload).unwrap();
                    assert_eq!((vp9.spatial, vp9.temporal), (ours.sid(), ours.tid()), "{name}");
                    assert_eq!(vp9.diffs, ours.references.diffs(), "{name}");
                    assert_eq!((vp9.starts, vp9.ends), (ours.start_of_frame, ours.end_of_frame), "{name}");
                }
                Seen::H264(h264) => {
                    let ours = rtp::h264::Payload::parse(payload).unwrap();
                    assert_eq!(h264.has_sps, ours.starts(rtp::h264::NalKind::Sps), "{name}");
                }
                Seen::Av1(av1) => {
                    let ours = rtp::av1::Payload::parse(payload).unwrap();
                    assert_eq!(av1.continues, ours.continues, "{name}");
                }
            }
            keyframes += u32::from(match capture.codec {
                Codec::Vp8 => rtp::vp8::is_keyframe(payload),
                Codec::Vp9 => rtp::vp9::is_keyframe(payload),
                Codec::Av1 => rtp::av1::is_keyframe(payload),
                _ => rtp::h264::is_keyframe(payload),
            });
        }
        assert!(keyframes >= 2, "{name}: {keyframes} keyframes");
    }
}

/// A model that refuses a browser's packets to a browser would be wrong.
#[test]
fn every_stream_of_a_browser_is_decodable_unchanged() {
    for (name, capture) in captures() {
        let id = capture.extension(ExtensionKind::DependencyDescriptor).unwrap();
        for by_descriptor in [true, false] {
            for (ssrc, rid) in capture.streams() {
                // Without it, AV1 has no layer information, and libwebrtc omits the layers in VP8's
                // descriptor.
                if !by_descriptor && matches!(capture.codec, Codec::Av1 | Codec::Vp8) {
                    continue;
                }
                let mut receiver = Receiver::new(capture.codec, by_descriptor);
                let mut now = Instant::EPOCH;
                for (at, packet) in capture.truthful() {
                    if packet.header.ssrc != ssrc {
                        continue;
                    }
                    now = Instant::EPOCH + at;
                    let descriptor = packet.header.get_extension(id).filter(|_| by_descriptor);
                    let incoming = Incoming {
                        at: now,
                        timestamp: packet.header.timestamp,
                        marker: packet.header.marker,
                        descriptor: descriptor.map(|value| value.to_vec()),
                        payload: packet.payload.to_vec(),
                    };
                    receiver.on_packet(u64::from(packet.header.sequence_number), incoming);
                }
                receiver.finish(now);
                let case = format!("{name}, {rid:?}, by descriptor: {by_descriptor}");
                assert_eq!(receiver.lost(), 0, "{case}");
                // If VP9's encoder drops an upper layer of a picture, libwebrtc sets no marker, and its own
                // receiver waits for it in vain.
                let is_vp9 = capture.codec == Codec::Vp9;
                let faults = receiver.faults().iter();
                let faults = faults.filter(|fault| !(is_vp9 && fault.contains("never ended by a marker")));
                assert_eq!(faults.collect::<Vec<_>>(), [""; 0], "{case}");
                let undecodable = receiver.undecodable();
                assert!(is_vp9 || undecodable.is_empty(), "{case}: {:#?}", undecodable.first());
                let pictures = receiver.pictures().len();
                assert!(pictures > 40 && undecodable.len() < pictures, "{case}: {pictures}");
            }
        }
    }
}

/// Each viewer changes its layers all the time, and gets only complete pictures. Keyframes are few: a capture
/// answers no requests.
#[test]
fn any_layers_of_a_browsers_stream_can_be_forwarded() {
    for (name, capture) in captures() {
        for seed in 1400..1408 {
            let mut world = World::new(seed);
            let alice = world.join();
            world.link(alice).delay(20 * MS);
            let watchers: Vec<_> = (0..3).map(|_| world.join()).collect();
            world.connect();
            let camera = world.publish_captured(alice, &capture);
            let mut rng = Rng::from_number(seed);
            let mut wish = || Layers { spatial: rng.below(3) as u8, temporal: rng.below(3) as u8 };
            let watch =
                |peer: &_| world.subscribe_layered(*peer, camera, Some(Layers { spatial: 2, temporal: 2 }));
            let views: Vec<_> = watchers.iter().map(watch).collect();
            for view in &views {
                world.order_sink(*view, |sink| sink.leave_keyframes_to_the_engine());
            }
            for _ in 0..20 {
                world.run_for(Duration::from_millis(200));
                for view in &views {
                    world.demand(Command::SetPreferredLayers { consumer: *view, layers: wish() });
                }
            }
            world.run_for(SEC);
            world.finish();
            for view in views {
                let receiver = world.receiver(view);
                let case = format!("{name}, {world}: {view}");
                // As above: pictures of VP9 without a marker at their source.
                let is_vp9 = capture.codec == Codec::Vp9;
                let faults = receiver.faults().iter();
                let faults = faults.filter(|fault| !(is_vp9 && fault.contains("never ended by a marker")));
                assert_eq!(faults.collect::<Vec<_>>(), [""; 0], "{case}");
                assert_eq!((receiver.lost(), receiver.headless()), (0, 0), "{case}");
                // Chromium's pacer interleaves packets of its streams, so a keyframe may cut off a picture of
                // the former stream.
                let undecodable = receiver.undecodable().iter();
                let is_cut_off =
                    |why: &str| capture.streams().len() > 1 && why == "packets of it are missing";
                let undecodable: Vec<_> = undecodable.filter(|frame| !is_cut_off(&frame.why)).collect();
                assert!(is_vp9 || undecodable.is_empty(), "{case}: {:#?}", undecodable.first());
                let pictures = receiver.pictures().len();
                assert!(pictures > 20 && receiver.undecodable().len() < pictures, "{case}: {pictures}");
            }
        }
    }
}
