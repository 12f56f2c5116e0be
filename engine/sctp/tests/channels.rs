//! Channels between two associations: opening, the six types, closing, limits.

mod network;

use bytes::Bytes;
use network::{A, B, Network, Weather};
use sctp::limits::{MESSAGE_LEN_MAX, SEND_BUFFER_MAX, SEND_BUFFER_SHARED, STREAMS_MAX};
use sctp::{
    Channel, Discard, Event, Failed, Kind, Limit, OpenError, Reliability, Role, SendError, Settings, StreamId,
};
use std::time::Duration;

fn text(bytes: &'static str) -> Bytes {
    Bytes::from_static(bytes.as_bytes())
}

#[test]
fn a_channel_opens_with_its_names_and_carries_messages_in_both_directions() {
    let mut network = Network::new(1, Weather::FAIR);
    let channel = Channel {
        label: "chat".to_owned(),
        protocol: "v2".to_owned(),
        reliability: Reliability { is_unordered: true, limit: Limit::Retransmissions(3) },
        priority: Channel::HIGH,
    };
    // Before the association is established.
    let stream = network.ends[A].open(channel.clone()).expect("opened");
    assert_eq!(stream, StreamId(0), "the DTLS client has the even ids");
    network.ends[A].send(network.now, stream, Kind::String, text("hello")).expect("queued");
    network.ends[A].send(network.now, stream, Kind::Binary, Bytes::new()).expect("queued");
    network.run_until(|it| it.message_count(B) == 2);
    let message = |kind, payload| Event::Message { stream, kind, payload };
    assert_eq!(
        network.events[B],
        [
            Event::Connected,
            Event::Opened { stream, channel: channel.clone() },
            message(Kind::String, text("hello")),
            message(Kind::Binary, Bytes::new()),
        ]
    );
    network.ends[B].send(network.now, stream, Kind::String, Bytes::new()).expect("queued");
    network.run_until(|it| it.message_count(A) == 1);
    let low = Event::BufferLow { stream };
    assert_eq!(network.events[A], [Event::Connected, low, message(Kind::String, Bytes::new())]);
    let answered = network.ends[B].open(Channel::reliable("b")).expect("opened");
    assert_eq!(answered, StreamId(1), "the DTLS server has the odd ids");
    network.run_until(|it| it.has(A, &Event::Opened { stream: answered, channel: Channel::reliable("b") }));
}

#[test]
fn a_negotiated_channel_needs_no_message_and_may_have_any_id() {
    let mut network = Network::connected(2, Weather::FAIR);
    let stream = StreamId(7);
    for end in [A, B] {
        network.ends[end].open_negotiated(stream, Channel::reliable("n")).expect("free");
        let again = network.ends[end].open_negotiated(stream, Channel::reliable("n"));
        assert_eq!(again, Err(OpenError::InUse));
    }
    network.ends[A].send(network.now, stream, Kind::Binary, text("x")).expect("open");
    network.run_until(|it| it.messages(B, stream) == [text("x")]);
    assert!(!network.events[B].iter().any(|event| matches!(event, Event::Opened { .. })));
    let last = StreamId(STREAMS_MAX);
    assert_eq!(network.ends[A].open_negotiated(last, Channel::reliable("")), Err(OpenError::InvalidId));
}

#[test]
fn a_channel_that_only_one_side_has_negotiated_is_confirmed() {
    let mut network = Network::connected(17, Weather::FAIR);
    let stream = network.ends[A].open(Channel::reliable("a")).expect("opened");
    network.ends[B].open_negotiated(stream, Channel::reliable("b")).expect("free");
    network.ends[A].send(network.now, stream, Kind::Binary, text("x")).expect("open");
    network.run_until(|it| it.messages(B, stream) == [text("x")] && it.ends[B].buffered(stream) == 0);
    assert_eq!(network.ends[B].discarded(Discard::InvalidDcep), 0);
    assert!(!network.events[B].iter().any(|event| matches!(event, Event::Opened { .. })));
}

/// Both ends begin in the same moment, with their INITs, INIT ACKs and COOKIE ECHOs crossing.
#[test]
fn two_clients_agree_on_one_association() {
    for seed in 0..20 {
        let weather = Weather { jitter: Duration::from_millis(30), loss: 0.2, ..Weather::FAIR };
        let settings = [Settings::new(Role::Client); 2];
        let mut network = Network::with_settings(seed, weather, settings);
        network.run_until(|it| it.ends.iter().all(sctp::Association::is_connected));
        for end in [A, B] {
            let stream = StreamId(4);
            for end in [A, B] {
                let _ = network.ends[end].open_negotiated(stream, Channel::reliable(""));
            }
            network.ends[end].send(network.now, stream, Kind::Binary, text("x")).expect("open");
            network.run_until(|it| it.messages(1 - end, stream).len() == 1);
        }
    }
}

