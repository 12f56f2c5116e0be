//! Rows for datagrams: one for each protocol and each packet of RTCP, with the worst that an authenticated
//! peer can send.

use crate::Row;
use crate::names;
use crate::stage::{INTERFRAME, KEYFRAME, LEVEL_ID, Party, RTX_PT, Stage, produce, vp8};
use control::{Codec, CodecParameters, Command, Encoding, Kind, Produce};
use dtls::{Certificate, Endpoint, Options, Output, Settings, Version};
use machine::{Instant, LocalId, Path};
use rtcp::Compound;
use sfu::limits::{self, WORK_PER_CALL, WORK_PER_CATCH_UP};
use std::time::Duration;
use stun::{Class, Demux, Key, Method, TransactionId, Writer};

/// Encodings of one track.
pub const ENCODINGS: u32 = limits::ENCODINGS_MAX as u32;
/// As many tracks with this number of encodings as a transport's SSRC bound allows; the first one has
/// retransmissions.
pub const TRACKS: u32 = limits::SSRCS_PER_TRANSPORT_MAX as u32 / ENCODINGS - 1;
/// Bytes of a compound of RTCP with room for its protection.
const COMPOUND_LEN: usize = limits::DATAGRAM_LEN_MAX - 20;

pub fn rows() -> Vec<Row> {
    [rtp(), rtcp_rows(), others()].into_iter().flatten().collect()
}

/// A publisher with the maximum number of streams: all its SSRCs are known, each by one packet.
pub fn publisher(stage: &mut Stage) -> (Party, Vec<u32>) {
    let alice = stage.party();
    let mut ssrcs = Vec::new();
    for track in 0..TRACKS {
        let first = 0x1000 + 0x100 * track;
        let mut produce = produce(alice.transport, u64::from(track), first, ENCODINGS);
        if track > 0 {
            produce.codecs[0].rtx_pt = None;
        }
        stage.demand(Command::Produce(produce));
        ssrcs.extend(first..first + ENCODINGS);
    }
    for ssrc in &ssrcs {
        stage.feed(alice.path, &alice.rtp(*ssrc, 100, 3000, &KEYFRAME));
    }
    stage.settle();
    (alice, ssrcs)
}

/// The same, with the maximum of missing packets per stream.
pub fn publisher_with_holes(stage: &mut Stage) -> (Party, Vec<u32>) {
    let (alice, ssrcs) = publisher(stage);
    for ssrc in &ssrcs {
        stage.feed(alice.path, &alice.rtp(*ssrc, 700, 6000, &INTERFRAME));
    }
    (alice, ssrcs)
}

/// A peer with the maximum of consumed tracks. Its SSRCs count up from the returned one.
pub fn viewer(stage: &mut Stage, consumers: usize) -> (Party, u32) {
    let bob = stage.party();
    let first = 0x10_0000;
    for nth in 0..consumers as u32 {
        // The first track has one consumer only, so that media on it costs the preparation little.
        let track = if nth == 0 { 0 } else { 1 + nth % (TRACKS - 1) };
        stage.consume(&bob, u64::from(track), u64::from(nth), first + nth);
    }
    stage.settle();
    (bob, first)
}

fn rtp_row(case: &'static str, run: impl FnOnce(&mut Stage) + 'static) -> Row {
    Row::new(names::of_protocol(&Demux::Rtp), case, move || run(&mut Stage::new()))
}

