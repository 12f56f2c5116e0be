//! Data channels beside media on a narrow path: audio does not wait for data, and data is sent.

use crate::data::channel;
use control::ConsumerId;
use leat_tests::{LayeredTrack, MS, PeerId, SEC, Track, World};
use std::time::Duration;

const KBIT: u64 = 1_000;

/// The audio of a subscriber behind a bottleneck with a queue of 300 ms, with or without a file beside it.
struct Path {
    world: World,
    bob: PeerId,
    sound: ConsumerId,
    video: Option<ConsumerId>,
}

impl Path {
    fn new(seed: u64, downlink_bps: u64, has_video: bool, has_file: bool) -> Self {
        let mut world = World::new(seed);
        let (alice, bob) = (world.join(), world.join());
        world.link(alice).delay(15 * MS);
        world.link(bob).delay(25 * MS);
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
        if has_file {
            // More than the path carries in the time of the test.
            for _ in 0..30 * downlink_bps / 8 / 16_384 {
                world.say(alice, 0, vec![0x5a; 16_384]);
            }
        }
        world.run_for(20 * SEC);
        Self { world, bob, sound, video }
    }

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
        bytes as u64 * 8 / 20
    }
}

#[test]
fn a_file_does_not_delay_audio() {
    for (seed, kbps) in [(7000, 300), (7001, 1_000), (7002, 5_000)] {
        let without = Path::new(seed, kbps * KBIT, false, false).sound_delay();
        let with = Path::new(seed, kbps * KBIT, false, true);
        let (delay, rate) = (with.sound_delay(), with.file_bps());
        // On the slowest one, a single packet of data takes 32 ms.
        let packet = Duration::from_secs_f64(9600.0 / (kbps * KBIT) as f64);
        assert!(
            delay <= without + (20 * MS).max(packet + 15 * MS),
            "{}: {without:?}, {delay:?}, {rate}",
            with.world
        );
        assert!(rate > kbps * KBIT / 8, "{}: {rate}", with.world);
        with.world.assert_sound();
    }
}

#[test]
fn a_file_beside_video_gets_its_share_and_video_goes_on() {
    for seed in 7010..7012 {
        let path = Path::new(seed, 1_000 * KBIT, true, true);
        let frames = path.world.receiver(path.video.expect("video")).arrivals().len();
        assert!(path.file_bps() > 20 * KBIT, "{}: {}", path.world, path.file_bps());
        assert!(frames > 200, "{}: {frames}", path.world);
        path.world.assert_sound();
    }
}
