//! Recorded or changed media: dropped without any effect.

use crate::call::Call;
use crate::engine::Engine;
use control::{Counter, Discard};

#[test]
fn replayed_and_damaged_media_changes_nothing() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    let mut call = Call::connect(&engine, &mut controller);
    call.publish(5);

    // Sent once, received once, however often it is replayed.
    let packet = call.next_packet();
    let recorded = call.publisher.protect(&packet);
    let first = packet.header.sequence_number;
    (0..4).for_each(|_| call.publisher.send(&recorded));
    call.expect_received(first, 1);

    // A packet with one changed bit comes before it: in the marker, the payload type, the sequence number,
    // the timestamp, the SSRC, the payload and the tag. If it had an effect, the packet itself would be a
    // replay, or the subscriber's numbers would jump.
    let packet = call.next_packet();
    let whole = call.publisher.protect(&packet);
    let bits = [(1, 0x80), (1, 0x02), (2, 0x01), (3, 0x10), (4, 0x80), (8, 0x40), (11, 0x01), (20, 0x08)];
    let in_the_tag = [(whole.len() - 16, 0x01), (whole.len() - 1, 0x80)];
    let mut damaged = 0;
    for (byte, bit) in bits.into_iter().chain(in_the_tag) {
        let mut bytes = whole.clone();
        bytes[byte] ^= bit;
        call.publisher.send(&bytes);
        damaged += 1;
    }
    // Cut short, it may lack its tag, or its header.
    for len in [whole.len() - 1, 28, 13] {
        call.publisher.send(&whole[..len]);
    }
    // Nor from another address.
    call.subscriber.send(&whole);
    call.publisher.send(&whole);
    call.expect_received(packet.header.sequence_number, 1);

    // An old packet is like a replayed one, even if it was never received.
    let never_sent = call.next_packet();
    let late = call.publisher.protect(&never_sent);
    for _ in 0..1_100 {
        let packet = call.next_packet();
        call.publisher.publish(&packet);
        // One at a time: drops of a flooded kernel are not tested here.
        call.subscriber.receive(1);
    }
    call.publisher.send(&late);
    let packet = call.next_packet();
    call.publisher.publish(&packet);
    let heard = call.subscriber.receive(1);
    assert_eq!(heard[0].payload[..], crate::caller::payload(packet.header.sequence_number));

    let counters = controller.await_counters(|counters| counters.value(Counter::RtpOut) >= 1_108);
    assert_eq!(counters.discarded(Discard::SrtpReplayed), 3 + 1);
    assert_eq!(counters.discarded(Discard::SrtpUnauthenticated), damaged + 2 + 1);
    assert_eq!(counters.discarded(Discard::SrtpTooShort), 1);
    assert_eq!(counters.value(Counter::RtpIn), 5 + 1 + 1 + 1_100 + 1);
    assert_eq!(counters.value(Counter::RtpOut), counters.value(Counter::RtpIn));
    assert_eq!(call.subscriber.receive_for(crate::SILENCE), []);
}

#[test]
fn damaged_and_replayed_feedback_causes_no_request() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    let mut call = Call::connect(&engine, &mut controller);
    call.publish(5);
    let report = leat_tests::peer::rtcp::ReceiverReport { ssrc: 7, ..Default::default() };
    let compound = leat_tests::peer::rtcp::write(&[Box::new(report)]);
    let whole = call.subscriber.client().protect_rtcp(&compound);
    let mut sent = 0;
    for byte in [4, 8, whole.len() - 20, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[byte] ^= 0x01;
        call.subscriber.send(&damaged);
        sent += 1;
    }
    // The word after an AEAD tag begins with the bit for "encrypted" (RFC 7714 §17).
    let mut claims_to_be_plain = whole.clone();
    let at = whole.len() - 4;
    claims_to_be_plain[at] ^= 0x80;
    call.subscriber.send(&claims_to_be_plain);
    (0..3).for_each(|_| call.subscriber.send(&whole));
    let counters = controller.await_counters(|counters| {
        counters.discarded(Discard::SrtpReplayed) == 2
            && counters.discarded(Discard::SrtpUnauthenticated) == sent
            && counters.discarded(Discard::SrtcpUnencrypted) == 1
    });
    assert_eq!(counters.value(Counter::RtcpIn), 1);
    call.publish(5);
}