#[test]
fn a_server_begins_if_the_peer_does_not() {
    let settings = [Settings::new(Role::Server); 2];
    let mut network = Network::with_settings(3, Weather::FAIR, settings);
    network.run_until(|it| it.ends.iter().all(sctp::Association::is_connected));
    assert!(network.now.since_epoch() >= Duration::from_secs(1000) + sctp::limits::START_DELAY);
}

#[test]
fn without_a_peer_the_handshake_ends() {
    let mut network = Network::new(4, Weather { loss: 1.0, ..Weather::FAIR });
    network.run_until(|it| it.ends.iter().all(|end| end.failed().is_some()));
    for end in [A, B] {
        assert_eq!(network.events[end], [Event::Failed(Failed::HandshakeTimedOut)]);
        assert_eq!(network.ends[end].poll_timeout(), None);
        assert_eq!(network.ends[end].open(Channel::reliable("")), Err(Failed::HandshakeTimedOut.into()));
    }
}

#[test]
fn an_abort_ends_both_sides() {
    let mut network = Network::connected(5, Weather::FAIR);
    let stream = network.ends[A].open(Channel::reliable("")).expect("opened");
    network.ends[B].abort();
    network.run_until(|it| it.ends[A].failed().is_some());
    assert!(network.has(A, &Event::Failed(Failed::AbortedByPeer)));
    assert!(network.has(B, &Event::Failed(Failed::Closed)));
    let sent = network.ends[A].send(network.now, stream, Kind::Binary, text("x"));
    assert_eq!(sent, Err(SendError::Failed(Failed::AbortedByPeer)));
}

/// Messages of one packet, of many, and of the longest kind, in order.
#[test]
fn messages_of_every_length_arrive_as_they_were_sent() {
    for weather in [Weather::FAIR, Weather::ROUGH] {
        let mut network = Network::connected(6, weather);
        let stream = network.ends[A].open(Channel::reliable("")).expect("opened");
        let lengths = [1, 2, 1163, 1164, 1165, 40_000, MESSAGE_LEN_MAX - 1, MESSAGE_LEN_MAX, 3];
        let payload = |len: usize| Bytes::from_iter((0..len).map(|at| (at * 7 + len) as u8));
        for len in lengths {
            network.ends[A].send(network.now, stream, Kind::Binary, payload(len)).expect("room");
        }
        network.run_until(|it| it.message_count(B) == lengths.len());
        assert_eq!(network.messages(B, stream), lengths.map(payload));
        assert!(network.longest <= 1191, "a packet of {} bytes", network.longest);
        network.run_until(|it| it.ends[A].buffered(stream) == 0);
    }
}

#[test]
fn a_longer_message_is_refused_with_both_sizes() {
    let mut network = Network::connected(7, Weather::FAIR);
    let stream = network.ends[A].open(Channel::reliable("")).expect("opened");
    let long = Bytes::from(vec![0; MESSAGE_LEN_MAX + 1]);
    let refused = network.ends[A].send(network.now, stream, Kind::Binary, long).expect_err("too long");
    assert_eq!(refused, SendError::TooLong { len: 262_145, max: 262_144 });
    assert_eq!(refused.to_string(), "the message has 262145 bytes; at most 262144 are accepted");
    // What the peer's SDP has announced.
    let settings = Settings { peer_message_len_max: 1000, ..Settings::new(Role::Client) };
    let mut network = Network::with_settings(8, Weather::FAIR, [settings, Settings::new(Role::Server)]);
    let stream = network.ends[A].open(Channel::reliable("")).expect("opened");
    let refused = network.ends[A].send(network.now, stream, Kind::Binary, Bytes::from(vec![0; 1001]));
    assert_eq!(refused, Err(SendError::TooLong { len: 1001, max: 1000 }));
}

