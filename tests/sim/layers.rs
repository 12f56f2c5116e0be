//! Layers: each consumer gets its preferred ones, and never an undecodable picture. The tracks are like those
//! of browsers, and a model of a browser's receiver checks them ([`leat_tests::decoder`]).

use control::{Command, ConsumerId, Counter, Event, Layers, ProducerId};
use leat_tests::decoder::Receiver;
use leat_tests::{LayeredTrack, MS, PeerId, SEC, World};
use machine::{Instant, Rng};
use sfu::limits::KEYFRAME_REQUEST_INTERVAL;
use std::time::Duration;

const fn layers(spatial: u8, temporal: u8) -> Layers {
    Layers { spatial, temporal }
}

/// Alice publishes, and each of the others consumes.
struct Call {
    world: World,
    alice: PeerId,
    camera: ProducerId,
    views: Vec<ConsumerId>,
}

impl Call {
    /// On a network without loss: consumers leave keyframe requests to the engine.
    fn new(seed: u64, track: LayeredTrack, targets: &[Layers]) -> Self {
        let mut call = Self::over(seed, track, targets, |_, _| {});
        for view in &call.views {
            call.world.order_sink(*view, |sink| sink.leave_keyframes_to_the_engine());
        }
        call
    }

    /// On a network that `spoil` has made bad.
    fn over(seed: u64, track: LayeredTrack, targets: &[Layers], spoil: impl Fn(&mut World, PeerId)) -> Self {
        let mut world = World::new(seed);
        let alice = world.join();
        world.link(alice).delay(25 * MS);
        spoil(&mut world, alice);
        let peers: Vec<PeerId> = targets
            .iter()
            .map(|_| {
                let peer = world.join();
                world.link(peer).delay(20 * MS);
                spoil(&mut world, peer);
                peer
            })
            .collect();
        world.connect();
        let camera = world.publish_layered(alice, track);
        let watch =
            |(peer, target): (&PeerId, &Layers)| world.subscribe_layered(*peer, camera, Some(*target));
        let views = peers.iter().zip(targets).map(watch).collect();
        Self { world, alice, camera, views }
    }

    fn prefer(&mut self, view: ConsumerId, layers: Layers) {
        self.world.demand(Command::SetPreferredLayers { consumer: view, layers });
    }

    fn receiver(&self, nth: usize) -> &Receiver {
        self.world.receiver(self.views[nth])
    }

    /// Every consumer changes its layers this number of times, at random times.
    fn change_at_random(&mut self, changes: usize, pause_max: Duration) {
        let mut rng = Rng::from_number(self.world.seed() ^ 0x1a7e);
        let choices = u32::from(self.world.layered(self.camera).track().choices());
        let temporal = u32::from(self.world.layered(self.camera).track().temporal_layers);
        let start = self.world.now();
        let mut plan: Vec<(Instant, usize, Layers)> = Vec::new();
        for view in 0..self.views.len() {
            let mut at = start;
            for _ in 0..changes {
                at += Duration::from_millis(20 + u64::from(rng.below(pause_max.as_millis() as u32)));
                plan.push((at, view, layers(rng.below(choices) as u8, rng.below(temporal) as u8)));
            }
        }
        plan.sort_by_key(|(at, ..)| *at);
        for (at, view, layers) in plan {
            self.world.run_for(at.saturating_since(self.world.now()));
            self.prefer(self.views[view], layers);
        }
    }

    /// For a network without loss: everything that was sent could be displayed.
    fn assert_flawless(&self) {
        let world = &self.world;
        world.assert_sound();
        for (nth, view) in self.views.iter().enumerate() {
            let (sink, receiver) = (world.sink(*view), self.receiver(nth));
            let undecodable = receiver.undecodable();
            assert!(
                undecodable.is_empty(),
                "{world}: {} undecodable, first {:#?}",
                undecodable.len(),
                undecodable[0]
            );
            assert_eq!((sink.missing(), sink.duplicates(), sink.nacks()), (0, 0, 0), "{world}: {view}");
            assert_eq!((receiver.headless(), receiver.jumps()), (0, 0), "{world}: {view}");
            assert!(receiver.pictures().len() > 10, "{world}: {view} saw nothing");
            self.assert_on_time(nth, 40);
        }
    }

