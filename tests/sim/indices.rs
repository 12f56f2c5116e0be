//! One SRTP index protects one packet (RFC 3711 §9.1, RFC 7714 §8.1), whatever happens between the first
//! transmission and the next. Every world checks each sent packet (`SentIndices`); these tests are the
//! difficult cases: tracks of every kind, loss, and changes of layers, of structures and of SSRCs, with
//! browsers, plain SRTP receivers and pipes as the next hop.

use control::{
    Command, ConnectPlainTransport, Consume, ConsumerId, CreatePlainTransport, Event, IpFamily, Layers,
    ProducerId, SrtpKey, SrtpParameters, SrtpProfile, StatsItem, StatsOf, Text, TransportId,
};
use leat_tests::peer::rtcp;
use leat_tests::{LayeredTrack, MS, SEC, Track, World};
use machine::Rng;
use oracle_srtp::context::Context;
use oracle_srtp::protection_profile::ProtectionProfile;
use std::net::SocketAddr;

const PLAIN: TransportId = TransportId(90_000);
const PLAIN_VIEW: ConsumerId = ConsumerId(90_001);
const PLAIN_SSRC: u32 = 0x5eed;

fn layers(spatial: u8, temporal: u8) -> Layers {
    Layers { spatial, temporal }
}

/// A receiver of SRTP without ICE and DTLS, which requests packets that it has received, so that they are
/// retransmitted.
struct PlainReceiver {
    engine: SocketAddr,
    inbound: Context,
    outbound: Context,
    rng: Rng,
    opened: u64,
}

impl PlainReceiver {
    fn remote() -> SocketAddr {
        SocketAddr::from(([198, 51, 100, 2], 6004))
    }

    fn new(world: &mut World, consume: Consume) -> Self {
        let profile = SrtpProfile::AeadAes128Gcm;
        let create = CreatePlainTransport {
            router: world.router(),
            transport: PLAIN,
            family: IpFamily::V4,
            rtcp_mux: true,
            comedia: false,
            srtp: Some(profile),
            app_data: Default::default(),
        };
        let answer = world.request(Command::CreatePlainTransport(create));
        let Event::PlainTransportCreated { address, srtp: Some(ours), .. } = answer else {
            panic!("{world}: {answer:?}")
        };
        let theirs = SrtpKey(vec![3; 28]);
        world.demand(Command::ConnectPlainTransport(ConnectPlainTransport {
            transport: PLAIN,
            remote: Some(Self::remote()),
            rtcp_remote: None,
            srtp: Some(SrtpParameters { profile, key: theirs.clone() }),
        }));
        world.demand(Command::Consume(consume));
        let context = |key: &SrtpKey| {
            let (key, salt) = key.0.split_at(16);
            Context::new(key, salt, ProtectionProfile::AeadAes128Gcm, None, None).unwrap()
        };
        let (inbound, outbound) = (context(&ours.key), context(&theirs));
        Self { engine: address, inbound, outbound, rng: world_rng(world), opened: 0 }
    }

    /// Decrypts received packets; requests some of them again, and some older ones.
    fn run(&mut self, world: &mut World) {
        let sent = world.take_plain_sent();
        let is_rtp = |bytes: &[u8]| !(192..224).contains(&bytes[1]);
        let mut lost = Vec::new();
        for sent in sent.iter().filter(|sent| is_rtp(&sent.bytes)) {
            let plain =
                self.inbound.decrypt_rtp(&sent.bytes).unwrap_or_else(|error| panic!("{world}: {error}"));
            let seq = u16::from_be_bytes([plain[2], plain[3]]);
            self.opened += 1;
            if u32::from_be_bytes([plain[8], plain[9], plain[10], plain[11]]) == PLAIN_SSRC
                && self.rng.chance(0.2)
            {
                lost.push(seq.wrapping_sub(self.rng.below(60) as u16));
            }
        }
        for lost in lost.chunks(50) {
            let nack = rtcp::write(&[
                Box::new(rtcp::ReceiverReport { ssrc: 7, ..Default::default() }),
                rtcp::nack(7, PLAIN_SSRC, lost),
            ]);
            let nack = self.outbound.encrypt_rtcp(&nack).unwrap();
            world.send_plain(Self::remote(), self.engine, &nack);
        }
    }
}