#[test]
fn the_send_buffer_is_bounded_and_reports_when_it_is_low() {
    let mut network = Network::connected(9, Weather::FAIR);
    let stream = network.ends[A].open(Channel::reliable("")).expect("opened");
    network.ends[A].set_low_threshold(stream, 100_000);
    let payload = Bytes::from(vec![1; 50_000]);
    let mut accepted = 0;
    loop {
        match network.ends[A].send(network.now, stream, Kind::Binary, payload.clone()) {
            Ok(()) => accepted += 1,
            Err(refused) => {
                assert_eq!(refused, SendError::Full);
                break;
            }
        }
    }
    assert_eq!(accepted, SEND_BUFFER_MAX / 50_000);
    assert_eq!(network.ends[A].buffered(stream), accepted * 50_000);
    network.run_until(|it| it.has(A, &Event::BufferLow { stream }));
    assert!(network.ends[A].buffered(stream) <= 100_000);
    network.ends[A].send(network.now, stream, Kind::Binary, payload).expect("room again");
    network.run_until(|it| it.message_count(B) == accepted + 1);
}

/// It may use half of the buffer alone, and the other channel has space for its share.
#[test]
fn a_channel_of_low_priority_cannot_fill_the_send_buffer_alone() {
    let mut network = Network::connected(15, Weather::FAIR);
    let of = |priority| Channel { priority, ..Channel::reliable("") };
    let low = network.ends[A].open(of(Channel::LOW)).expect("opened");
    let high = network.ends[A].open(of(Channel::HIGH)).expect("opened");
    let payload = Bytes::from(vec![1; 64 * 1024]);
    let mut fill = |stream| {
        let now = network.now;
        let sent =
            std::iter::from_fn(|| network.ends[A].send(now, stream, Kind::Binary, payload.clone()).ok());
        sent.take(1000).count() * payload.len()
    };
    assert_eq!(fill(low), SEND_BUFFER_SHARED);
    assert_eq!(fill(high), SEND_BUFFER_MAX - SEND_BUFFER_SHARED);
    // Alone it has all of it.
    network.ends[A].close(high);
    network.run_until(|it| it.has(A, &Event::Closed { stream: high }));
    network.run_until(|it| it.ends[A].buffered(low) == 0);
    let now = network.now;
    let sent = std::iter::from_fn(|| network.ends[A].send(now, low, Kind::Binary, payload.clone()).ok());
    assert_eq!(sent.take(1000).count() * payload.len(), SEND_BUFFER_MAX);
}

/// All ids are used, and each again after it was closed by either side.
#[test]
fn ids_are_used_again_after_both_sides_have_reset_the_stream() {
    for weather in [Weather::FAIR, Weather::ROUGH] {
        let mut network = Network::connected(10, weather);
        for round in 0..12 {
            let (opener, closer) = (round % 2, (round / 2) % 2);
            let label = format!("round {round}");
            let stream = network.ends[opener].open(Channel::reliable(&label)).expect("opened");
            assert_eq!(stream, StreamId(opener as u16), "the id is free again");
            let opened = Event::Opened { stream, channel: Channel::reliable(&label) };
            network.run_until(|it| it.has(1 - opener, &opened));
            let payload = Bytes::from(label.clone());
            network.ends[closer].send(network.now, stream, Kind::String, payload.clone()).expect("open");
            // What was sent before is still delivered.
            network.ends[closer].close(stream);
            let refused = network.ends[closer].send(network.now, stream, Kind::String, payload.clone());
            assert_eq!(refused, Err(SendError::NotOpen));
            let closed = Event::Closed { stream };
            network.run_until(|it| it.has(A, &closed) && it.has(B, &closed));
            assert_eq!(network.messages(1 - closer, stream), [payload]);
            network.events = [Vec::new(), Vec::new()];
        }
    }
}

#[test]
fn there_are_as_many_channels_as_ids() {
    let mut network = Network::connected(11, Weather::FAIR);
    let count = usize::from(STREAMS_MAX / 2);
    let opened: Vec<_> =
        (0..count).map(|_| network.ends[A].open(Channel::reliable("")).expect("free")).collect();
    assert_eq!(network.ends[A].open(Channel::reliable("")), Err(OpenError::NoFreeId));
    network.run_until(|it| it.events[B].len() == 1 + count);
    opened.iter().for_each(|stream| network.ends[A].close(*stream));
    network.run_until(|it| it.events[A].len() == 1 + count && it.events[B].len() == 1 + 2 * count);
    network.ends[A].open(Channel::reliable("")).expect("free again");
}