    /// Whatever streams a consumer has followed, its timestamps match the capture times. Not for a picture
    /// captured before a displayed one, because timestamps must not go back.
    fn assert_on_time(&self, nth: usize, tolerance_ms: i64) {
        let pictures = self.receiver(nth).pictures();
        let first = &pictures[0];
        let mut newest = first.captured_at;
        for picture in pictures.iter().filter(|picture| {
            let is_newest = picture.captured_at >= newest;
            newest = newest.max(picture.captured_at);
            is_newest
        }) {
            let passed = picture.captured_at.saturating_since(first.captured_at).as_millis() as i64;
            let reported = i64::from(picture.timestamp.wrapping_sub(first.timestamp)) / 90;
            assert!(
                (reported - passed).abs() < tolerance_ms,
                "{}: {reported} ms in timestamps, {passed} ms passed",
                self.world
            );
        }
    }

    /// The layers of the pictures received since.
    fn layers_since(&self, nth: usize, since: Instant) -> Vec<Layers> {
        let pictures = self.receiver(nth).pictures().iter().filter(|picture| picture.at > since);
        pictures.map(|picture| picture.layers).collect()
    }

    fn highest_since(&self, nth: usize, since: Instant) -> Option<Layers> {
        let layers = self.layers_since(nth, since);
        let spatial = layers.iter().map(|layers| layers.spatial).max()?;
        let temporal = layers.iter().map(|layers| layers.temporal).max()?;
        Some(Layers { spatial, temporal })
    }

    /// The last reported layers of a consumer.
    fn reported(&self, nth: usize) -> Option<Layers> {
        let mut events = self.world.events().iter().rev();
        events
            .find_map(|(_, event)| match event {
                Event::LayersChanged { consumer, layers } if *consumer == self.views[nth] => Some(*layers),
                _ => None,
            })
            .flatten()
    }

    /// The longest time without a new picture.
    fn longest_pause(&self, nth: usize, since: Instant) -> Duration {
        let pictures = self.receiver(nth).pictures().windows(2);
        let pauses =
            pictures.filter(|pair| pair[1].at > since).map(|pair| pair[1].at.saturating_since(pair[0].at));
        pauses.max().unwrap_or(Duration::MAX)
    }
}

/// A fifth of a thousand changes, on a good network: nothing is lost, so every received packet must be
/// decodable.
fn a_thousand_changes(seed: u64, track: LayeredTrack) {
    let targets = [layers(2, 2), layers(0, 0), layers(1, 1), layers(2, 0), layers(0, 2)];
    let mut call = Call::new(seed, track, &targets);
    call.change_at_random(200, 900 * MS);
    // In the end each consumer stays at some layers.
    let settled = [layers(2, 2), layers(0, 0), layers(1, 2), layers(2, 1), layers(0, 1)];
    for (view, layers) in call.views.clone().into_iter().zip(settled) {
        call.prefer(view, layers);
    }
    call.world.run_for(3 * SEC);
    let settled_at = call.world.now();
    call.world.run_for(2 * SEC);
    call.world.finish();
    call.assert_flawless();
    let highest = call.world.layered(call.camera).track().temporal_layers - 1;
    for (nth, target) in settled.into_iter().enumerate() {
        let target = layers(target.spatial, target.temporal.min(highest));
        let (got, reported) = (call.highest_since(nth, settled_at), call.reported(nth));
        assert_eq!((got, reported), (Some(target), Some(target)), "{}: view {nth}", call.world);
    }
}

