//! Rows for messages of other workers.

use crate::Row;
use crate::commands::{channels, piped_channels};
use crate::datagrams::publisher_with_holes;
use crate::stage::{INTERFRAME, KEYFRAME, ROUTER, Stage, produce};
use control::{Command, CreatePipe, Discard, TransportId};
use machine::{Machine, WorkerId};
use sfu::limits;

const OTHER: u16 = 1;

/// Consumers of a track in these rows.
const CONSUMERS: usize = 200;

/// Every first byte that a shard accepts as a message, as a handler: an addition to the format is detected.
pub fn kinds() -> Vec<String> {
    let mut stage = Stage::new();
    // A message has the length of its type; none is longer than this.
    let mut is_known = |tag: &u8| {
        (1..=64).any(|len| {
            let before = stage.shard.counters().discarded(Discard::PipeMessageMalformed);
            let mut bytes = vec![0; len];
            bytes[0] = *tag;
            stage.shard.on_hand_off(stage.now, WorkerId(OTHER), &bytes, &mut stage.tx);
            stage.shard.counters().discarded(Discard::PipeMessageMalformed) == before
        })
    };
    (0..=u8::MAX).filter(|tag| is_known(tag)).map(handler).collect()
}

fn handler(tag: u8) -> String {
    format!("message {tag}")
}

/// The nth producer of a shard.
fn slot(nth: u64) -> [u8; 8] {
    nth.to_le_bytes()
}

fn row(tag: u8, case: &'static str, run: impl FnOnce(&mut Stage) + 'static) -> Row {
    Row::new(handler(tag), case, move || run(&mut Stage::new()))
}

/// A track of another worker, with consumers here.
fn piped(stage: &mut Stage, consumers: usize) {
    let transport = TransportId(9_000);
    stage.demand(Command::CreatePipe(CreatePipe { router: ROUTER, transport, worker: OTHER }));
    stage.demand(Command::Produce(produce(transport, 1, 0x1000, limits::ENCODINGS_MAX as u32)));
    for _ in 0..consumers {
        let bob = stage.party();
        stage.consume(&bob, 1, u64::from(bob.path.remote.port()), 0x9999);
    }
    stage.settle();
}

/// A data producer of another worker, with consumers here.
fn piped_data(stage: &mut Stage, consumers: usize) {
    let transport = TransportId(9_000);
    stage.demand(Command::CreatePipe(CreatePipe { router: ROUTER, transport, worker: OTHER }));
    piped_channels(stage, transport, consumers as u64);
    stage.settle();
}

fn subscribe_data() -> Vec<u8> {
    [&[8][..], &0u64.to_le_bytes(), &slot(0), &[1]].concat()
}