/// The peer blasts a channel that we close: it does not exhaust the receive window.
#[test]
fn closing_a_channel_while_the_peer_sends_disturbs_no_other_channel() {
    let mut network = Network::connected(12, Weather { delay: Duration::from_millis(50), ..Weather::FAIR });
    let [busy, other] = [(); 2].map(|()| network.ends[A].open(Channel::reliable("")).expect("opened"));
    network.run_until(|it| it.events[B].len() == 3);
    for _ in 0..SEND_BUFFER_SHARED / 60_000 {
        network.ends[A].send(network.now, busy, Kind::Binary, Bytes::from(vec![0; 60_000])).expect("room");
    }
    network.run_until(|it| it.messages(B, busy).len() == 5);
    network.ends[B].close(busy);
    network.run_until(|it| {
        it.has(A, &Event::Closed { stream: busy }) && it.has(B, &Event::Closed { stream: busy })
    });
    assert!(network.ends[B].discarded(Discard::DataOfClosingChannel) > 0);
    assert!(network.messages(B, busy).len() < SEND_BUFFER_SHARED / 60_000);
    network.ends[A].send(network.now, other, Kind::Binary, text("still here")).expect("open");
    network.run_until(|it| it.messages(B, other) == [text("still here")]);
}

#[test]
fn a_reader_that_does_not_poll_pauses_the_sender_and_gets_everything_later() {
    let mut network = Network::connected(13, Weather::FAIR);
    let stream = network.ends[A].open(Channel::reliable("")).expect("opened");
    network.run_until(|it| it.events[B].len() == 2);
    network.is_deaf[B] = true;
    let (mut sent, mut bytes) = (0_usize, 0);
    for _ in 0..3000 {
        let payload = Bytes::from(vec![sent as u8; 20_000]);
        if network.ends[A].send(network.now, stream, Kind::Binary, payload).is_ok() {
            sent += 1;
            bytes += 20_000;
        }
        network.run_for(Duration::from_millis(20));
    }
    assert!(bytes > SEND_BUFFER_MAX, "more than one buffer has left");
    let most = sctp::limits::EVENT_BYTES_MAX + sctp::limits::RECEIVE_WINDOW + SEND_BUFFER_MAX;
    assert!(bytes <= most + 2 * MESSAGE_LEN_MAX, "{bytes} bytes were accepted");
    assert!(network.ends[B].memory() <= sctp::limits::EVENT_BYTES_MAX + MESSAGE_LEN_MAX);
    network.is_deaf[B] = false;
    let resumed_at = network.now;
    network.run_until(|it| it.message_count(B) == sent);
    assert!(network.messages(B, stream).iter().enumerate().all(|(at, it)| it[0] == at as u8), "in order");
    let waited = network.now.saturating_since(resumed_at);
    assert!(waited < sctp::limits::RTO_MAX + Duration::from_secs(2), "resumed after {waited:?}");
}

/// Also small messages, of which the number is the bound.
#[test]
fn a_reader_that_does_not_poll_small_messages_pauses_the_sender_too() {
    let mut network = Network::connected(14, Weather::FAIR);
    let stream = network.ends[A].open(Channel::reliable("")).expect("opened");
    network.run_until(|it| it.events[B].len() == 2);
    network.is_deaf[B] = true;
    let mut sent = 0_usize;
    for _ in 0..12_000 {
        if network.ends[A].send(network.now, stream, Kind::Binary, text("ten bytes.")).is_ok() {
            sent += 1;
        }
        network.run_for(Duration::from_millis(1));
    }
    assert!(sent < 12_000, "the sender was paused");
    assert_eq!(network.ends[B].failed(), None);
    network.is_deaf[B] = false;
    network.run_until(|it| it.message_count(B) == sent);
}

#[test]
fn a_message_is_abandoned_after_its_retransmissions_or_its_lifetime() {
    for limit in [Limit::Retransmissions(0), Limit::LifetimeMs(50)] {
        for is_unordered in [false, true] {
            let mut network = Network::connected(15, Weather::FAIR);
            let reliability = Reliability { is_unordered, limit };
            let channel = Channel { reliability, ..Channel::reliable("") };
            let stream = network.ends[A].open(channel).expect("opened");
            network.run_until(|it| it.events[B].len() == 2);
            network.run_for(Duration::from_secs(1));
            let send = |network: &mut Network, name: &'static str| {
                network.ends[A].send(network.now, stream, Kind::String, text(name)).expect("open");
            };
            send(&mut network, "first");
            network.run_until(|it| it.message_count(B) == 1);
            network.weather.loss = 1.0;
            send(&mut network, "lost");
            network.run_for(Duration::from_millis(5));
            network.weather.loss = 0.0;
            send(&mut network, "last");
            network.run_until(|it| it.message_count(B) == 2 && it.ends[A].buffered(stream) == 0);
            network.run_for(Duration::from_secs(30));
            assert_eq!(network.messages(B, stream), [text("first"), text("last")], "{reliability:?}");
        }
    }
}

