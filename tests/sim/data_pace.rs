//! Data channels beside media on a narrow path: audio does not wait for data, and data is sent.

use crate::data::channel;
use control::ConsumerId;
use leat_tests::{LayeredTrack, MS, PeerId, SEC, Track, World};
use std::time::Duration;

const KBIT: u64 = 1_000;
/// Time with a file.
const FILE_TIME: u32 = 20;
/// Bytes of a message of the file.
const CHUNK: usize = 16_384;

/// A subscriber behind a bottleneck with a queue of 300 ms.
#[derive(Clone, Copy)]
struct Shape {
    seed: u64,
    downlink_bps: u64,
    has_video: bool,
    has_file: bool,
    /// The machine of the subscriber is busy: its packets are late by up to this time, at random.
    late: Duration,
}

/// What has arrived.
struct Arrived {
    world: World,
    bob: PeerId,
    sound: ConsumerId,
    video: Option<ConsumerId>,
}

impl Shape {
    fn new(seed: u64, downlink_bps: u64) -> Self {
        Self { seed, downlink_bps, has_video: false, has_file: true, late: Duration::ZERO }
    }

    fn run(self) -> Arrived {
        let Self { seed, downlink_bps, has_video, has_file, late } = self;
        let mut world = World::new(seed);
        let (alice, bob) = (world.join(), world.join());
        world.link(alice).delay(15 * MS);
        world.link(bob).delay(25 * MS);
        world.uplink(bob).jitter(late);
        world.downlink(bob).rate(downlink_bps, (downlink_bps * 3 / 80) as usize);
        world.connect();
        let sound = world.publish(alice, Track::microphone());
        let sound = world.subscribe_with_feedback(bob, sound);
        let video = has_video.then(|| {
            let video = world.publish_layered(alice, LayeredTrack::vp8_simulcast());
            world.subscribe_layered_with_feedback(bob, video)
        });
        let file = world.produce_data(alice, 0, channel());
        world.consume_data(bob, file, 2, channel());
        world.run_for(5 * SEC);
        // A fifth more than the path carries: there is always some that waits.
        let step = 100 * MS;
        let mut due = 0.0;
        for _ in 0..FILE_TIME * 10 {
            due += 1.2 * downlink_bps as f64 / 8.0 * step.as_secs_f64();
            while has_file && due >= CHUNK as f64 {
                due -= CHUNK as f64;
                world.say(alice, 0, vec![0x5a; CHUNK]);
            }
            world.run_for(step);
        }
        Arrived { world, bob, sound, video }
    }
}

impl Arrived {
    /// The time in which 99 of 100 packets of audio arrive.
    fn sound_delay(&self) -> Duration {
        let packets = self.world.sink(self.sound).packets().values();
        let mut delays: Vec<Duration> = packets
            .filter(|packet| packet.at.since_epoch() >= 5 * SEC && !packet.is_repaired)
            .map(|packet| packet.at.saturating_since(packet.payload.stamp.captured_at))
            .collect();
        delays.sort();
        assert!(delays.len() > 900, "{}: {} packets", self.world, delays.len());
        delays[delays.len() * 99 / 100]
    }

    /// Bits per second of the file that have arrived.
    fn file_bps(&self) -> u64 {
        let bytes: usize = self.world.heard(self.bob, 2).iter().map(|part| part.len()).sum();
        bytes as u64 * 8 / u64::from(FILE_TIME)
    }

    /// Frames of the video that have arrived.
    fn frames(&self) -> usize {
        self.world.receiver(self.video.expect("video")).arrivals().len()
    }
}

#[test]
fn a_file_delays_audio_by_less_than_twenty_milliseconds() {
    for (seed, kbps) in [(7002, 20_000), (7001, 4_000), (7000, 1_000)] {
        let shape = Shape::new(seed, kbps * KBIT);
        let without = Shape { has_file: false, ..shape }.run().sound_delay();
        let with = shape.run();
        let (delay, rate) = (with.sound_delay(), with.file_bps());
        println!("{kbps} kbit/s: {without:?}, {delay:?}, {rate}");
        assert!(delay <= without + 20 * MS, "{}: {without:?}, {delay:?}", with.world);
        assert!(rate > kbps * KBIT / 2, "{}: {rate}", with.world);
        with.world.assert_sound();
    }
}

#[test]
fn a_file_is_sent_although_a_busy_machine_acknowledges_late() {
    for (seed, kbps) in [(7010, 1_000), (7011, 4_000), (7012, 20_000)] {
        let arrived = Shape { late: 30 * MS, ..Shape::new(seed, kbps * KBIT) }.run();
        let rate = arrived.file_bps();
        println!("{kbps} kbit/s: {:?}, {rate}", arrived.sound_delay());
        assert!(rate > kbps * KBIT / 4, "{}: {rate}", arrived.world);
        arrived.world.assert_sound();
    }
}

#[test]
fn a_file_beside_video_gets_its_share_and_video_goes_on() {
    for (seed, kbps) in [(7020, 1_000), (7021, 1_000), (7022, 4_000)] {
        let shape = Shape { has_video: true, ..Shape::new(seed, kbps * KBIT) };
        let without = Shape { has_file: false, ..shape }.run();
        let with = shape.run();
        let delays = [&without, &with].map(Arrived::sound_delay);
        println!(
            "{kbps} kbit/s: {delays:?}, {}, frames {} {}",
            with.file_bps(),
            without.frames(),
            with.frames()
        );
        assert!(with.file_bps() > kbps * KBIT / 16, "{}: {}", with.world, with.file_bps());
        assert!(with.frames() > 200, "{}: {}", with.world, with.frames());
        with.world.assert_sound();
    }
}