fn media(stage: &Stage, stream: u8, seq: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(seq.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend((0x1000 + u32::from(stream)).to_be_bytes());
    packet.extend(payload);
    let at = stage.now.as_nanos().to_le_bytes();
    [&[6][..], &slot(0), &[stream, 0], &at, &packet].concat()
}

pub fn rows() -> Vec<Row> {
    let subscribe = |taker: u64| [&[0][..], &0u64.to_le_bytes(), &slot(taker), &[0xff]].concat();
    vec![
        row(0, "the last worker that there may be, of a track in many streams", move |stage| {
            publisher_with_holes(stage);
            for worker in 1..limits::SUBSCRIBERS_MAX as u16 {
                let bytes = subscribe(0);
                stage.shard.on_hand_off(stage.now, WorkerId(worker), &bytes, &mut stage.tx);
            }
            stage.measure_hand_off(limits::SUBSCRIBERS_MAX as u16, &subscribe(0));
            stage.measure_hand_off(limits::SUBSCRIBERS_MAX as u16 + 1, &subscribe(0));
        }),
        row(1, "one of as many workers as there may be", move |stage| {
            publisher_with_holes(stage);
            for worker in 1..limits::SUBSCRIBERS_MAX as u16 {
                let bytes = subscribe(0);
                stage.shard.on_hand_off(stage.now, WorkerId(worker), &bytes, &mut stage.tx);
            }
            let bytes = [&[1][..], &0u64.to_le_bytes(), &slot(0)].concat();
            stage.measure_hand_off(limits::SUBSCRIBERS_MAX as u16 - 1, &bytes);
        }),
        row(2, "a keyframe of a track beside holes in all streams", move |stage| {
            publisher_with_holes(stage);
            stage.shard.on_hand_off(stage.now, WorkerId(OTHER), &subscribe(0), &mut stage.tx);
            for stream in 0..3 {
                let bytes = [&[2][..], &0u64.to_le_bytes(), &slot(0), &[stream]].concat();
                stage.measure_hand_off(OTHER, &bytes);
            }
        }),
        row(3, "a pause and its end, of a track with many consumers", |stage| {
            piped(stage, CONSUMERS);
            for flags in [1, 0] {
                stage.measure_hand_off(OTHER, &[&[3][..], &slot(0), &[flags]].concat());
            }
        })
        .of(CONSUMERS),
        row(4, "the end of a track with many consumers", |stage| {
            piped(stage, CONSUMERS);
            stage.measure_hand_off(OTHER, &[&[4][..], &slot(0)].concat());
        })
        .of(CONSUMERS),
        row(5, "a clock", |stage| {
            piped(stage, CONSUMERS);
            stage.measure_hand_off(OTHER, &[&[5][..], &slot(0), &[0], &[7; 8], &[7; 8], &[7; 4]].concat());
        }),
        row(6, "packets with jumps, for many consumers", |stage| {
            piped(stage, CONSUMERS);
            let payload = [&KEYFRAME[..], &[0x55; 1000]].concat();
            for (nth, seq) in [100, 101, 700, 1400, 1300].into_iter().enumerate() {
                let bytes =
                    media(stage, 0, seq, 3000 * nth as u32, if nth == 0 { &payload } else { &INTERFRAME });
                stage.measure_hand_off(OTHER, &bytes);
            }
        })
        .of(CONSUMERS),
        row(7, "parameter sets, more than are kept and as long as they may be", |stage| {
            piped(stage, CONSUMERS);
            for nth in 0..2 * limits::PARAMETER_SETS_MAX as u8 {
                // A sequence parameter set; its third byte on says which.
                let unit = [&[0x67, 66, 0, 30, 0xff - nth][..], &[0x55; limits::PARAMETER_SETS_LEN_MAX - 5]]
                    .concat();
                stage.measure_hand_off(OTHER, &[&[7][..], &slot(0), &[0], &unit].concat());
            }
        })
        .of(CONSUMERS),
        row(8, "the last worker that there may be, of a data producer", move |stage| {
            channels(stage, 0);
            for worker in 1..limits::SUBSCRIBERS_MAX as u16 {
                stage.shard.on_hand_off(stage.now, WorkerId(worker), &subscribe_data(), &mut stage.tx);
            }
            stage.measure_hand_off(limits::SUBSCRIBERS_MAX as u16, &subscribe_data());
            stage.measure_hand_off(limits::SUBSCRIBERS_MAX as u16 + 1, &subscribe_data());
        }),
        row(9, "one of as many workers as there may be, of a data producer", move |stage| {
            channels(stage, 0);
            for worker in 1..limits::SUBSCRIBERS_MAX as u16 {
                stage.shard.on_hand_off(stage.now, WorkerId(worker), &subscribe_data(), &mut stage.tx);
            }
            let bytes = [&[9][..], &0u64.to_le_bytes(), &slot(0)].concat();
            stage.measure_hand_off(limits::SUBSCRIBERS_MAX as u16 - 1, &bytes);
        }),
        row(10, "a confirmation, of a data producer with many consumers", |stage| {
            piped_data(stage, CONSUMERS);
            stage.measure_hand_off(OTHER, &[&[10][..], &slot(0)].concat());
        }),
        row(11, "the end of a data producer with as many consumers as it may have", |stage| {
            piped_data(stage, limits::DATA_CONSUMERS_PER_PRODUCER_MAX);
            let bytes = [&[11][..], &slot(0)].concat();
            stage.measure_hand_off_buffer(OTHER, &bytes, 0);
        })
        .of(limits::DATA_CONSUMERS_PER_PRODUCER_MAX),
        row(12, "a message of the longest kind, for as many consumers as there may be", |stage| {
            piped_data(stage, limits::DATA_CONSUMERS_PER_PRODUCER_MAX);
            let bytes = [&[12][..], &slot(0), &[0]].concat();
            stage.measure_hand_off_buffer(OTHER, &bytes, sctp::limits::MESSAGE_LEN_MAX);
        })
        .of(limits::DATA_CONSUMERS_PER_PRODUCER_MAX),
    ]
}
