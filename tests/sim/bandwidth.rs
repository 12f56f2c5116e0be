//! Bandwidth through a whole shard: the rate to a subscriber follows only its own path.

use control::{Command, ConsumerId, Counter, Kind, ProducerId, StatsItem, StatsOf};
use leat_tests::{LayeredTrack, MS, PeerId, SEC, Track, World};
use std::time::Duration;

const KBIT: u64 = 1_000;
const MBIT: u64 = 1_000_000;

/// A publisher of many small cameras and a microphone, and a subscriber to all of them that reports arrival
/// times.
struct Room {
    world: World,
    alice: PeerId,
    bob: PeerId,
    cameras: Vec<ConsumerId>,
    sound: ConsumerId,
    /// Every 100 ms: the time since the start, and the estimate.
    trace: Vec<(Duration, u64)>,
}

impl Room {
    /// With this number of cameras of 400 kbit/s. The subscriber's downlink has this number of bits per
    /// second.
    fn new(seed: u64, cameras: u32, downlink_bps: u64) -> Self {
        let mut world = World::new(seed);
        let (alice, bob) = (world.join(), world.join());
        world.link(alice).delay(15 * MS);
        world.link(bob).delay(25 * MS);
        world.connect();
        let sound = world.publish(alice, Track::microphone());
        let camera = || Track::camera().bitrate_bps(400_000);
        let producers: Vec<ProducerId> = (0..cameras).map(|_| world.publish(alice, camera())).collect();
        world.run_for(SEC);
        narrow(&mut world, bob, downlink_bps);
        let cameras = producers.iter().map(|producer| world.subscribe_with_feedback(bob, *producer));
        let cameras = cameras.collect();
        // Last, when bandwidth is being allocated already.
        let sound = world.subscribe_with_feedback(bob, sound);
        Self { world, alice, bob, cameras, sound, trace: Vec::new() }
    }

    /// Sets the bit rate of the subscriber's downlink.
    fn narrow(&mut self, bps: u64) {
        narrow(&mut self.world, self.bob, bps);
    }

    fn run_for(&mut self, span: Duration) -> &mut Self {
        for _ in 0..span.as_millis() / 100 {
            self.world.run_for(100 * MS);
            let estimate = self.estimate_bps();
            self.trace.push((self.world.now().since_epoch(), estimate));
        }
        self
    }

    fn estimate_bps(&self) -> u64 {
        self.world.shard().estimate_bps(self.world.transport(self.bob)).expect("an estimate")
    }

    /// The same, as reported to the controller.
    fn reported_bps(&mut self) -> Option<u32> {
        let of = StatsOf::Transport(self.world.transport(self.bob));
        match &self.world.stats(of)[..] {
            [StatsItem::Transport(stats)] => stats.available_outgoing_bitrate_bps,
            other => panic!("{}: {other:?}", self.world),
        }
    }

    /// The time from `since` until the estimate first satisfies `is`.
    fn when(&self, since: Duration, is: impl Fn(u64) -> bool) -> Duration {
        let after = self.trace.iter().find(|(at, bps)| *at > since && is(*bps));
        after.unwrap_or_else(|| panic!("{}: never, {:?}", self.world, self.trace)).0 - since
    }

    /// Cameras with pictures in the last second.
    fn seen(&self) -> usize {
        let since = self.world.now() - SEC;
        let is_seen = |camera: &&ConsumerId| {
            self.world.sink(**camera).frames().last().is_some_and(|frame| frame.at >= since)
        };
        self.cameras.iter().filter(is_seen).count()
    }

    /// The transit times of audio packets that arrived since then, in order.
    fn sound_delays(&self, since: Duration) -> Vec<Duration> {
        let packets = self.world.sink(self.sound).packets().values();
        let late = packets.filter(|packet| packet.at.since_epoch() >= since && !packet.is_repaired);
        let mut delays: Vec<Duration> =
            late.map(|packet| packet.at.saturating_since(packet.payload.stamp.captured_at)).collect();
        delays.sort();
        delays
    }
}

/// A bottleneck with a queue of 300 ms.
fn narrow(world: &mut World, bob: PeerId, bps: u64) {
    world.downlink(bob).rate(bps, (bps * 3 / 80) as usize);
}

