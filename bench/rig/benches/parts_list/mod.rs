//! The measured parts, by time and by instructions: one turn of each part of the packet path.

use rig::{Call, Shape, Spread};
use rtp::{ExtId, Packet};
use shm::{Listener, ListenerEvent};
use srtp::{Inbound, MasterKey, Outbound, Profile};
use std::hint::black_box;
use std::time::Duration;

/// A part, and its preparation.
#[derive(Debug)]
pub struct Part {
    /// For reports.
    pub name: &'static str,
    /// Prepares it and checks its result; the returned function does one turn.
    pub prepare: fn() -> Box<dyn FnMut()>,
}

/// All of them, in a packet's order.
pub const PARTS: &[Part] = &[
    Part { name: "parse", prepare: parse },
    Part { name: "protect", prepare: protect },
    Part { name: "there and back", prepare: there_and_back },
    Part { name: "fan-out", prepare: fan_out },
    Part { name: "hop", prepare: hop },
    Part { name: "no hop", prepare: no_hop },
    Part { name: "ring round trip", prepare: ring },
];

/// Bytes of a payload.
const PAYLOAD_LEN: usize = 1200;

const PROFILE: Profile = Profile::AeadAes128Gcm;

/// A packet of video as browsers send them, with two extensions.
fn packet() -> Vec<u8> {
    let mut packet = vec![0x90, 96, 3, 232, 0, 0, 11, 184, 10, 10, 10, 10, 0xbe, 0xde, 0, 2];
    packet.extend_from_slice(&[0x40, b'0', 0x31, 0, 7, 0, 0, 0]);
    packet.resize(packet.len() + PAYLOAD_LEN, 0x5a);
    packet
}

/// Bytes before the payload.
const HEADER_LEN: usize = 24;

fn key() -> MasterKey {
    MasterKey::new(PROFILE, &[7; 16], &[9; 12]).expect("of the profile's lengths")
}

/// The header, and a walk to an extension.
fn parse() -> Box<dyn FnMut()> {
    let bytes = packet();
    let read = |bytes: &[u8]| {
        let packet = Packet::new(bytes).expect("well-formed");
        (packet.seq(), packet.extension(ExtId(3)).map(<[u8]>::len), packet.payload().len())
    };
    assert_eq!(read(&bytes), (rtp::Seq(1000), Some(2), PAYLOAD_LEN));
    Box::new(move || {
        black_box(read(black_box(&bytes)));
    })
}

/// A packet that is protected and unprotected: a replay window accepts none twice, so each turn needs a new
/// one.
fn there_and_back() -> Box<dyn FnMut()> {
    let plain = packet();
    let sender = Outbound::new(PROFILE, &key());
    let mut receiver = Inbound::new(PROFILE, &key());
    let mut slot = vec![0; plain.len() + 16];
    let mut index = 1000u64;
    let mut turn = move || {
        slot[..HEADER_LEN].copy_from_slice(&plain[..HEADER_LEN]);
        slot[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        let payload = &plain[HEADER_LEN..];
        sender.protect_rtp((index >> 16) as u32, HEADER_LEN, payload, &mut slot).expect("room");
        let opened = receiver.unprotect_rtp(&mut slot).expect("authentic");
        assert_eq!(opened[HEADER_LEN..], *payload);
        index += 1;
    };
    turn();
    Box::new(turn)
}

/// One packet for one subscriber, from the shared plaintext.
fn protect() -> Box<dyn FnMut()> {
    let plain = packet();
    let session = Outbound::new(PROFILE, &key());
    let mut slot = vec![0; plain.len() + 16];
    slot[..HEADER_LEN].copy_from_slice(&plain[..HEADER_LEN]);
    let len = session.protect_rtp(0, HEADER_LEN, &plain[HEADER_LEN..], &mut slot).expect("room");
    let mut back = slot.clone();
    let mut receiver = Inbound::new(PROFILE, &key());
    assert_eq!(receiver.unprotect_rtp(&mut back[..len]).expect("authentic"), &plain[..]);
    Box::new(move || {
        black_box(session.protect_rtp(0, HEADER_LEN, black_box(&plain[HEADER_LEN..]), &mut slot));
    })
}

/// A frame of ten packets to fifty subscribers: 500 packets are sent in a turn, and timers fire.
fn fan_out() -> Box<dyn FnMut()> {
    let shape =
        Shape { subscribers: 50, payload_len: PAYLOAD_LEN, burst: 10, feedback: false, layers: false };
    let mut call = Call::new(shape);
    let mut frame = call.frame();
    call.forward(&mut frame);
    assert_eq!(call.check().0, 500, "every packet to every subscriber");
    // A turn takes 33 ms of the call's time, and consent is needed every few seconds.
    let mut turns = 0u32;
    Box::new(move || {
        if turns.is_multiple_of(60) {
            call.renew_consent();
        }
        turns += 1;
        let mut frame = call.frame();
        call.forward(&mut frame);
    })
}

/// A frame of ten packets from one worker to another, where it has one subscriber.
fn hop() -> Box<dyn FnMut()> {
    frames_to_one(Spread::new(2, 1, 1, PAYLOAD_LEN, 10), 10)
}

/// The same on the receiving worker: the difference is the cost of ten hops.
fn no_hop() -> Box<dyn FnMut()> {
    frames_to_one(Spread::new(1, 0, 1, PAYLOAD_LEN, 10), 0)
}

fn frames_to_one(mut spread: Spread, hops: u64) -> Box<dyn FnMut()> {
    let (forwarded, crossed) = (spread.forwarded(), spread.crossed());
    spread.turn();
    assert_eq!((spread.forwarded() - forwarded, spread.crossed() - crossed), (10, hops));
    assert_eq!(spread.check(), 10, "whole");
    Box::new(move || spread.turn())
}

/// A command to a worker and an event back, through shared memory, both ends on this thread.
fn ring() -> Box<dyn FnMut()> {
    const PROTOCOL: u32 = 1;
    let path = std::env::temp_dir().join(format!("leat-parts-{}", std::process::id()));
    let mut listener = Listener::bind(&path, 1, PROTOCOL).expect("a socket");
    let attaching = {
        let path = path.clone();
        std::thread::spawn(move || shm::attach(path, PROTOCOL, Duration::from_secs(10)))
    };
    let mut worker = loop {
        match listener.poll() {
            Some(ListenerEvent::Attached(ends)) => break ends.into_iter().next().expect("one worker"),
            Some(_) | None => std::thread::yield_now(),
        }
    };
    let mut controller = attaching.join().expect("no panic").expect("attached");
    let (mut record, mut answer) = (Vec::new(), Vec::new());
    let mut turn = move || {
        // Both exist as long as the ring.
        let _ = &listener;
        let end = &mut controller.workers[0];
        end.commands.push(&[7; 120]).expect("room");
        worker.commands.pop(&mut record).expect("sound");
        worker.events.push(&record).expect("room");
        end.events.pop(&mut answer).expect("sound");
        assert_eq!(answer.len(), 120);
    };
    turn();
    Box::new(turn)
}