/// The same on a network that loses, delays and reorders: every undecodable picture must follow a loss that
/// no retransmission has repaired.
fn changes_on_a_bad_network(seed: u64, track: LayeredTrack) {
    let targets = [layers(2, 2), layers(0, 0), layers(1, 1)];
    let mut call = Call::over(seed, track, &targets, |world, peer| {
        world.link(peer).loss(0.02).jitter(10 * MS).reorder(0.02, 3);
    });
    call.change_at_random(60, 900 * MS);
    call.world.run_for(2 * SEC);
    call.world.finish();
    let world = &call.world;
    world.assert_sound();
    // Every loss is repaired, except before a keyframe, where it is not requested any more: with this loss
    // rate, one packet per sixth keyframe.
    let source = world.layered(call.camera);
    let keyframes: usize =
        (0..source.track().encodings.len()).map(|encoding| source.keyframes(encoding).len()).sum();
    let given_up = world.shard().counters().value(Counter::NacksGivenUp);
    assert!(given_up < keyframes as u64, "{world}: {given_up} given up at {keyframes} keyframes");
    for view in &call.views {
        let missing = world.sink(*view).missing();
        assert!(missing <= given_up, "{world}: {view} misses {missing}, {given_up} were given up");
    }
    for (nth, view) in call.views.iter().enumerate() {
        let receiver = call.receiver(nth);
        let unexplained = receiver.unexplained();
        assert!(
            unexplained.is_empty(),
            "{world}: {view}, {} such, first {:#?}",
            unexplained.len(),
            unexplained[0]
        );
        // Packets before the first complete keyframe do not count.
        let first = receiver.pictures().first().map_or(0, |picture| picture.first_seq);
        let undecodable = receiver.undecodable().iter().filter(|frame| frame.first_seq > first).count();
        let share = undecodable as f64 / receiver.pictures().len().max(1) as f64;
        assert!(share < 0.03, "{world}: {view}, {undecodable} of {}", receiver.pictures().len());
        // Until reports contain the clocks, a switch uses the time between arrivals, and those may be
        // retransmissions. While timestamps catch up after a late switch, packets may be missing.
        call.assert_on_time(nth, 100);
    }
}

/// Every target, one after the other: the pictures have exactly its layers.
fn every_target(seed: u64, track: LayeredTrack) {
    let (choices, temporal) = (track.choices(), track.temporal_layers);
    let mut call = Call::new(seed, track, &[layers(0, 0)]);
    call.world.run_for(2 * SEC);
    for spatial in (0..choices).chain((0..choices).rev()) {
        for temporal_layer in (0..temporal).rev() {
            let target = layers(spatial, temporal_layer);
            call.prefer(call.views[0], target);
            call.world.run_for(1_500 * MS);
            let since = call.world.now();
            call.world.run_for(1_600 * MS);
            let got = call.layers_since(0, since);
            let share = match (temporal, temporal_layer) {
                (3, 0) => 4,
                (3, 1) | (2, 0) => 2,
                _ => 1,
            };
            let world = &call.world;
            assert!(got.iter().all(|layers| layers.spatial == spatial), "{world}: {target:?}, got {got:?}");
            assert!(
                got.iter().all(|layers| layers.temporal <= temporal_layer),
                "{world}: {target:?}, got {got:?}"
            );
            assert!(
                (48 / share - 2..=48 / share + 2).contains(&got.len()),
                "{world}: {target:?}, got {}",
                got.len()
            );
            // No unnecessary packets arrived either.
            let receiver = call.receiver(0);
            let of_above = receiver.arrivals().iter().filter(|(at, layers)| {
                *at > since && (layers.spatial > spatial || layers.temporal > temporal_layer)
            });
            assert_eq!(of_above.count(), 0, "{world}: {target:?}");
            assert_eq!(call.reported(0), Some(target), "{world}");
        }
    }
    call.world.finish();
    call.assert_flawless();
}

/// With these, keyframes and packets around them are lost, late and out of order while consumers change
/// layers.
const BAD_NETWORKS: [u64; 3] = [7010, 7018, 7031];

