//! Peers whose UDP is blocked: ICE over TCP (RFC 6544), and other traffic to an open TCP port.

use crate::PATIENCE;
use crate::call::{
    CONSUMER, Call, Family, PRODUCER, PUBLISHING, RECEIVED_SSRC, ROUTER, SUBSCRIBING, consume, create_router,
    create_transport, join, produce,
};
use crate::caller::audio_packet;
use crate::engine::{Engine, has_ipv6};
use control::{Command, Consume, ConsumerId, Event, IceState, Protocol, TransportId, TransportState};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

#[test]
fn media_flows_over_tcp_and_between_tcp_and_udp() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    let ways = [
        (Family::Tcp4, Family::Tcp4),
        (Family::V4, Family::Tcp4),
        (Family::Tcp4, Family::V4),
        (Family::Tcp6, Family::Tcp6),
        (Family::Tcp6, Family::V4),
    ];
    for (from, to) in ways.into_iter().take(if has_ipv6() { 5 } else { 3 }) {
        let mut call = Call::connect_over(&engine, &mut controller, from, to);
        for _ in 0..5 {
            call.publish(50);
        }
        for caller in [&mut call.publisher, &mut call.subscriber] {
            let address = caller.address();
            assert_eq!(caller.agent().mapped(), Some(address), "as the engine sees it");
        }
        let address = call.subscriber.address();
        controller.await_notification(PATIENCE, |event| {
            let Event::TransportState { transport: SUBSCRIBING, state } = event else { return false };
            state.ice == IceState::Completed && state.remote == Some(address)
        });
        controller.demand(Command::CloseRouter { router: ROUTER });
        assert_eq!(controller.snapshot(), []);
    }
    let streams = controller.await_streams(|streams| streams.open == 0);
    assert_eq!((streams.dropped, streams.unproven, streams.malformed), (0, 0, 0), "{streams:?}");
    assert_eq!(streams.by_peer, streams.accepted);
}

#[test]
fn udp_or_tcp_candidates_can_be_disabled() {
    for (flags, protocol) in [("--no-udp-candidates", Protocol::Tcp), ("--rtc-tcp-port=0", Protocol::Udp)] {
        let engine = Engine::start_with(&["--workers", "1", "--listen-ip", "127.0.0.1", flags]);
        let mut controller = engine.attach();
        controller.demand(create_router(ROUTER));
        let created = controller.request(create_transport(ROUTER, PUBLISHING));
        let Event::TransportCreated { candidates, .. } = created else { panic!("{created:?}") };
        let protocols: Vec<_> = candidates.iter().map(|candidate| candidate.protocol).collect();
        assert_eq!(protocols, [protocol]);
        let listens = TcpStream::connect(("127.0.0.1", engine.port)).is_ok();
        assert_eq!(listens, protocol == Protocol::Tcp);
    }
}

#[test]
fn an_engine_may_have_ipv6_only() {
    if !has_ipv6() {
        return;
    }
    let engine = Engine::start_with(&["--workers", "1", "--listen-ip", "::1"]);
    let mut controller = engine.attach();
    let mut call = Call::connect_over(&engine, &mut controller, Family::V6, Family::Tcp6);
    call.publish(50);
    assert!(TcpStream::connect(("127.0.0.1", engine.port)).is_err(), "nothing listens on IPv4");
}

#[test]
fn a_closed_connection_is_reported_and_a_new_one_replaces_it() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    let mut call = Call::connect_over(&engine, &mut controller, Family::udp(), Family::tcp());
    call.publish(10);
    call.subscriber.come_again();
    let gone =
        TransportState { ice: IceState::Disconnected, dtls: control::DtlsState::Connected, remote: None };
    controller.await_notification(
        PATIENCE,
        |event| matches!(event, Event::TransportState { transport: SUBSCRIBING, state } if *state == gone),
    );
    // Packets sent in between are lost, without other effects.
    let lost = call.next_packet();
    call.publisher.publish(&lost);
    // A browser would check from its new connection at once; this peer does so at its next consent check.
    let address = call.subscriber.address();
    call.subscriber.run_for(std::time::Duration::from_millis(2_600));
    controller.await_notification(PATIENCE, |event| {
        let Event::TransportState { transport: SUBSCRIBING, state } = event else { return false };
        state.ice == IceState::Completed && state.remote == Some(address)
    });
    let packet = call.next_packet();
    call.publisher.publish(&packet);
    let heard = call.subscriber.receive(1);
    assert_eq!(heard[0].payload, packet.payload);
}

