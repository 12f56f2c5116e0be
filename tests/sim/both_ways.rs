//! Media in both directions on one transport, as in a plain RTCPeerConnection: the peer's payload types and
//! extension ids for what it sends and for what it receives may be equal, or differ in any way.

use control::{CodecParameters, Consume, Counter, Discard, Extension, ExtensionKind, Kind};
use leat_tests::{MS, PeerId, SEC, Track, World};
use std::collections::BTreeSet;

/// The numbers of a consumer: payload type, that of RTX, and the ids of MID, audio level and transport-wide
/// number.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    pt: u8,
    rtx_pt: u8,
    ids: [u8; 3],
}

/// Producers have Opus as 111, VP8 as 96 and 97, MID as 4, audio level as 1, transport-wide numbers as 3.
const OF_PRODUCERS: [Numbers; 2] =
    [Numbers { pt: 111, rtx_pt: 0, ids: [4, 1, 3] }, Numbers { pt: 96, rtx_pt: 97, ids: [4, 1, 3] }];

/// Each number has another meaning for producers.
const OF_OTHERS: [Numbers; 2] =
    [Numbers { pt: 96, rtx_pt: 0, ids: [3, 4, 1] }, Numbers { pt: 97, rtx_pt: 111, ids: [1, 5, 4] }];

fn numbered(consume: Consume, kind: Kind, numbers: [Numbers; 2]) -> Consume {
    let Numbers { pt, rtx_pt, ids } = numbers[usize::from(kind == Kind::Video)];
    let kinds = [ExtensionKind::Mid, ExtensionKind::AudioLevel, ExtensionKind::TransportCc];
    let codec = consume.codecs[0];
    Consume {
        codecs: vec![CodecParameters { pt, rtx_pt: codec.rtx_pt.map(|_| rtx_pt), ..codec }],
        extensions: kinds.into_iter().zip(ids).map(|(kind, id)| Extension { kind, id }).collect(),
        ..consume
    }
}

/// Each of three peers publishes and consumes on its only transport.
fn call(seed: u64, numbers: [Numbers; 2]) -> (World, [PeerId; 3]) {
    let mut world = World::new(seed);
    let peers = [world.join(), world.join_as_dtls_server(), world.join()];
    for peer in peers {
        world.link(peer).delay(20 * MS).loss(0.03);
    }
    world.connect();
    let tracks = [Track::microphone(), Track::camera().bitrate_bps(400_000)];
    let kinds = tracks.each_ref().map(|track| track.kind);
    let produced = peers.map(|peer| tracks.clone().map(|track| world.publish(peer, track)));
    for (own, peer) in peers.into_iter().enumerate() {
        for (_, producers) in produced.iter().enumerate().filter(|(other, _)| *other != own) {
            for (producer, kind) in producers.iter().zip(kinds) {
                world.subscribe_as(peer, *producer, |consume| numbered(consume, kind, numbers));
            }
        }
    }
    world.run_for(15 * SEC);
    world.finish();
    (world, peers)
}

/// Also checks who gets which RTCP: a peer that gets feedback or a report on a stream that it does not have
/// is a fault.
fn assert_media_and_rtcp_flow(world: &World) {
    world.assert_sound();
    assert_eq!(world.subscriptions().len(), 12, "{world}");
    for (consumer, producer) in world.subscriptions() {
        let (sink, source) = (world.sink(consumer), world.source(producer));
        // Video starts with an allocation.
        assert!(sink.packets().len() as f64 > source.packets() as f64 * 0.9, "{world}: {consumer}");
        assert!(sink.missing_share() < 0.002, "{world}: {} missing, {consumer}", sink.missing());
        assert!(sink.nacks() > 0, "{world}: {consumer} requested nothing");
        assert!(sink.sender_reports().len() > 10, "{world}: {consumer}");
        assert!(!source.requested().is_empty(), "{world}: {producer} was requested nothing");
        assert!(source.reports().len() > 10, "{world}: {producer}");
        assert!(source.reports().iter().any(|report| report.round_trip.is_some()), "{world}: {producer}");
        if sink.kind() == Kind::Video {
            assert!(!source.keyframe_requests().is_empty(), "{world}: {producer}: for the subscribers");
        }
    }
    let counters = world.shard().counters();
    for discard in [Discard::RtcpUnknownSsrc, Discard::RtpUnroutable, Discard::RtpUnknownPt] {
        assert_eq!(counters.discarded(discard), 0, "{world}: {discard:?}");
    }
    assert_eq!(counters.value(Counter::TwccUnmatched), 0, "{world}: feedback on sent packets");
}

#[test]
fn media_flows_both_ways_if_consumers_have_the_numbers_of_producers() {
    for seed in 420..422 {
        let (world, peers) = call(seed, OF_PRODUCERS);
        assert_media_and_rtcp_flow(&world);
        assert_feedback_flows(&world, peers);
    }
}

#[test]
fn media_flows_both_ways_if_each_number_means_something_else_for_consumers() {
    for seed in 422..424 {
        let (world, peers) = call(seed, OF_OTHERS);
        assert_media_and_rtcp_flow(&world);
        assert_feedback_flows(&world, peers);
    }
}

/// The publishers get the engine's feedback on the numbers that they have sent.
fn assert_feedback_flows(world: &World, peers: [PeerId; 3]) {
    for peer in peers {
        let peer = world.peer(peer);
        let packets = peer.feedback().iter().flat_map(|feedback| &feedback.packets);
        let arrived: BTreeSet<u16> =
            packets.filter(|(_, at)| at.is_some()).map(|(number, _)| *number).collect();
        let sent = peer.numbered().len();
        assert!(sent < 1 << 16, "{world}: {sent} numbers do not repeat");
        // Feedback is lost too.
        assert!(arrived.len() as f64 > sent as f64 * 0.85, "{world}: {} of {sent}", arrived.len());
        assert!(arrived.last().is_some_and(|last| usize::from(*last) < sent), "{world}");
    }
}
