//! Rows for a shard's timers, and for the end of a batch. One call serves several transports; here one is at
//! its bounds.

use crate::Row;
use crate::commands::client_of;
use crate::datagrams::{HELLO, TRACKS, authentic_check, publisher, publisher_with_holes, viewer};
use crate::stage::{INTERFRAME, KEYFRAME, LEVEL_ID, Stage, measure, produce, vp8};
use control::{AudioObserver, Codec, CodecParameters, Command, Encoding, Kind, Produce, RouterId};
use machine::Machine;
use sfu::limits;
use std::time::Duration;

fn row(case: &'static str, run: impl FnOnce(&mut Stage) + 'static) -> Row {
    Row::new("timers", case, move || run(&mut Stage::new()))
}

pub fn rows() -> Vec<Row> {
    vec![
        row("repairs of as many packets in as many streams as there may be", |stage| {
            publisher_with_holes(stage);
            // The first call, and those that continue after it.
            for _ in 0..8 {
                stage.measure_timers();
                stage.now += limits::TIMEOUT_PAUSE;
            }
        }),
        row("keyframes of as many streams as there may be", |stage| {
            publisher(stage);
            stage.pass(Duration::from_secs(3));
            // Each new consumer needs a keyframe to start.
            let bob = stage.party();
            for track in 0..u64::from(TRACKS) {
                stage.consume(&bob, track, track, 0x9000 + track as u32);
            }
            stage.measure_timers();
        }),
        row("feedback on packets that came in the worst order", |stage| {
            let alice = stage.party();
            stage.produce(&alice, 1, 0x1000, 1);
            // Every other number, and the rest nine seconds later: no two neighbours fit into one feedback.
            for parity in [0u16, 1] {
                for nth in 0..500u16 {
                    let number = 2 * nth + parity;
                    let value = number.to_be_bytes();
                    let twcc = [(crate::stage::TWCC_ID, &value[..])];
                    let bytes = alice.packet(96, 0x1000, 1000 + number, 3000, &twcc, &INTERFRAME);
                    stage.feed(alice.path, &bytes);
                }
                if parity == 0 {
                    stage.now += Duration::from_secs(9);
                }
            }
            for _ in 0..4 {
                stage.now += limits::TWCC_INTERVAL;
                stage.measure_timers();
            }
        }),
        row("bandwidth and reports of as many consumers as there may be", |stage| {
            publisher(stage);
            let (_bob, _) = viewer(stage, limits::CONSUMERS_PER_TRANSPORT_MAX);
            for _ in 0..30 {
                stage.now += Duration::from_millis(100);
                stage.measure_timers();
            }
        })
        .of(limits::CONSUMERS_PER_TRANSPORT_MAX),
        row("as many voices as in a large room", |stage| {
            let observer =
                AudioObserver { interval_ms: 100, threshold_dbov: -100, loudest_forwarded: Some(8) };
            stage.demand(Command::ObserveAudio { router: RouterId(1), observer: Some(observer) });
            voices(stage, 20);
            for _ in 0..3 {
                stage.now += limits::SPEAKERS_INTERVAL;
                stage.measure_timers();
            }
        })
        .of(20 * limits::PRODUCERS_PER_TRANSPORT_MAX),
        row("packets that waited for their turn", |stage| {
            let (alice, ssrcs) = publisher(stage);
            let (_bob, _) = viewer(stage, 1);
            stage.feed(alice.path, &alice.rtp(ssrcs[0], 101, 6000, &KEYFRAME));
            let payload = [&INTERFRAME[..], &[0x55; 1200]].concat();
            for seq in 102..500 {
                stage.feed(alice.path, &alice.rtp(ssrcs[0], seq, 6000, &payload));
            }
            stage.settle();
            // A worker that was busy for long has an empty bucket.
            stage.now += Duration::from_millis(900);
            for _ in 0..8 {
                stage.measure_timers();
                stage.now += limits::TIMEOUT_PAUSE;
            }
        })
        .allowed(
            250_000,
            "padding of a probe, which has a separate bound (PROBE_BYTES_MAX), in addition to waiting packets",
        ),
        row("the ClientHello of a DTLS client, and its repetition", |stage| {
            let (transport, ice, path) = stage.webrtc_unconnected();
            stage.demand(client_of(transport));
            stage.feed(path, &authentic_check(&ice));
            let sent = stage.tx.sent;
            for _ in 0..3 {
                stage.measure_timers();
                stage.now += Duration::from_millis(400);
            }
            assert!(stage.tx.sent - sent >= 2, "it was sent and repeated");
        })
        .allowed(HELLO, "a key pair, once for each attempt"),
        Row::new("end of a batch", "as many packets as wait, of as many tracks as there may be", || {
            let stage = &mut Stage::new();
            let (alice, ssrcs) = publisher(stage);
            let (_bob, _) = viewer(stage, 12);
            for nth in 0..limits::PENDING_PACKETS_MAX {
                let ssrc = ssrcs[nth % ssrcs.len()];
                stage.feed(alice.path, &alice.rtp(ssrc, 101, 6000, &KEYFRAME));
            }
            let Stage { shard, now, tx, .. } = stage;
            measure(|| shard.on_batch_end(*now, tx));
        })
        .of(limits::PENDING_PACKETS_MAX),
    ]
}

/// This number of peers, each with the maximum of microphones, all with audio.
pub fn voices(stage: &mut Stage, peers: u64) {
    let opus = CodecParameters { codec: Codec::Opus, rtx_pt: None, clock_rate_hz: 48_000, ..vp8() };
    for peer in 0..peers {
        let alice = stage.party();
        for nth in 0..limits::PRODUCERS_PER_TRANSPORT_MAX as u32 {
            let id = 10_000 + 100 * peer + u64::from(nth);
            let ssrc = 0x1000 + nth;
            let encodings = vec![Encoding { ssrc: Some(ssrc), ..Encoding::SINGLE }];
            let made = produce(alice.transport, id, ssrc, 1);
            stage.demand(Command::Produce(Produce {
                kind: Kind::Audio,
                codecs: vec![opus],
                encodings,
                ..made
            }));
            let level = [(LEVEL_ID, &[0x80 | 20][..])];
            let bytes = alice.packet(96, ssrc, 100, 960, &level, &[0x55; 60]);
            stage.feed(alice.path, &bytes);
        }
        stage.settle();
    }
}