#[test]
fn a_stalled_reader_is_bounded_and_the_others_receive_everything() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    let mut call = Call::connect_over(&engine, &mut controller, Family::tcp(), Family::tcp());
    let (other, other_view) = (TransportId(30), ConsumerId(300));
    let mut good = join(&engine, &mut controller, other, Family::tcp());
    controller.demand(Command::Consume(Consume {
        ssrc: RECEIVED_SSRC + 1,
        ..consume(other, PRODUCER, other_view)
    }));
    good.connect();
    call.publish(5);
    good.receive(5);

    // From here on the subscriber reads nothing: 34 MB fill the kernel's buffers for it, and then the
    // engine's queue. More than 2¹⁵ packets missed in a row would desynchronise any receiver of SRTP (RFC
    // 3711 §3.3.1), which is not tested here.
    const COUNT: u16 = 30_000;
    for seq in 5_000..5_000 + COUNT {
        let mut packet = audio_packet(seq);
        packet.payload = [&packet.payload[..], &[seq as u8; 1_100]].concat().into();
        call.publisher.publish(&packet);
        let heard = good.receive(1);
        assert_eq!(heard[0].payload, packet.payload, "packet {seq} at the reading subscriber");
    }
    controller.await_streams(|streams| streams.dropped > 1_000);
    // It reads again: complete packets, all authentic, in order, and then the new ones.
    let last = audio_packet(5_000 + COUNT);
    call.publisher.publish(&last);
    let mut heard = Vec::new();
    while heard.last() != Some(&last.payload) {
        heard.extend(call.subscriber.receive(1).into_iter().map(|packet| packet.payload));
    }
    assert!(heard.len() < usize::from(COUNT), "some were dropped");
    let streams = controller.await_streams(|_| true);
    assert_eq!((streams.open, streams.idle), (3, 0), "{streams:?}");
}

/// Waits until the engine has closed the connection.
fn await_end(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match stream.read(&mut [0; 100]) {
        Ok(0) => {}
        Ok(len) => panic!("{len} bytes for an unauthenticated client"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[test]
fn unauthenticated_connections_are_closed() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    let mut call = Call::connect_over(&engine, &mut controller, Family::tcp(), Family::tcp());
    let connect = || TcpStream::connect(("127.0.0.1", engine.port)).unwrap();
    // Other protocols, at once.
    for text in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00", b"SSH-2.0-client\r\n"] {
        let mut stream = connect();
        stream.write_all(text).unwrap();
        await_end(&mut stream);
    }
    // Silence, half a frame, invalid frames, and a check with a wrong password, in time.
    let forged = forged_check(&mut call);
    let mut waiting: Vec<_> = [&[][..], &[0, 100, 1], &[0, 3, 1, 2, 3, 0, 0], &forged]
        .into_iter()
        .map(|bytes| {
            let mut stream = connect();
            stream.write_all(bytes).unwrap();
            stream
        })
        .collect();
    call.publish(10);
    waiting.iter_mut().for_each(await_end);
    let streams = controller.await_streams(|streams| streams.unproven == 4);
    assert_eq!((streams.malformed, streams.open), (3, 2), "{streams:?}");
    call.publish(10);
}

/// A check for the subscriber's transport as a frame, with a bit of its integrity flipped.
fn forged_check(call: &mut Call) -> Vec<u8> {
    let now = crate::caller::now() + std::time::Duration::from_secs(3);
    let check = call.subscriber.client().agent_mut().check(now).expect("a check is due");
    let mut frame = [&(check.len() as u16).to_be_bytes()[..], &check].concat();
    let in_integrity = frame.len() - 8 - 1;
    frame[in_integrity] ^= 1;
    frame
}

#[test]
fn a_tcp_only_engine_can_have_a_whole_call() {
    let engine = Engine::start_with(&["--workers", "1", "--no-udp-candidates"]);
    let mut controller = engine.attach();
    controller.demand(create_router(ROUTER));
    let mut publisher = join(&engine, &mut controller, PUBLISHING, Family::tcp());
    let mut subscriber = join(&engine, &mut controller, SUBSCRIBING, Family::tcp());
    controller.demand(Command::Produce(produce(PUBLISHING, PRODUCER)));
    controller.demand(Command::Consume(consume(SUBSCRIBING, PRODUCER, CONSUMER)));
    publisher.connect();
    subscriber.connect();
    let mut call = Call::of(publisher, subscriber);
    call.publish(100);
}