macro_rules! of_every_track {
    ($($name:ident: $seed:literal, $track:expr;)*) => {
        $(mod $name {
            use super::*;

            #[test]
            fn a_thousand_changes_leave_every_frame_decodable() {
                a_thousand_changes($seed, $track);
            }

            #[test]
            fn changes_on_a_bad_network_cause_no_additional_loss() {
                for seed in BAD_NETWORKS {
                    changes_on_a_bad_network(seed, $track);
                }
            }

            #[test]
            fn every_target_is_reached_exactly() {
                every_target($seed + 2, $track);
            }
        })*
    };
}

of_every_track! {
    vp8_simulcast: 1000, LayeredTrack::vp8_simulcast();
    vp8_with_short_picture_ids: 1010, LayeredTrack::vp8_simulcast().short_picture_ids();
    vp8_with_descriptor: 1020, LayeredTrack::vp8_simulcast().with_descriptor();
    h264_simulcast: 1030, LayeredTrack::h264_simulcast();
    h264_with_temporal_layers: 1040, LayeredTrack::h264_temporal_simulcast();
    vp9_simulcast: 1050, LayeredTrack::vp9_simulcast();
    vp9_svc: 1060, LayeredTrack::vp9_svc();
    vp9_flexible_svc: 1070, LayeredTrack::vp9_svc().flexible();
    vp9_key_svc: 1080, LayeredTrack::vp9_key_svc();
    vp9_flexible_key_svc: 1090, LayeredTrack::vp9_key_svc().flexible();
    av1_svc: 1100, LayeredTrack::av1_svc();
    av1_key_svc: 1110, LayeredTrack::av1_key_svc();
    av1_simulcast: 1120, LayeredTrack::av1_simulcast();
}

fn simulcasts() -> [LayeredTrack; 4] {
    [
        LayeredTrack::vp8_simulcast(),
        LayeredTrack::h264_simulcast(),
        LayeredTrack::vp9_simulcast(),
        LayeredTrack::av1_simulcast(),
    ]
}

fn svcs() -> [LayeredTrack; 4] {
    [
        LayeredTrack::vp9_svc(),
        LayeredTrack::vp9_key_svc(),
        LayeredTrack::av1_svc(),
        LayeredTrack::av1_key_svc(),
    ]
}

#[test]
fn streams_without_sender_reports_can_be_switched_too() {
    for (seed, track) in (1200..).zip(simulcasts()) {
        let mut call = Call::new(seed, track.without_sender_reports(), &[layers(0, 2)]);
        call.world.run_for(2 * SEC);
        for spatial in [2, 1, 2, 0, 1] {
            call.prefer(call.views[0], layers(spatial, 2));
            call.world.run_for(SEC);
            let since = call.world.now();
            call.world.run_for(SEC);
            let got = call.highest_since(0, since).map(|layers| layers.spatial);
            assert_eq!(got, Some(spatial), "{}", call.world);
        }
        call.world.finish();
        call.assert_flawless();
    }
}

#[test]
fn a_silent_layer_is_not_awaited() {
    for (seed, track) in (1210..).zip(simulcasts()) {
        let mut call = Call::new(seed, track, &[layers(0, 2)]);
        call.world.order_layered(call.camera, |source| source.switch(2, false));
        call.world.run_for(2 * SEC);
        let asked_at = call.world.now();
        call.prefer(call.views[0], layers(2, 2));
        call.world.run_for(3 * SEC);
        // The next lower one is available; the preference is stored.
        let since = call.world.now();
        call.world.run_for(SEC);
        assert_eq!(
            call.highest_since(0, since),
            Some(layers(1, call.reported(0).unwrap().temporal)),
            "{}",
            call.world
        );
        call.world.order_layered(call.camera, |source| source.switch(2, true));
        call.world.run_for(2 * SEC);
        let since = call.world.now();
        call.world.run_for(SEC);
        assert_eq!(call.highest_since(0, since).map(|layers| layers.spatial), Some(2), "{}", call.world);
        assert!(call.longest_pause(0, asked_at) < 150 * MS, "{}", call.world);
        call.world.finish();
        call.assert_flawless();
    }
}

