//! How packets are mapped to their producer, and changes of SSRC.

use control::{
    CodecParameters, Command, Discard, Encoding, Event, Extension, ExtensionKind, Produce, ProducerId,
    Refusal, Text, fixtures,
};
use leat_tests::{MS, SEC, Source, Track, World};

/// In the middle of the call the publisher changes its SSRC. Both tracks continue without a gap in the
/// numbers.
fn change_mid_call(seed: u64, tracks: [Track; 2]) {
    let mut world = World::new(seed);
    let (alice, bob) = (world.join(), world.join());
    world.link(alice).delay(25 * MS);
    world.link(bob).delay(25 * MS);
    world.connect();
    let views = tracks.map(|track| {
        let producer = world.publish(alice, track);
        let consumer = world.subscribe(bob, producer);
        world.order_sink(consumer, |sink| sink.leave_keyframes_to_the_engine());
        (producer, consumer)
    });
    world.run_for(3 * SEC);
    for (producer, _) in views {
        world.order_source(producer, Source::change_ssrc);
    }
    world.run_for(3 * SEC);
    world.finish();
    world.assert_sound();
    for (producer, consumer) in views {
        let (source, sink) = (world.source(producer), world.sink(consumer));
        assert_eq!((sink.missing(), sink.duplicates()), (0, 0), "{world}");
        assert!(sink.packets().len() as u64 + 20 > source.packets(), "{world}");
        for (before, after) in sink.packets().values().zip(sink.packets().values().skip(1)) {
            let step = after.timestamp.wrapping_sub(before.timestamp) as i32;
            assert!((0..90_000 / 5).contains(&step), "{world}: timestamps step by {step}");
        }
    }
    assert_eq!(world.sink(views[0].1).freezes(), 0, "{world}");
}

#[test]
fn a_changed_signaled_ssrc_is_learned() {
    change_mid_call(81, [Track::camera(), Track::microphone()]);
}

#[test]
fn a_changed_unsignaled_ssrc_is_learned() {
    change_mid_call(82, [Track::camera().unsignaled(), Track::microphone().unsignaled()]);
}

/// Around the change, packets of the old SSRC arrive after those of the new one, and some are lost.
#[test]
fn video_continues_after_a_reordered_change_of_ssrc() {
    for seed in 83..90 {
        let mut world = World::new(seed);
        let (alice, bob) = (world.join(), world.join());
        world.link(alice).delay(25 * MS).reorder(0.4, 3).loss(0.1);
        world.link(bob).delay(25 * MS);
        world.connect();
        let camera = world.publish(alice, Track::camera().unsignaled());
        let view = world.subscribe(bob, camera);
        world.order_sink(view, |sink| sink.leave_keyframes_to_the_engine());
        world.run_for(3 * SEC);
        world.order_source(camera, Source::change_ssrc);
        let changed_at = world.now();
        world.run_for(1_500 * MS);
        world.assert_sound();
        let is_back = world.sink(view).frames().iter().any(|frame| frame.at > changed_at + 100 * MS);
        let source = world.source(camera);
        let (requests, keyframes) = (source.keyframe_requests(), source.keyframes());
        let frames = world.sink(view).frames().len();
        assert!(is_back, "{world}: {changed_at:?}, asked {requests:?}, sent {keyframes:?}, {frames} seen");
    }
}

/// Browsers omit the MID after a while, and use the same payload type for camera and screen. Packets in
/// transit when the screen's producer closes look like the camera with another SSRC.
#[test]
fn late_packets_of_a_closed_screen_share_are_not_the_camera() {
    for seed in 91..95 {
        let mut world = World::new(seed);
        let (alice, bob) = (world.join(), world.join());
        world.link(alice).delay(80 * MS).jitter(20 * MS);
        world.connect();
        let (camera, screen) = (world.publish(alice, Track::camera()), world.publish(alice, Track::camera()));
        let view = world.subscribe(bob, camera);
        world.run_for(2 * SEC);
        for producer in [camera, screen] {
            world.order_source(producer, Source::leave_the_mid_out);
        }
        world.run_for(SEC);
        let keyframes = world.sink(view).keyframes();
        // Signaling is faster than packets in transit.
        world.demand(Command::CloseProducer { producer: screen });
        world.run_for(300 * MS);
        world.order_source(screen, Source::stop);
        world.run_for(2 * SEC);
        world.finish();
        world.assert_sound();
        assert!(world.shard().counters().discarded(Discard::RtpUnroutable) > 0, "{world}: no straggler came");
        assert_eq!((world.sink(view).missing(), world.sink(view).freezes()), (0, 0), "{world}");
        assert_eq!(world.sink(view).keyframes(), keyframes, "{world}: the camera restarted");
    }
}

/// A track that is switched off and on all day, each time with another SSRC.
#[test]
fn a_track_with_three_hundred_ssrcs_over_time_is_still_forwarded() {
    let mut world = World::new(96);
    let (alice, bob) = (world.join(), world.join());
    world.connect();
    let microphone = world.publish(alice, Track::microphone());
    let view = world.subscribe(bob, microphone);
    world.run_for(SEC);
    for _ in 0..300 {
        world.order_source(microphone, Source::change_ssrc);
        world.run_for(100 * MS);
    }
    let before = world.sink(view).packets().len();
    world.run_for(SEC);
    assert!(world.sink(view).packets().len() > before + 40, "{world}");
    assert_eq!(world.shard().counters().discarded(Discard::SsrcLimit), 0, "{world}");
    world.assert_sound();
}

/// A track in eight encodings with retransmissions, all identified by their RID.
fn in_eight_encodings(transport: control::TransportId, nth: u64) -> Produce {
    let codec = CodecParameters { transport_cc: false, ..fixtures::vp8(96, 97) };
    let encoding = |nth| Encoding { rid: Some(Text::new(format!("r{nth}"))), ..Encoding::SINGLE };
    let kinds = [ExtensionKind::Mid, ExtensionKind::Rid, ExtensionKind::RepairedRid];
    Produce {
        mid: Some(Text::new(format!("m{nth}"))),
        encodings: (0..8).map(encoding).collect(),
        extensions: kinds.into_iter().zip(1..).map(|(kind, id)| Extension { kind, id }).collect(),
        ..fixtures::produce(transport, ProducerId(70_000 + nth), codec)
    }
}

#[test]
fn a_track_that_could_exceed_the_ssrc_bound_is_refused() {
    let mut world = World::new(88);
    let alice = world.join();
    world.connect();
    let transport = world.transport(alice);
    // 6 times 8 encodings and their retransmissions are 96.
    for nth in 0..6 {
        world.demand(Command::Produce(in_eight_encodings(transport, nth)));
    }
    let answer = world.request(Command::Produce(in_eight_encodings(transport, 6)));
    let Event::Refused { refusal: Refusal::Limit, text, .. } = answer else { panic!("{world}: {answer:?}") };
    assert!(text.as_str().contains("96 received SSRCs"), "{text:?}");
    world.demand(Command::CloseProducer { producer: ProducerId(70_000) });
    world.demand(Command::Produce(in_eight_encodings(transport, 6)));
}