/// A reliable channel that shares the association with abandoned messages loses nothing.
#[test]
fn all_six_types_at_once_over_a_lossy_link() {
    let limits = [Limit::Reliable, Limit::Retransmissions(1), Limit::LifetimeMs(100)];
    let types = limits.map(|limit| [false, true].map(|is_unordered| Reliability { is_unordered, limit }));
    for seed in 0..8 {
        let mut network = Network::connected(seed, Weather::ROUGH);
        let streams = types.concat().into_iter().map(|reliability| {
            let channel = Channel { reliability, ..Channel::reliable("") };
            (network.ends[A].open(channel).expect("opened"), reliability)
        });
        let streams: Vec<_> = streams.collect();
        for round in 0..100_u32 {
            for (stream, _) in &streams {
                let len = if round % 10 == 0 { 5000 } else { 50 };
                let mut payload = vec![0; len];
                payload[..4].copy_from_slice(&round.to_be_bytes());
                network.ends[A].send(network.now, *stream, Kind::Binary, payload.into()).expect("room");
            }
            network.run_for(Duration::from_millis(40));
        }
        network.run_until(|it| streams.iter().all(|(stream, _)| it.ends[A].buffered(*stream) == 0));
        network.run_for(Duration::from_secs(60));
        for (stream, reliability) in &streams {
            let rounds: Vec<u32> = network
                .messages(B, *stream)
                .iter()
                .map(|it| u32::from_be_bytes(*it.first_chunk().expect("a number")))
                .collect();
            let mut sorted = rounds.clone();
            sorted.sort_unstable();
            if !reliability.is_unordered {
                assert_eq!(rounds, sorted, "seed {seed}, {reliability:?}: in order");
            }
            sorted.dedup();
            assert_eq!(sorted.len(), rounds.len(), "seed {seed}, {reliability:?}: none twice");
            if reliability.limit == Limit::Reliable {
                assert_eq!(rounds.len(), 100, "seed {seed}, {reliability:?}: all");
            } else {
                assert!(rounds.len() >= 50, "seed {seed}, {reliability:?}: {} arrived", rounds.len());
            }
        }
    }
}

/// Both channels have more to send than the path carries.
#[test]
fn a_channel_of_higher_priority_sends_more() {
    let mut network = Network::connected(16, Weather { delay: Duration::from_millis(40), ..Weather::FAIR });
    let [low, high] = [Channel::LOW, Channel::HIGH]
        .map(|priority| network.ends[A].open(Channel { priority, ..Channel::reliable("") }).expect("opened"));
    network.run_until(|it| it.events[B].len() == 3);
    for _ in 0..250 {
        for stream in [low, high] {
            network.ends[A]
                .send(network.now, stream, Kind::Binary, Bytes::from(vec![0; 2000]))
                .expect("room");
        }
    }
    network.run_until(|it| it.message_count(B) >= 200);
    let counts = [low, high].map(|stream| network.messages(B, stream).len());
    assert!(counts[1] > 3 * counts[0] && counts[1] < 5 * counts[0], "four times as many: {counts:?}");
}

/// The message is shared, not copied, until it is acknowledged; also between associations.
#[test]
fn a_payload_is_not_copied_for_sending() {
    let payload = Bytes::from(vec![5; MESSAGE_LEN_MAX]);
    let mut networks = [20, 21].map(|seed| Network::connected(seed, Weather::FAIR));
    for network in &mut networks {
        let stream = network.ends[A].open(Channel::reliable("")).expect("opened");
        network.ends[A].send(network.now, stream, Kind::Binary, payload.clone()).expect("room");
        network.poll();
        assert!(!payload.is_unique(), "the packets are made from it");
        network.run_until(|it| it.message_count(B) == 1);
        network.run_until(|it| it.ends[A].buffered(stream) == 0);
    }
    assert!(payload.is_unique(), "released by the acknowledgement");
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let run = |seed| {
        let mut network = Network::connected(seed, Weather::ROUGH);
        let stream = network.ends[A].open(Channel::reliable("")).expect("opened");
        for len in [1, 5000, 70_000] {
            network.ends[A].send(network.now, stream, Kind::Binary, Bytes::from(vec![0; len])).expect("room");
        }
        network.run_until(|it| it.message_count(B) == 3);
        (network.now, network.sent, network.events)
    };
    assert_eq!(run(30), run(30));
    assert_ne!(run(30).0, run(31).0);
}