#[test]
fn three_to_one_to_three_megabits() {
    let mut room = Room::new(201, 8, 3 * MBIT);
    room.run_for(15 * SEC);
    let at_three = room.seen();
    let narrowed = room.world.now().since_epoch();
    room.narrow(MBIT);
    room.run_for(15 * SEC);
    let at_one = room.seen();
    let widened = room.world.now().since_epoch();
    room.narrow(3 * MBIT);
    room.run_for(25 * SEC);
    room.world.assert_sound();

    let down = room.when(narrowed, |bps| bps <= MBIT);
    assert!(down < 1500 * MS, "{}: down after {down:?}, {:?}", room.world, room.trace);
    let up = room.when(widened, |bps| bps >= 27 * MBIT / 10);
    assert!(up < 10 * SEC, "{}: back after {up:?}, {:?}", room.world, room.trace);
    // 400 kbit/s each and headers, in addition to the audio.
    assert!((5..=6).contains(&at_three), "{}: {at_three} cameras at 3 Mbit/s", room.world);
    assert!((1..=2).contains(&at_one), "{}: {at_one} cameras at 1 Mbit/s", room.world);
    assert!((4..=6).contains(&room.seen()), "{}: {} cameras in the end", room.world, room.seen());
    let delays = room.sound_delays(narrowed + 3 * SEC);
    let standing = delays[delays.len() / 2].saturating_sub(40 * MS);
    assert!(standing < 100 * MS, "{}: {standing:?} of standing queue", room.world);
    assert!(room.world.sink(room.sound).missing_share() < 0.02, "{}", room.world);
}

/// All video is paused because of bandwidth: only padding can show that the path carries more again.
#[test]
fn video_paused_without_bandwidth_resumes() {
    let mut room = Room::new(202, 2, 3 * MBIT);
    room.run_for(5 * SEC);
    assert_eq!(room.seen(), 2, "{}", room.world);
    room.narrow(80 * KBIT);
    room.run_for(10 * SEC);
    assert_eq!(room.seen(), 0, "{}: at {}", room.world, room.estimate_bps());
    let padding = room.world.peer(room.bob).padding();
    room.narrow(3 * MBIT);
    room.run_for(15 * SEC);
    room.world.assert_sound();
    assert_eq!(room.seen(), 2, "{}: at {}", room.world, room.estimate_bps());
    assert!(room.world.peer(room.bob).padding() > padding, "{}: by probing", room.world);
}

/// Packets that a publisher loses on its way to the engine do not get one of our sequence numbers, and cause
/// no gap in our numbers.
#[test]
fn loss_on_a_publishers_uplink_does_not_lower_a_subscribers_estimate() {
    let estimate = |loss: f64| {
        let mut room = Room::new(203, 3, 10 * MBIT);
        room.run_for(5 * SEC);
        room.world.uplink(room.alice).loss(loss);
        room.run_for(20 * SEC);
        let lost = room.world.links(room.alice).0.lost();
        assert_eq!(lost > 500, loss > 0.0, "{}: {lost}", room.world);
        assert_eq!(room.seen(), 3, "{}", room.world);
        room.estimate_bps()
    };
    let (clean, lossy) = (estimate(0.0), estimate(0.15));
    assert!(lossy >= clean * 9 / 10, "{lossy} with loss before the engine, {clean} without");
}

#[test]
fn random_loss_on_its_own_path_has_little_effect() {
    let mean = |loss: f64| {
        let mut room = Room::new(204, 8, 3 * MBIT);
        room.world.downlink(room.bob).loss(loss);
        room.run_for(30 * SEC);
        room.world.assert_sound();
        let latest = &room.trace[room.trace.len() - 200..];
        latest.iter().map(|(_, bps)| bps).sum::<u64>() / 200
    };
    let (clean, lossy) = (mean(0.0), mean(0.02));
    assert!(lossy >= clean * 85 / 100, "{lossy} with loss, {clean} without");
}