#[test]
fn a_layer_that_becomes_silent_is_replaced_by_the_next_lower_one() {
    for (seed, track) in (1220..).zip(simulcasts()) {
        let mut call = Call::new(seed, track, &[layers(2, 2)]);
        call.world.run_for(3 * SEC);
        let silent_at = call.world.now();
        call.world.order_layered(call.camera, |source| source.switch(2, false));
        call.world.run_for(4 * SEC);
        let pause = call.longest_pause(0, silent_at);
        assert!(pause < 2 * SEC, "{}: no picture for {pause:?}", call.world);
        assert_eq!(
            call.layers_since(0, silent_at).last().map(|layers| layers.spatial),
            Some(1),
            "{}",
            call.world
        );
        call.world.order_layered(call.camera, |source| source.switch(2, true));
        call.world.run_for(2 * SEC);
        let since = call.world.now();
        call.world.run_for(SEC);
        assert_eq!(call.highest_since(0, since).map(|layers| layers.spatial), Some(2), "{}", call.world);
        call.world.finish();
        call.assert_flawless();
    }
}

#[test]
fn pictures_without_dropped_layers_have_an_end() {
    for (seed, track) in (1230..).zip(svcs()) {
        let mut call = Call::new(seed, track, &[layers(2, 2), layers(1, 1)]);
        call.world.run_for(2 * SEC);
        for active in [2, 1, 3] {
            call.world.order_layered(call.camera, |source| source.set_spatial_layers(active));
            call.world.run_for(1_200 * MS);
            let since = call.world.now();
            call.world.run_for(SEC);
            for (nth, target) in [(0, 2), (1, 1)] {
                let got = call.highest_since(nth, since).map(|layers| layers.spatial);
                assert_eq!(got, Some((active - 1).min(target)), "{}: {active} active", call.world);
            }
        }
        call.world.finish();
        call.world.assert_sound();
        for nth in 0..2 {
            let pause = call.longest_pause(nth, Instant::EPOCH);
            assert!(pause < SEC, "{}: no picture for {pause:?}", call.world);
        }
    }
}

#[test]
fn padding_is_no_loss_and_causes_no_gap() {
    for (seed, track) in (1240..).zip(simulcasts().into_iter().chain(svcs())) {
        for track in [track.clone().padding(0.5), track.without_rtx().padding(0.5)] {
            let mut call = Call::new(seed, track, &[layers(2, 2), layers(0, 1)]);
            call.change_at_random(20, 900 * MS);
            call.world.finish();
            call.assert_flawless();
            let source = call.world.layered(call.camera);
            assert!(source.padded() > 50, "{}", call.world);
            for encoding in 0..source.track().encodings.len() {
                assert_eq!(source.requested(encoding), [], "{}: encoding {encoding}", call.world);
            }
        }
    }
}

/// No request reaches the publisher for two seconds: the old layer continues, and the new one starts soon
/// after.
#[test]
fn the_old_layer_continues_until_the_keyframe_of_the_new_one() {
    for (seed, track) in (1260..).zip(simulcasts()) {
        let mut call = Call::new(seed, track, &[layers(0, 2)]);
        call.world.run_for(2 * SEC);
        call.world.downlink(call.alice).loss(1.0);
        let asked_at = call.world.now();
        call.prefer(call.views[0], layers(2, 2));
        call.world.run_for(2 * SEC);
        let got = call.layers_since(0, asked_at);
        assert!(got.len() > 55 && got.iter().all(|layers| layers.spatial == 0), "{}: {got:?}", call.world);
        call.world.downlink(call.alice).loss(0.0);
        call.world.run_for(2 * KEYFRAME_REQUEST_INTERVAL);
        let since = call.world.now();
        call.world.run_for(SEC);
        assert_eq!(call.highest_since(0, since).map(|layers| layers.spatial), Some(2), "{}", call.world);
        assert!(call.longest_pause(0, asked_at) < 150 * MS, "{}", call.world);
        call.world.finish();
        call.assert_flawless();
    }
}