fn rtp() -> Vec<Row> {
    vec![
        rtp_row("beside holes in all streams", |stage| {
            let (alice, ssrcs) = publisher_with_holes(stage);
            for seq in 701..705 {
                stage.measure_datagram(alice.path, &alice.rtp(ssrcs[0], seq, 9000, &INTERFRAME));
            }
        }),
        rtp_row("a jump over as many as are kept missing, again and again", |stage| {
            let (alice, ssrcs) = publisher_with_holes(stage);
            for jump in 1..5 {
                let seq = 700 + 600 * jump;
                stage.measure_datagram(alice.path, &alice.rtp(ssrcs[0], seq, 9000, &INTERFRAME));
            }
        }),
        rtp_row("a late one that closes a gap among holes in all streams", |stage| {
            let (alice, ssrcs) = publisher_with_holes(stage);
            for seq in [300, 400, 500] {
                stage.measure_datagram(alice.path, &alice.rtp(ssrcs[0], seq, 6000, &INTERFRAME));
            }
        }),
        rtp_row("a keyframe that makes all that is missing worthless", |stage| {
            let (alice, ssrcs) = publisher_with_holes(stage);
            stage.measure_datagram(alice.path, &alice.rtp(ssrcs[0], 701, 9000, &KEYFRAME));
        }),
        rtp_row("a retransmission", |stage| {
            let (alice, ssrcs) = publisher_with_holes(stage);
            let payload = [&[1, 44][..], &INTERFRAME].concat();
            let mid = [(crate::stage::MID_ID, &b"m0"[..])];
            stage.measure_datagram(
                alice.path,
                &alice.packet(RTX_PT, ssrcs[0] ^ 0xf0_0000, 1, 6000, &mid, &payload),
            );
        }),
        rtp_row("an SSRC that leads nowhere", |stage| {
            let (alice, _) = publisher_with_holes(stage);
            stage.measure_datagram(alice.path, &alice.rtp(0x77_7777, 1, 6000, &[0x55; 1400]));
        }),
        rtp_row("nothing but header extensions", |stage| {
            let (alice, ssrcs) = publisher(stage);
            let values: Vec<(u8, &[u8])> = (0..700).map(|nth| (1 + nth as u8 % 9, &[][..])).collect();
            stage.measure_datagram(alice.path, &alice.packet(96, ssrcs[0], 101, 6000, &values, &[]));
        }),
        rtp_row("H.264 of as many units as fit", |stage| measure_payload(stage, Codec::H264, &stap_a())),
        rtp_row("AV1 of as many units as fit", |stage| measure_payload(stage, Codec::Av1, &obus())),
        rtp_row("VP9 with a structure of as many pictures as fit", |stage| {
            measure_payload(stage, Codec::Vp9, &vp9_structure());
        }),
        rtp_row("redundant audio with as many blocks as fit", |stage| {
            let mut payload = [0x80 | 111, 0, 0, 0].repeat(340);
            payload.push(111);
            measure_sound(stage, &payload);
        }),
        rtp_row("a packet for many consumers", |stage| {
            let (alice, ssrcs) = publisher(stage);
            for _ in 0..200 {
                let bob = stage.party();
                stage.consume(&bob, 0, u64::from(bob.path.remote.port()), 0x9999);
            }
            stage.settle();
            let payload = [&INTERFRAME[..], &[0x55; 1100]].concat();
            for seq in [101, 102] {
                stage.feed(alice.path, &alice.rtp(ssrcs[0], seq, 6000, &KEYFRAME));
                stage.settle();
            }
            stage.feed(alice.path, &alice.rtp(ssrcs[0], 103, 9000, &payload));
            let Stage { shard, now, tx, .. } = stage;
            crate::stage::measure(|| machine::Machine::on_batch_end(shard, *now, tx));
        })
        .of(200),
        rtp_row("the first packet of a keyframe, after all later ones", |stage| {
            let (alice, ssrcs) = publisher(stage);
            // Long enough that no keyframe is cached, and that the consumer waits for the next one.
            stage.pass(Duration::from_secs(3));
            let bob = stage.party();
            stage.consume(&bob, 0, 1, 0x9999);
            let payload = [&INTERFRAME[..], &[0x55; 300]].concat();
            for seq in 102..102 + limits::CATCH_UP_PACKETS_MAX as u16 {
                stage.feed(alice.path, &alice.rtp(ssrcs[0], seq, 6000, &payload));
                stage.settle();
            }
            let sent = stage.tx.sent;
            stage.measure_datagram(alice.path, &alice.rtp(ssrcs[0], 101, 6000, &KEYFRAME));
            assert!(stage.tx.sent > sent, "the consumer has begun");
        })
        .allowed(WORK_PER_CALL + WORK_PER_CATCH_UP, "none of the packets after it has been sent before"),
        rtp_row("an encoding that becomes active, for many consumers", |stage| {
            let (alice, ssrcs) = publisher(stage);
            for _ in 0..200 {
                let bob = stage.party();
                stage.consume(&bob, 0, u64::from(bob.path.remote.port()), 0x9999);
            }
            stage.settle();
            for seq in 101..140 {
                stage.feed(alice.path, &alice.rtp(ssrcs[0], seq, 3000 * u32::from(seq), &INTERFRAME));
                stage.settle();
            }
            stage.measure_datagram(alice.path, &alice.rtp(ssrcs[7], 101, 900_000, &INTERFRAME));
        })
        .of(200),
    ]
}