/// The estimate is slightly above the camera's rate: a keyframe, five times as long as other frames, is
/// spread out.
#[test]
fn audio_does_not_wait_for_keyframes() {
    let mut world = World::new(205);
    let (alice, bob) = (world.join(), world.join());
    world.connect();
    let tracks = [Track::microphone(), Track::camera().bitrate_bps(900_000)];
    let tracks = tracks.map(|track| world.publish(alice, track));
    let [sound, camera] = tracks.map(|track| world.subscribe_with_feedback(bob, track));
    world.demand(Command::SetBitrates {
        transport: world.transport(bob),
        max_incoming_bps: None,
        min_outgoing_bps: Some(1_200_000),
        max_outgoing_bps: Some(1_200_000),
    });
    world.run_for(5 * SEC);
    let since = world.now();
    for _ in 0..10 {
        world.demand(Command::RequestKeyframe { consumer: camera });
        world.run_for(SEC);
    }
    world.assert_sound();
    let packets = world.sink(sound).packets().values().filter(|packet| packet.at >= since);
    let delays = packets.map(|packet| packet.at.saturating_since(packet.payload.stamp.captured_at));
    let longest = delays.max().unwrap_or_default();
    assert!(longest < 5 * MS, "{world}: {longest:?}");
    let keyframes = world.sink(camera).frames().iter().filter(|frame| frame.is_keyframe && frame.at >= since);
    let packets = world.sink(camera).packets();
    let spans: Vec<Duration> =
        keyframes.map(|frame| frame.at.saturating_since(packets[&frame.first_seq].at)).collect();
    assert!(spans.len() >= 5, "{world}: {spans:?}");
    assert!(spans.iter().all(|span| (15 * MS..200 * MS).contains(span)), "{world}: {spans:?}");
}

#[test]
fn the_controllers_limits_are_kept() {
    let mut room = Room::new(206, 8, 20 * MBIT);
    room.run_for(5 * SEC);
    assert!(room.estimate_bps() > 3 * MBIT, "{}: {}", room.world, room.estimate_bps());
    let (bob, alice) = (room.world.transport(room.bob), room.world.transport(room.alice));
    room.world.demand(Command::SetBitrates {
        transport: bob,
        max_incoming_bps: None,
        min_outgoing_bps: None,
        max_outgoing_bps: Some(1_000_000),
    });
    room.world.demand(Command::SetBitrates {
        transport: alice,
        max_incoming_bps: Some(2_000_000),
        min_outgoing_bps: None,
        max_outgoing_bps: None,
    });
    room.run_for(5 * SEC);
    assert_eq!(room.estimate_bps(), MBIT, "{}", room.world);
    assert_eq!(room.reported_bps(), Some(1_000_000), "{}", room.world);
    assert!((1..=2).contains(&room.seen()), "{}: {}", room.world, room.seen());
    let asked = room.world.peer(room.alice).remb_bps().expect("a REMB was sent");
    assert!((1_990_000.0..=2_000_000.0).contains(&asked), "{}: {asked}", room.world);
    room.world.assert_sound();
}

/// A peer without transport-wide feedback gets the same as without congestion control.
#[test]
fn without_feedback_no_packet_is_delayed() {
    let mut world = World::new(207);
    let (alice, bob) = (world.join(), world.join());
    world.connect();
    let camera = world.publish(alice, Track::camera());
    let consumer = world.subscribe(bob, camera);
    world.run_for(5 * SEC);
    world.assert_sound();
    assert_eq!(world.shard().estimate_bps(world.transport(bob)), None, "{world}");
    assert_eq!(world.sink(consumer).kind(), Kind::Video);
    assert!(world.sink(consumer).frames().len() > 140, "{world}");
    assert_eq!(world.shard().counters().value(Counter::PaddingBytesOut), 0, "{world}");
}

/// The spatial layers of a view that arrived in the last two seconds, the lowest and the highest.
fn spatial(world: &World, view: ConsumerId) -> (u8, u8) {
    let since = world.now() - 2 * SEC;
    let arrived = world.receiver(view).arrivals().iter().filter(|(at, _)| *at >= since);
    let layers: Vec<u8> = arrived.map(|(_, layers)| layers.spatial).collect();
    let (lowest, highest) = (layers.iter().min(), layers.iter().max());
    (*lowest.unwrap_or_else(|| panic!("{world}: nothing arrives")), *highest.expect("something does"))
}