/// The time from the command to the first picture of the new layer.
fn time_to_switch(call: &Call, asked_at: Instant, spatial: u8) -> Duration {
    let pictures = call.receiver(0).pictures().iter();
    let mut of_layer = pictures.filter(|picture| picture.at > asked_at && picture.layers.spatial == spatial);
    of_layer.next().map_or(Duration::MAX, |picture| picture.at.saturating_since(asked_at))
}

#[test]
fn a_switch_takes_a_round_trip_and_a_frame() {
    for (seed, track) in (1270..).zip(simulcasts().into_iter().chain(svcs())) {
        let mut call = Call::new(seed, track, &[layers(0, 2)]);
        call.world.run_for(3 * SEC);
        let asked_at = call.world.now();
        call.prefer(call.views[0], layers(2, 2));
        call.world.run_for(2 * SEC);
        let took = time_to_switch(&call, asked_at, 2);
        assert!(took < 150 * MS, "{}: {took:?}", call.world);
    }
}

/// Another layer is requested during a short total loss in one direction: it is late by at most one repeated
/// request.
fn switch_while_lost(seed: u64, track: LayeredTrack, lose: impl Fn(&mut Call, f64)) {
    let mut call = Call::new(seed, track, &[layers(0, 2)]);
    call.world.run_for(3 * SEC);
    lose(&mut call, 1.0);
    let asked_at = call.world.now();
    call.prefer(call.views[0], layers(2, 2));
    call.world.run_for(400 * MS);
    lose(&mut call, 0.0);
    call.world.run_for(2 * SEC);
    let took = time_to_switch(&call, asked_at, 2);
    assert!(took < 2 * KEYFRAME_REQUEST_INTERVAL, "{}: {took:?}", call.world);
    call.world.assert_sound();
}

#[test]
fn a_lost_request_for_another_layer_is_repeated() {
    for (seed, track) in (1280..).zip(simulcasts().into_iter().chain(svcs())) {
        switch_while_lost(seed, track, |call, loss| _ = call.world.downlink(call.alice).loss(loss));
    }
}

#[test]
fn a_lost_keyframe_of_another_layer_is_requested_again() {
    for (seed, track) in (1290..).zip(simulcasts().into_iter().chain(svcs())) {
        let track = LayeredTrack { nack: false, ..track };
        switch_while_lost(seed, track, |call, loss| _ = call.world.uplink(call.alice).loss(loss));
    }
}

/// Some clients name the stream of a retransmission by `rid`, as that of media, instead of `repaired-rid`.
#[test]
fn retransmissions_with_the_rid_of_media_repair_their_streams() {
    for (seed, track) in [(1302, LayeredTrack::vp8_simulcast()), (1303, LayeredTrack::h264_simulcast())] {
        changes_on_a_bad_network(seed, LayeredTrack { repairs_have_rid: true, ..track });
    }
}

/// A keyframe is requested only of the stream that a consumer switches to.
#[test]
fn a_switch_causes_no_keyframe_of_the_other_streams() {
    for (seed, track) in (1300..).zip(simulcasts()) {
        let mut call = Call::new(seed, track, &[layers(0, 2)]);
        call.world.run_for(3 * SEC);
        let before: Vec<usize> = (0..3)
            .map(|encoding| call.world.layered(call.camera).keyframe_requests(encoding).len())
            .collect();
        call.prefer(call.views[0], layers(2, 2));
        call.world.run_for(2 * SEC);
        let source = call.world.layered(call.camera);
        let asked: Vec<usize> =
            (0..3).map(|encoding| source.keyframe_requests(encoding).len() - before[encoding]).collect();
        assert_eq!(asked, [0, 0, 1], "{}", call.world);
    }
}