fn world_rng(world: &World) -> Rng {
    Rng::from_number(world.seed())
}

/// The consumer parameters of a plain receiver.
fn plain_consume(world: &World, producer: ProducerId, template: ConsumerId) -> Consume {
    let consume = world.sink(template).consume().clone();
    Consume {
        transport: PLAIN,
        producer,
        consumer: PLAIN_VIEW,
        mid: None,
        ssrc: PLAIN_SSRC,
        rtx_ssrc: consume.rtx_ssrc.map(|_| PLAIN_SSRC + 1),
        cname: Text::new("plain"),
        extensions: consume.extensions.iter().filter(|extension| extension.id != 0).copied().collect(),
        ..consume
    }
}

/// Alice publishes; Bob and a plain receiver consume on her worker, Carol on another one.
struct Call {
    world: World,
    producer: ProducerId,
    views: [(usize, ConsumerId); 3],
    plain: PlainReceiver,
    rng: Rng,
}

impl Call {
    fn new(
        seed: u64,
        publish: impl FnOnce(&mut World, leat_tests::PeerId) -> ProducerId,
        subscribe: impl Fn(&mut World, leat_tests::PeerId, ProducerId) -> ConsumerId,
    ) -> Self {
        let mut world = World::with_workers(seed, 2);
        let (alice, bob, carol) = (world.join_at(0), world.join_at(0), world.join_at(1));
        world.link(alice).delay(20 * MS).loss(0.03).jitter(20 * MS);
        world.link(bob).delay(30 * MS).loss(0.05).jitter(10 * MS).duplicate(0.01);
        world.link(carol).delay(10 * MS).loss(0.05).reorder(0.02, 5);
        world.connect();
        let producer = publish(&mut world, alice);
        let views = [(0, subscribe(&mut world, bob, producer)), (1, subscribe(&mut world, carol, producer))];
        world.turn_to(0);
        let consume = plain_consume(&world, producer, views[0].1);
        let plain = PlainReceiver::new(&mut world, consume);
        let rng = world_rng(&world);
        Self { world, producer, views: [views[0], views[1], (0, PLAIN_VIEW)], plain, rng }
    }

    fn demand(&mut self, worker: usize, command: Command) {
        self.world.turn_to(worker);
        self.world.demand(command);
        self.world.turn_to(0);
    }

    fn run(&mut self, steps: usize, change: impl Fn(&mut Self)) {
        for _ in 0..steps {
            for _ in 0..1 + self.rng.below(15) {
                self.world.run_for(20 * MS);
                self.plain.run(&mut self.world);
            }
            let (worker, view) = self.views[self.rng.below(3) as usize];
            match self.rng.below(10) {
                0..=3 => {
                    let layers = layers(self.rng.below(3) as u8, self.rng.below(3) as u8);
                    self.demand(worker, Command::SetPreferredLayers { consumer: view, layers });
                }
                4 => self.demand(worker, Command::PauseConsumer { consumer: view }),
                5 => {
                    for (worker, consumer) in self.views {
                        self.demand(worker, Command::ResumeConsumer { consumer });
                    }
                }
                _ => change(self),
            }
        }
        self.world.finish();
        self.plain.run(&mut self.world);
    }

    /// Sent packets of both workers, and identical retransmissions.
    fn sent(&mut self) -> (u64, u64) {
        let mut sum = (0, 0);
        for worker in 0..2 {
            self.world.turn_to(worker);
            let sent = self.world.sent();
            sum = (sum.0 + sent.packets(), sum.1 + sent.repeated());
        }
        sum
    }
}

/// A past fault that revealed the authentication key: a consumer below the top layer, a NACK, and another
/// structure in between.
#[test]
fn retransmission_without_rtx_is_identical_after_the_structure_has_changed() {
    for seed in 2100..2106 {
        let mut world = World::new(seed);
        let (alice, bob) = (world.join(), world.join());
        world.link(alice).delay(20 * MS);
        world.link(bob).delay(30 * MS);
        world.downlink(bob).loss(0.05);
        world.connect();
        let camera = world.publish_layered(alice, LayeredTrack::av1_svc().without_rtx().without_padding());
        world.subscribe_layered(bob, camera, Some(layers(0, 2)));
        for nth in 0..16 {
            world.run_for(700 * MS);
            let (width, height) = if nth % 2 == 0 { (640, 360) } else { (1280, 720) };
            world.order_layered(camera, |source| source.resize(0, width, height));
        }
        world.finish();
        assert!(world.sent().repeated() > 10, "{world}: {} sent again", world.sent().repeated());
    }
}