/// One subscriber has 220 kbit/s, another one enough for everything: each gets the layers that fit, and the
/// first one more later.
fn each_gets_what_fits(seed: u64, track: LayeredTrack) {
    let mut world = World::new(seed);
    let (alice, thin, wide) = (world.join(), world.join(), world.join());
    for peer in [alice, thin, wide] {
        world.link(peer).delay(20 * MS);
    }
    world.connect();
    narrow(&mut world, thin, 220 * KBIT);
    narrow(&mut world, wide, 10 * MBIT);
    let camera = world.publish_layered(alice, track);
    let views = [thin, wide].map(|peer| world.subscribe_layered_with_feedback(peer, camera));
    world.run_for(20 * SEC);
    assert_eq!(spatial(&world, views[0]).1, 0, "{world}: over 220 kbit/s");
    assert_eq!(spatial(&world, views[1]).1, 2, "{world}: over 10 Mbit/s");
    let lost = world.links(thin).1.lost();
    world.run_for(10 * SEC);
    let lost = world.links(thin).1.lost() - lost;
    assert!(lost < 50, "{world}: {lost} packets did not fit in ten seconds");
    narrow(&mut world, thin, 4 * MBIT);
    world.run_for(20 * SEC);
    assert_eq!(spatial(&world, views[0]).1, 2, "{world}: over 4 Mbit/s");
    world.assert_sound();
}

#[test]
fn each_gets_the_encoding_of_simulcast_that_fits() {
    each_gets_what_fits(208, LayeredTrack::vp8_simulcast().without_padding());
}

#[test]
fn each_gets_the_layers_of_svc_that_fit() {
    each_gets_what_fits(209, LayeredTrack::vp9_svc().without_padding());
}

/// A peer without transport-wide feedback sends its own estimate.
#[test]
fn a_peers_own_estimate_is_used() {
    let mut world = World::new(210);
    let (alice, bob) = (world.join(), world.join());
    world.link(bob).delay(25 * MS);
    world.connect();
    let camera = world.publish_layered(alice, LayeredTrack::vp8_simulcast().without_padding());
    let view = world.subscribe_layered(bob, camera, None);
    world.run_for(5 * SEC);
    assert_eq!(spatial(&world, view).1, 2, "{world}: no estimate yet");
    world.order(bob, |peer, _| peer.claim(200_000.0));
    world.run_for(5 * SEC);
    assert_eq!(world.shard().estimate_bps(world.transport(bob)), Some(200_000), "{world}");
    assert_eq!(spatial(&world, view).1, 0, "{world}: of 200 kbit/s");
    world.order(bob, |peer, _| peer.claim(3_000_000.0));
    world.run_for(15 * SEC);
    assert_eq!(spatial(&world, view).1, 2, "{world}: of 3 Mbit/s");
    assert_eq!(world.shard().counters().value(Counter::PaddingBytesOut), 0, "{world}");
}

#[test]
fn a_single_encoding_above_the_initial_estimate_starts_soon_if_the_path_carries_it() {
    let mut world = World::new(210);
    let (alice, bob) = (world.join(), world.join());
    world.link(alice).delay(15 * MS);
    world.link(bob).delay(10 * MS);
    world.connect();
    let camera = world.publish(alice, Track::camera().bitrate_bps(2_500_000));
    world.run_for(3 * SEC);
    narrow(&mut world, bob, 20 * MBIT);
    let asked_at = world.now();
    let camera = world.subscribe_with_feedback(bob, camera);
    world.run_for(3 * SEC);
    world.assert_sound();
    let frames = world.sink(camera).frames();
    let first = frames.first().expect("a picture").at.saturating_since(asked_at);
    // A keyframe request and the keyframe take 50 ms; the available rate doubles with each probe in that
    // time.
    assert!(first < 250 * MS, "{world}: the first picture after {first:?}");
    assert!(frames.len() >= 85, "{world}: {} of 90 frames", frames.len());
}

#[test]
fn a_resumed_consumer_does_not_wait_for_the_next_allocation() {
    let mut world = World::new(211);
    let (alice, bob) = (world.join(), world.join());
    world.link(alice).delay(10 * MS);
    world.link(bob).delay(10 * MS);
    world.connect();
    let camera = world.publish(alice, Track::camera().bitrate_bps(300_000));
    world.run_for(3 * SEC);
    let consumer = world.subscribe_paused(bob, camera);
    // Long enough that the shard has no demands.
    world.run_for(1_300 * MS);
    let resumed_at = world.now();
    world.demand(Command::ResumeConsumer { consumer });
    world.run_for(2 * SEC);
    world.assert_sound();
    let first = world.sink(consumer).frames().first().expect("a picture").at.saturating_since(resumed_at);
    assert!(first < 150 * MS, "{world}: the first picture after {first:?}");
}