/// A change of the frame rate needs no keyframe, for any codec.
#[test]
fn a_change_of_the_temporal_layer_causes_no_keyframe() {
    let layered = simulcasts().into_iter().chain(svcs()).filter(|track| track.temporal_layers > 1);
    for (seed, track) in (1310..).zip(layered) {
        let mut call = Call::new(seed, track, &[layers(2, 2)]);
        call.world.run_for(3 * SEC);
        let requests = |call: &Call| {
            let source = call.world.layered(call.camera);
            let encodings = 0..source.track().encodings.len();
            encodings.map(|encoding| source.keyframe_requests(encoding).len()).sum::<usize>()
        };
        let before = requests(&call);
        for temporal in [0, 2, 1, 0, 1, 2] {
            call.prefer(call.views[0], layers(2, temporal));
            call.world.run_for(SEC);
        }
        assert_eq!(requests(&call), before, "{}", call.world);
        call.world.finish();
        call.assert_flawless();
    }
}

/// The engine's events about layers with consumers.
fn wanted(call: &Call) -> Option<u8> {
    let mut events = call.world.events().iter().rev();
    events.find_map(|(_, event)| match event {
        Event::LayersWanted { producer, spatial } if *producer == call.camera => Some(*spatial),
        _ => None,
    })
}

#[test]
fn signaling_is_notified_which_layers_have_consumers() {
    for (seed, track) in (1320..).zip(simulcasts()) {
        let mut call = Call::new(seed, track, &[layers(2, 2), layers(0, 2)]);
        call.world.run_for(3 * SEC);
        assert_eq!(wanted(&call), Some(0b101), "{}", call.world);
        call.prefer(call.views[0], layers(0, 1));
        call.world.run_for(3 * SEC);
        assert_eq!(wanted(&call), Some(0b001), "{}", call.world);
        call.prefer(call.views[1], layers(1, 1));
        call.world.run_for(3 * SEC);
        assert_eq!(wanted(&call), Some(0b011), "{}", call.world);
        for view in call.views.clone() {
            call.world.demand(Command::CloseConsumer { consumer: view });
        }
        call.world.run_for(3 * SEC);
        assert_eq!(wanted(&call), Some(0), "{}", call.world);
    }
}

#[test]
fn a_restarted_stream_continues_for_its_consumers() {
    for (seed, track) in (1330..).zip(simulcasts()) {
        let mut call = Call::new(seed, track, &[layers(2, 2), layers(0, 2), layers(1, 1)]);
        call.world.run_for(3 * SEC);
        for encoding in [2, 0, 1] {
            call.world.order_layered(call.camera, |source| source.change_ssrc(encoding));
            call.world.run_for(2 * SEC);
        }
        let since = call.world.now();
        call.world.run_for(SEC);
        for (nth, target) in [(0, 2), (1, 0), (2, 1)] {
            let got = call.highest_since(nth, since).map(|layers| layers.spatial);
            assert_eq!(got, Some(target), "{}", call.world);
            assert!(call.longest_pause(nth, Instant::EPOCH) < SEC, "{}", call.world);
        }
        call.world.finish();
        call.assert_flawless();
    }
}

#[test]
fn a_paused_consumer_resumes_with_a_keyframe_of_its_layer() {
    for (seed, track) in (1340..).zip(simulcasts().into_iter().chain(svcs())) {
        let mut call = Call::new(seed, track, &[layers(2, 2), layers(1, 1)]);
        call.world.run_for(2 * SEC);
        for view in call.views.clone() {
            for _ in 0..3 {
                call.world.demand(Command::PauseConsumer { consumer: view });
                call.world.run_for(700 * MS);
                call.world.demand(Command::ResumeConsumer { consumer: view });
                call.world.run_for(1_300 * MS);
            }
        }
        let since = call.world.now();
        call.world.run_for(SEC);
        assert_eq!(call.highest_since(0, since).map(|layers| layers.spatial), Some(2), "{}", call.world);
        assert_eq!(call.highest_since(1, since).map(|layers| layers.spatial), Some(1), "{}", call.world);
        call.world.finish();
        call.assert_flawless();
    }
}