#[test]
fn no_index_protects_two_packets_of_a_layered_track() {
    let tracks = [
        LayeredTrack::vp8_simulcast(),
        LayeredTrack::vp8_simulcast().with_descriptor().short_picture_ids(),
        LayeredTrack::h264_simulcast(),
        LayeredTrack::h264_temporal_simulcast(),
        LayeredTrack::vp9_simulcast(),
        LayeredTrack::vp9_svc(),
        LayeredTrack::vp9_svc().with_descriptor(),
        LayeredTrack::vp9_key_svc().flexible(),
        LayeredTrack::av1_svc(),
        LayeredTrack::av1_key_svc(),
        LayeredTrack::av1_simulcast(),
    ];
    for (seed, track) in (2200..).step_by(10).zip(tracks) {
        for (seed, track) in [(seed, track.clone()), (seed + 1, track.without_rtx())] {
            let has_rtx = track.rtx;
            let encodings = track.encodings.len() as u32;
            let mut call = Call::new(
                seed,
                |world, alice| world.publish_layered(alice, track),
                |world, peer, camera| world.subscribe_layered(peer, camera, None),
            );
            call.run(40, |call| {
                let (encoding, producer) = (call.rng.below(encodings) as usize, call.producer);
                let (what, larger) = (call.rng.below(4), call.rng.below(2) as u16);
                call.world.order_layered(producer, |source| match what {
                    0 => source.change_scene(encoding),
                    1 => source.change_ssrc(encoding),
                    _ => source.resize(encoding, 640 << larger, 360 << larger),
                });
            });
            let (packets, repeated) = call.sent();
            let world = &call.world;
            assert!(packets > 500 && call.plain.opened > 50, "{world}: {packets}, {}", call.plain.opened);
            assert!(has_rtx || repeated > 20, "{world}: {repeated} sent again");
            assert!(!has_rtx || repeated == 0, "{world}: {repeated} sent again on their own stream");
        }
    }
}

#[test]
fn no_index_protects_two_packets_of_a_track_without_layers() {
    let tracks = [
        Track::camera(),
        Track::camera().without_rtx(),
        Track::microphone(),
        Track::microphone().redundant(),
        Track { nack: false, ..Track::microphone() },
    ];
    for (seed, track) in (2400..).zip(tracks) {
        let repeats = track.nack && !track.rtx;
        let mut call = Call::new(
            seed,
            |world, alice| world.publish(alice, track),
            |world, peer, producer| world.subscribe(peer, producer),
        );
        call.run(40, |call| {
            let producer = call.producer;
            call.world.order_source(producer, leat_tests::Source::change_ssrc);
        });
        let (packets, repeated) = call.sent();
        let world = &call.world;
        assert!(packets > 500 && call.plain.opened > 100, "{world}: {packets}, {}", call.plain.opened);
        assert_eq!(repeated > 0, repeats, "{world}: {repeated} sent again");
    }
}

/// A pipe that sends nothing uses the slot of a closed transport: its statistics show zero.
#[test]
fn pipe_in_a_reused_slot_has_counters_of_zero() {
    let mut world = World::with_workers(2500, 2);
    let (alice, bob) = (world.join_at(0), world.join_at(1));
    world.connect();
    let camera = world.publish(alice, Track::camera());
    world.run_for(SEC);
    world.turn_to(1);
    world.demand(Command::CloseTransport { transport: world.transport(bob) });
    world.pipe(camera, 0, 1);
    world.turn_to(1);
    let stats = world.stats(StatsOf::Transport(world.transport(alice)));
    let [StatsItem::Transport(stats)] = &stats[..] else { panic!("{world}: {stats:?}") };
    assert_eq!((stats.packets_sent, stats.bytes_sent), (0, 0), "{world}");
    assert_eq!((stats.packets_received, stats.bytes_received), (0, 0), "{world}");
}