/// One packet with this payload, on a consumed track of this codec.
fn measure_payload(stage: &mut Stage, codec: Codec, payload: &[u8]) {
    let (alice, bob) = (stage.party(), stage.party());
    let codecs = vec![CodecParameters { codec, ..vp8() }];
    stage.demand(Command::Produce(Produce {
        codecs: codecs.clone(),
        ..produce(alice.transport, 1, 0x1000, 1)
    }));
    stage.demand(Command::Consume(control::Consume {
        codecs,
        ..crate::stage::consume(bob.transport, 1, 1, 0x9999)
    }));
    for seq in 100..103 {
        stage.measure_datagram(alice.path, &alice.rtp(0x1000, seq, 3000 * u32::from(seq), payload));
    }
}

fn measure_sound(stage: &mut Stage, payload: &[u8]) {
    let (alice, bob) = (stage.party(), stage.party());
    let codec = |codec, pt| CodecParameters { codec, pt, rtx_pt: None, clock_rate_hz: 48_000, ..vp8() };
    let made = produce(alice.transport, 1, 0x1000, 1);
    let codecs = vec![codec(Codec::Red, 96), codec(Codec::Opus, 111)];
    let encodings = vec![Encoding { ssrc: Some(0x1000), ..Encoding::SINGLE }];
    stage.demand(Command::Produce(Produce { kind: Kind::Audio, codecs, encodings, ..made }));
    stage.demand(Command::Consume(control::Consume {
        codecs: vec![codec(Codec::Opus, 111)],
        ..crate::stage::consume(bob.transport, 1, 1, 0x9999)
    }));
    for seq in 100..103 {
        let level = [(LEVEL_ID, &[0x80 | 20][..])];
        stage.measure_datagram(
            alice.path,
            &alice.packet(96, 0x1000, seq, 960 * u32::from(seq), &level, payload),
        );
    }
}

/// A STAP-A (RFC 6184 §5.7.1) of slices of one byte.
fn stap_a() -> Vec<u8> {
    let mut payload = vec![24];
    payload.extend([0, 1, 0x41].repeat(450));
    payload
}

/// An aggregation packet of AV1 whose elements all have a length of one byte and hold an empty temporal
/// delimiter.
fn obus() -> Vec<u8> {
    let mut payload = vec![0x08];
    payload.extend([1, 0x10].repeat(680));
    payload
}

/// A descriptor of VP9 (RFC 9628 §4.2.1) with a scalability structure that counts 255 pictures of three
/// references.
fn vp9_structure() -> Vec<u8> {
    let mut payload = vec![0x80 | 0x08 | 0x02, 0x81, 0x01, 0x08, 255];
    payload.extend([0x0c, 1, 2, 3].repeat(255));
    payload.resize(1400, 0x55);
    payload
}

