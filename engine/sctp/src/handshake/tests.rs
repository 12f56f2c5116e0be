use super::*;
use crate::packet::Packet;

const PORTS: Ports = Ports { local: 5000, remote: 5000 };

fn handshake(seed: u64, begin_at: Instant) -> Handshake {
    Handshake::new(PORTS, begin_at, &mut Rng::from_number(seed))
}

/// Gives a packet to a handshake.
fn pass(to: &mut Handshake, now: Instant, packet: &[u8]) -> Step {
    let packet = Packet::new(packet).expect("correct");
    let chunk = packet.chunks().next().expect("one chunk");
    to.on_chunk(now, packet.tag, &chunk, true)
}

fn reply(step: Step) -> Bytes {
    match step {
        Step::Reply(packet) => packet,
        _ => panic!("no reply"),
    }
}

#[test]
fn four_packets_establish_both_sides() {
    let now = Instant::EPOCH;
    let mut client = handshake(1, now);
    let mut server = handshake(2, now + RTO_MAX);
    let init = client.on_timeout(now).expect("not too many").expect("an INIT");
    let ack = reply(pass(&mut server, now, &init));
    let echo = reply(pass(&mut client, now, &ack));
    let Step::Established(peer, Some(cookie_ack)) = pass(&mut server, now, &echo) else {
        panic!("not established");
    };
    assert_eq!(peer, *client.ours());
    let Step::Established(peer, None) = pass(&mut client, now, &cookie_ack) else {
        panic!("not established");
    };
    assert_eq!(peer, *server.ours());
    assert_eq!((client.next_timeout(), server.next_timeout()), (None, None));
    // A COOKIE ACK that was lost is sent again, and nothing else is answered.
    assert_eq!(reply(pass(&mut server, now, &echo)), cookie_ack);
    let late = pass(&mut server, now, &init);
    assert!(matches!(late, Step::Discarded(Discard::UnexpectedHandshake)));
}

#[test]
fn a_wrong_cookie_tag_or_window_is_discarded() {
    let now = Instant::EPOCH;
    let (mut client, mut server) = (handshake(1, now), handshake(2, now + RTO_MAX));
    let init = client.on_timeout(now).expect("not too many").expect("an INIT");
    let ack = reply(pass(&mut server, now, &init));
    let echo = |tag, cookie| Writer::new(PORTS, tag).chunk(kind::COOKIE_ECHO, 0, &[cookie]).finish();
    let (right, tag) = (server.cookie, server.ours.tag);
    let refused = |step| matches!(step, Step::Discarded(_));
    assert!(refused(pass(&mut server, now, &echo(tag, &[0; 32]))));
    assert!(refused(pass(&mut server, now, &echo(tag + 1, &right))));
    let small = Init { window: WINDOW_MIN - 1, ..*client.ours() };
    let small = Writer::new(PORTS, 0).chunk(kind::INIT, 0, &[&small.write()]).finish();
    assert!(refused(pass(&mut server, now, &small)));
    // An INIT ACK without a cookie.
    let bare = Writer::new(PORTS, client.ours.tag).chunk(kind::INIT_ACK, 0, &[&server.ours.write()]).finish();
    assert!(refused(pass(&mut client, now, &bare)));
    reply(pass(&mut client, now, &ack));
}

#[test]
fn an_init_is_repeated_with_growing_pauses_and_then_given_up() {
    let mut now = Instant::EPOCH;
    let mut client = handshake(1, now);
    let mut pauses = Vec::new();
    while let Ok(packet) = client.on_timeout(now) {
        assert!(packet.is_some());
        let next = client.next_timeout().expect("a repetition");
        pauses.push(next.saturating_since(now));
        now = next;
    }
    assert_eq!(pauses.len(), HANDSHAKE_ATTEMPTS_MAX as usize);
    assert_eq!(pauses[..4], [500, 1000, 2000, 3000].map(Duration::from_millis));
    assert_eq!(client.next_timeout(), None);
}
