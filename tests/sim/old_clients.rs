//! Clients that negotiate little: no header extensions, no retransmissions, no feedback on arrivals.

use control::{CodecParameters, Consume, Counter, Discard, ExtensionKind, Produce};
use leat_tests::{LayeredTrack, MS, SEC, Source, Track, World};

/// A track of which the publisher has negotiated only what `change` leaves, sent without MID if `is_unlabelled`;
/// and a subscriber that has negotiated no more.
fn assert_flows(seed: u64, tracks: [Track; 2], is_unlabelled: bool, change: impl Fn(Produce) -> Produce) {
    let mut world = World::new(seed);
    let (alice, bob) = (world.join(), world.join());
    for peer in [alice, bob] {
        world.link(peer).delay(20 * MS);
    }
    world.connect();
    let views = tracks.map(|track| {
        let producer = world.publish_as(alice, track, &change);
        if is_unlabelled {
            world.order_source(producer, Source::leave_the_mid_out);
        }
        let bare = |consume: Consume| Consume {
            codecs: vec![bare(consume.codecs[0])],
            mid: None,
            rtx_ssrc: None,
            extensions: Vec::new(),
            ..consume
        };
        (producer, world.subscribe_as(bob, producer, bare))
    });
    world.run_for(3 * SEC);
    // A new subscriber needs a keyframe.
    let late = world.join();
    world.connect();
    let (camera, _) = views[0];
    let late = world.subscribe(late, camera);
    world.run_for(3 * SEC);
    world.finish();
    world.assert_sound();
    for (producer, view) in views {
        let (source, sink) = (world.source(producer), world.sink(view));
        assert!(sink.packets().len() as u64 + 20 > source.packets(), "{world}: {}", sink.packets().len());
        assert_eq!((sink.missing(), sink.freezes()), (0, 0), "{world}");
        assert!(sink.sender_reports().len() > 3, "{world}");
        assert!(source.reports().len() > 3, "{world}");
    }
    assert!(world.sink(late).frames().len() > 60, "{world}: after a PLI or a FIR");
    assert_eq!(world.shard().counters().discarded(Discard::RtpUnroutable), 0, "{world}");
}

/// Only what RFC 3551 has.
fn bare(codec: CodecParameters) -> CodecParameters {
    CodecParameters { rtx_pt: None, nack: false, transport_cc: false, ..codec }
}

fn tracks() -> [Track; 2] {
    [Track::camera().bitrate_bps(500_000), Track::microphone()].map(|track| Track {
        nack: false,
        rtx: false,
        transport_cc: false,
        ..track
    })
}

/// With these header extensions only.
fn with(kinds: &[ExtensionKind], produce: Produce) -> Produce {
    let extensions = produce.extensions.into_iter().filter(|it| kinds.contains(&it.kind)).collect();
    Produce { extensions, ..produce }
}

#[test]
fn a_track_without_ssrc_and_rid_is_identified_by_its_mid() {
    let tracks = tracks().map(Track::unsignaled);
    assert_flows(430, tracks, false, |produce| with(&[ExtensionKind::Mid], produce));
}

#[test]
fn a_track_without_header_extensions_is_identified_by_its_ssrc() {
    assert_flows(431, tracks(), true, |produce| with(&[], produce));
}

/// As two tracks of one kind have equal payload types, their SSRCs are all that distinguishes them.
#[test]
fn two_tracks_with_equal_payload_types_are_identified_by_their_ssrcs() {
    let [camera, _] = tracks();
    assert_flows(432, [camera.clone(), camera], true, |produce| Produce { mid: None, ..with(&[], produce) });
}

#[test]
fn a_track_without_header_extensions_and_ssrc_is_identified_by_its_payload_type() {
    let tracks = tracks().map(Track::unsignaled);
    assert_flows(433, tracks, true, |produce| with(&[], produce));
}

#[test]
fn keyframes_are_requested_by_fir_if_only_that_is_negotiated() {
    let tracks = tracks().map(Track::with_fir);
    assert_flows(434, tracks, false, |produce| with(&[ExtensionKind::Mid], produce));
}

/// Without feedback on arrivals and without an estimate of its own (REMB), the capacity of a peer's path is not
/// known: the peer gets the layers that it prefers, and nothing is paced.
#[test]
fn a_subscriber_without_any_feedback_on_bandwidth_gets_the_layers_that_it_prefers() {
    let mut world = World::new(435);
    let (alice, bob) = (world.join(), world.join());
    world.connect();
    let camera = world.publish_layered(alice, LayeredTrack::vp8_simulcast().without_padding());
    let view = world.subscribe_layered(bob, camera, None);
    world.run_for(2 * SEC);
    world.downlink(bob).loss(0.1);
    let before = world.sink(view).octets();
    world.run_for(10 * SEC);
    world.assert_sound();
    let bps = (world.sink(view).octets() - before) * 8 / 10;
    // Of the highest encoding; the sum of the lower ones is 550 kbit/s.
    assert!(bps > 800_000, "{world}: {bps} bit/s");
    assert_eq!(world.shard().counters().value(Counter::PacedDrops), 0, "{world}");
}