/// A packet of RTCP as bytes: count or format, type, body.
fn packet(count: u8, packet_type: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | count, packet_type];
    bytes.extend(((body.len() / 4) as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// As many packets as fit into a datagram behind an empty report, made from their numbers. The row is that of
/// the first.
fn compound(make: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = packet(0, 201, &[0, 0, 0, 9]);
    for nth in 0.. {
        let next = make(nth);
        if bytes.len() + next.len() > COMPOUND_LEN {
            break;
        }
        bytes.extend(next);
    }
    bytes
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// The receiver of the measured compound.
#[derive(Clone, Copy)]
enum From {
    /// A peer with this number of consumers; to the first one this number of packets was sent.
    Viewer { consumers: usize, packets: u16 },
    /// A peer with the maximum of published streams.
    Publisher,
}

/// More consumers than a datagram can name.
const MANY: From = From::Viewer { consumers: 256, packets: 0 };
/// Packets that can be retransmitted.
const SENT: From = From::Viewer { consumers: 1, packets: 150 };
/// More packets than the read statuses of feedback, each in a separate burst.
const MUCH_SENT: From = From::Viewer { consumers: 1, packets: 1200 };

/// A row for compounds of these packets, sent one after the other. The handler is that of the last packet's
/// type.
fn rtcp_row(case: &'static str, from: From, compounds: impl Fn(u32, u16) -> Vec<Vec<u8>> + 'static) -> Row {
    let sample = compounds(0, 0).remove(0);
    let last = Compound::new(&sample).expect("well formed").packets().last().expect("it has packets");
    let handler = names::of_rtcp(&last);
    Row::new(handler, case, move || {
        let stage = &mut Stage::new();
        let (mut alice, ssrcs) = publisher_with_holes(stage);
        let (consumers, packets) = match from {
            From::Viewer { consumers, packets } => (consumers, packets),
            From::Publisher => (1, 0),
        };
        let (mut bob, first) = viewer(stage, consumers);
        stage.tx.watched = first;
        // Retransmittable packets must have been sent: packets of one track to one consumer, each in a
        // separate burst.
        let payload = [&INTERFRAME[..], &[0x55; 1100]].concat();
        stage.feed(alice.path, &alice.rtp(ssrcs[0], 701, 9000, &KEYFRAME));
        for seq in 702..702 + packets {
            stage.pass(Duration::from_millis(6));
            stage.feed(alice.path, &alice.rtp(ssrcs[0], seq, 9000, &payload));
            stage.settle();
        }
        let newest = stage.tx.newest().unwrap_or_default();
        assert!(packets == 0 || newest > 0, "the first consumer was sent something");
        let (party, ssrc) = match from {
            From::Viewer { .. } => (&mut bob, first),
            From::Publisher => (&mut alice, ssrcs[0]),
        };
        for plain in compounds(ssrc, newest) {
            let bytes = party.rtcp(&plain);
            stage.measure_datagram(party.path, &bytes);
        }
    })
}

fn one(bytes: Vec<u8>) -> Vec<Vec<u8>> {
    vec![bytes]
}

fn rtcp_rows() -> Vec<Row> {
    let sender_report = |ssrc: u32, nth: u32| {
        let ssrc = ssrc + nth % ENCODINGS + 0x100 * (nth / ENCODINGS);
        packet(0, 200, &words(&[ssrc, 1000 + nth, nth, 90_000 * nth, nth, nth]))
    };
    let block = |ssrc: u32| words(&[ssrc, 0x4000_0007, 700, 9, 0, 0]);
    let nack = |ssrc: u32, entries: &[(u16, u16)]| {
        let mut body = words(&[9, ssrc]);
        for (first, mask) in entries {
            body.extend(first.to_be_bytes());
            body.extend(mask.to_be_bytes());
        }
        packet(1, 205, &body)
    };
    let full_nack = move |ssrc: u32, base: u16, step: u16, turns: u16| {
        let entries: Vec<(u16, u16)> =
            (0..360).map(|nth| (base.wrapping_add(nth % turns * step), 0xffff)).collect();
        let mut bytes = packet(0, 201, &[0, 0, 0, 9]);
        bytes.extend(nack(ssrc, &entries));
        bytes
    };
    let fir = |entries: &dyn Fn(u32) -> u32| {
        let mut body = words(&[9, 0]);
        (0..180).for_each(|nth| body.extend(words(&[entries(nth), nth << 24])));
        packet(4, 206, &body)
    };
    let twcc = |base: u16, count: u16, chunks: &[u16], deltas: usize, nth: u32| {
        let mut body = words(&[9, 1]);
        body.extend(base.to_be_bytes());
        body.extend(count.to_be_bytes());
        body.extend(words(&[nth << 8 | nth & 0xff]));
        chunks.iter().for_each(|chunk| body.extend(chunk.to_be_bytes()));
        body.extend(std::iter::repeat_n(20, deltas));
        body.resize(body.len().next_multiple_of(4), 0);
        packet(15, 205, &body)
    };
    vec![
        rtcp_row("reports on as many streams as fit", From::Publisher, move |ssrc, _| {
            one(compound(|nth| sender_report(ssrc, nth)))
        }),
        rtcp_row("reports on as many consumers as fit", MANY, move |ssrc, _| {
            one(compound(|nth| packet(1, 201, &[words(&[9]), block(ssrc + nth)].concat())))
        }),
        rtcp_row("reports with as many blocks as fit", MANY, move |ssrc, _| {
            let blocks = |nth: u32| (0..29).flat_map(|of| block(ssrc + 29 * nth + of)).collect::<Vec<u8>>();
            one(compound(|nth| packet(29, 201, &[words(&[9]), blocks(nth)].concat())))
        }),
        rtcp_row("names of nothing", MANY, |_, _| {
            let mut body = words(&[9]);
            body.extend([1, 0].repeat(700));
            body.extend([0, 0, 0, 0]);
            body.truncate(body.len() / 4 * 4);
            one([packet(0, 201, &words(&[9])), packet(1, 202, &body)].concat())
        }),
        rtcp_row("BYE without sources", MANY, |_, _| one(compound(|_| packet(0, 203, &[])))),
        rtcp_row("applications", MANY, |_, _| one(compound(|_| packet(0, 204, &[0; 8])))),
        rtcp_row("of no known kind", MANY, |_, _| one(compound(|_| packet(0, 195, &[])))),
        rtcp_row("extended reports of as many blocks as fit", MANY, |_, _| {
            one([
                packet(0, 201, &words(&[9])),
                packet(0, 207, &[words(&[9]), [9, 0, 0, 0].repeat(340)].concat()),
            ]
            .concat())
        }),
        rtcp_row("as many numbers as fit, none of them sent", SENT, move |ssrc, _| {
            (0..3).map(|_| full_nack(ssrc, 40_000, 17, 360)).collect()
        }),
        rtcp_row("as many numbers as fit, around all that were sent", SENT, move |ssrc, newest| {
            (1..4).map(|nth| full_nack(ssrc, newest.wrapping_sub(nth * 50), 17, 360)).collect()
        }),
        rtcp_row("the same numbers again and again", SENT, move |ssrc, newest| {
            (0..4).map(|_| full_nack(ssrc, newest.wrapping_sub(20), 17, 1)).collect()
        }),
        rtcp_row("as many requests as fit, each for one number", SENT, move |ssrc, newest| {
            one(compound(|nth| nack(ssrc, &[(newest.wrapping_sub(nth as u16), 0)])))
        }),
        rtcp_row("of as many consumers as fit", MANY, |ssrc, _| {
            one(compound(|nth| packet(1, 206, &words(&[9, ssrc + nth]))))
        }),
        rtcp_row("of as many consumers as fit", MANY, move |ssrc, _| one(fir(&|nth| ssrc + nth))),
        rtcp_row("as many entries as fit for one consumer", MANY, move |ssrc, _| one(fir(&|_| ssrc))),
        rtcp_row("estimates that fall and rise", MANY, |_, _| {
            let estimate = |nth: u32| ((1 + nth % 2 * 5) << 18) | (20_000 + nth);
            let remb =
                |nth: u32| packet(15, 206, &words(&[9, 0, u32::from_be_bytes(*b"REMB"), estimate(nth)]));
            one(compound(remb))
        }),
        rtcp_row("on as many packets as fit, all missing, again and again", MUCH_SENT, move |_, _| {
            (0..3)
                .map(|_| {
                    compound(|nth| {
                        twcc(
                            (nth as u16).wrapping_mul(1900),
                            u16::MAX,
                            &[[0x1fff; 8].as_slice(), &[7]].concat(),
                            0,
                            nth,
                        )
                    })
                })
                .collect()
        }),
        rtcp_row("on one packet each, as many as fit", MUCH_SENT, move |_, _| {
            one(compound(|nth| twcc(nth as u16, 1, &[0x2001], 1, nth)))
        }),
        rtcp_row("on all packets, each sent by itself and arrived", MUCH_SENT, move |_, _| {
            one([packet(0, 201, &words(&[9])), twcc(0, 1300, &[0x2000 | 1300], 1300, 1)].concat())
        })
        .allowed(300_000, "a fixed cost for each packet that was sent, once: its arrival is new once"),
        rtcp_row("vectors of missing packets that were sent", MUCH_SENT, move |_, _| {
            let chunks = [0x8000u16; 600];
            one([packet(0, 201, &words(&[9])), twcc(0, 8400, &chunks, 0, 1)].concat())
        }),
        // A packet that cannot be decrypted costs only that.
        Row::new(names::of_protocol(&Demux::Rtcp), "forged", || {
            let stage = &mut Stage::new();
            let alice = stage.party();
            let bytes = [&[0x80, 201][..], &[0x55; 1400]].concat();
            stage.measure_datagram(alice.path, &bytes);
        }),
    ]
}

/// A check of the peer with its password.
pub fn authentic_check(ice: &control::IceParameters) -> Vec<u8> {
    check(ice, &Key::short_term(ice.pwd.as_str()), |_| {})
}

/// A check of the peer with these attributes before its integrity.
fn check(ice: &control::IceParameters, key: &Key, fill: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; limits::DATAGRAM_LEN_MAX];
    let mut writer =
        Writer::new(&mut bytes, Class::Request, Method::BINDING, TransactionId([3; 12])).expect("it fits");
    writer.username(format!("{}:peer", ice.ufrag.as_str()).as_bytes()).priority(1).ice_controlling(1);
    writer.use_candidate();
    fill(&mut writer);
    let len = writer.integrity(key).fingerprint().finish().expect("it fits");
    bytes.truncate(len);
    bytes
}

fn others() -> Vec<Row> {
    let noise = |first: u8, protocol: Demux| {
        Row::new(names::of_protocol(&protocol), "noise of full length", move || {
            let stage = &mut Stage::new();
            let path = Path { local: LocalId(0), remote: ([198, 51, 100, 9], 9).into() };
            stage.measure_datagram(path, &[first; limits::DATAGRAM_LEN_MAX]);
        })
    };
    let stun = |case, fill: fn(&mut Writer<'_>), is_authentic: bool| {
        Row::new(names::of_protocol(&Demux::Stun), case, move || {
            let stage = &mut Stage::new();
            let (_, ice, path) = stage.webrtc();
            let password = if is_authentic { ice.pwd.as_str() } else { "wrong" };
            let bytes = check(&ice, &Key::short_term(password), fill);
            // From more addresses than the bound.
            for port in 0..12 {
                let path = Path { remote: (path.remote.ip(), 20_000 + port).into(), ..path };
                stage.measure_datagram(path, &bytes);
            }
        })
    };
    let few: fn(&mut Writer<'_>) = |_| {};
    let optional: fn(&mut Writer<'_>) = |writer| (0..320).for_each(|_| _ = writer.attribute(0xc001, &[]));
    let required: fn(&mut Writer<'_>) =
        |writer| (0..320).for_each(|nth| _ = writer.attribute(0x4000 + nth, &[]));
    vec![
        noise(17, Demux::Zrtp),
        noise(70, Demux::TurnChannel),
        noise(250, Demux::Unknown),
        Row::new(names::of_protocol(&Demux::Rtp), "longer than any MTU", || {
            let stage = &mut Stage::new();
            let (alice, ssrcs) = publisher(stage);
            stage.measure_datagram(alice.path, &alice.rtp(ssrcs[0], 101, 6000, &[0x55; 60_000]));
        }),
        stun("a check", few, true),
        stun("a check with as many attributes as fit", optional, true),
        stun("a check with as many unknown attributes as fit that must be understood", required, true),
        stun("a forged check with as many attributes as fit", optional, false),
        Row::new(names::of_protocol(&Demux::Dtls), "records of one byte, as many as fit", || {
            let stage = &mut Stage::new();
            let (_, ice, path) = stage.webrtc();
            stage.feed(path, &check(&ice, &Key::short_term(ice.pwd.as_str()), |_| {}));
            for content in [22, 21, 20, 23] {
                let record = |nth: u8| [content, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, nth, 0, 1, 1];
                let bytes: Vec<u8> = (0..100).flat_map(record).collect();
                stage.measure_datagram(path, &bytes);
            }
        }),
        Row::new(names::of_protocol(&Demux::Dtls), "a ClientHello of each version", || {
            for version in [Version::Dtls12, Version::Auto] {
                let settings = Settings::new(Options { version, ..Options::default() });
                let peer = Certificate::generate();
                let stage = &mut Stage::new();
                let (_, ice, path) = stage.webrtc();
                stage.feed(path, &check(&ice, &Key::short_term(ice.pwd.as_str()), |_| {}));
                let mut client = Endpoint::client(&settings, &peer, peer.fingerprint(), Instant::EPOCH);
                for hello in drain(&mut client) {
                    stage.measure_datagram(path, &hello);
                }
            }
        })
        .allowed(HELLO, "a key exchange and a signature, with a ration"),
        flights("forged flights after the maximum of answered hellos", |_| [7; 32])
            .allowed(SIGNATURE, "one signature is verified, with a ration"),
        flights("flights of the peer's certificate, signed over something else", |peer| peer.fingerprint().0)
            .allowed(4 * SIGNATURE, "a signature is verified for each answer that is open, with a ration"),
    ]
}

/// Flights of DTLS 1.2 that belong to no handshake here, after the maximum of answered ClientHellos.
fn flights(case: &'static str, expected: fn(&Certificate) -> [u8; 32]) -> Row {
    Row::new(names::of_protocol(&Demux::Dtls), case, move || {
        let now = Instant::EPOCH;
        let settings = Settings::new(Options { version: Version::Dtls12, ..Options::default() });
        let [peer, other] = [(); 2].map(|()| Certificate::generate());
        let hello = |client: &mut Endpoint| drain(client).remove(0);
        let stage = &mut Stage::new();
        let (_, ice, path) = stage.webrtc_of(expected(&peer));
        stage.feed(path, &check(&ice, &Key::short_term(ice.pwd.as_str()), |_| {}));
        for _ in 0..dtls::limits::CANDIDATES_MAX {
            stage.feed(path, &hello(&mut Endpoint::client(&settings, &peer, other.fingerprint(), now)));
        }
        for _ in 0..dtls::limits::VARIANTS_MAX {
            let mut client = Endpoint::client(&settings, &peer, other.fingerprint(), now);
            let mut server = Endpoint::server(&settings, &other, peer.fingerprint(), now);
            server.on_datagram(now, &hello(&mut client)).unwrap();
            drain(&mut server).iter().for_each(|answer| client.on_datagram(now, answer).unwrap());
            for flight in drain(&mut client) {
                stage.measure_datagram(path, &flight);
            }
        }
    })
}

/// The verification of a P-256 signature, with its overhead.
const SIGNATURE: u64 = 900_000;

/// The answer to a ClientHello, or a ClientHello.
pub const HELLO: u64 = 4_000_000;

fn drain(endpoint: &mut Endpoint) -> Vec<Vec<u8>> {
    let (mut buffer, mut datagrams) = (Vec::new(), Vec::new());
    while let Output::Datagram(bytes) = endpoint.poll(&mut buffer) {
        datagrams.push(bytes.to_vec());
    }
    datagrams
}
