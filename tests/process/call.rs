//! A call of two, with the commands that signaling would send, and both peers connected.

use crate::caller::{Caller, audio_packet, certificate, payload};
use crate::controller::Controller;
use crate::engine::Engine;
use control::{
    AppData, Candidate, Codec, Command, Consume, ConsumerId, CreateTransport, Event, Produce, ProducerId,
    Protocol, RouterId, Text, TransportId, fixtures,
};
use dtls::Fingerprint;
use oracle_rtp::packet::Packet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// From the publisher.
pub const SENT_PT: u8 = 111;
/// From the publisher.
pub const SENT_SSRC: u32 = 0x0a0a_0a0a;
/// To the subscriber.
pub const RECEIVED_PT: u8 = 109;
/// To the subscriber.
pub const RECEIVED_SSRC: u32 = 0x0b0b_0b0b;

/// The room of most tests.
pub const ROUTER: RouterId = RouterId(1);
/// The publisher's.
pub const PUBLISHING: TransportId = TransportId(10);
/// The subscriber's.
pub const SUBSCRIBING: TransportId = TransportId(20);
/// The track.
pub const PRODUCER: ProducerId = ProducerId(100);
/// The track at the subscriber.
pub const CONSUMER: ConsumerId = ConsumerId(200);

/// The engine's candidate that a peer uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// UDP over IPv4.
    V4,
    /// UDP over IPv6.
    V6,
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
}

impl Family {
    /// UDP over the family of this run: IPv6 if `LEAT_FAMILY` is `ipv6`.
    pub fn udp() -> Self {
        if is_about_ipv6() { Self::V6 } else { Self::V4 }
    }

    /// The same over TCP.
    pub fn tcp() -> Self {
        if is_about_ipv6() { Self::Tcp6 } else { Self::Tcp4 }
    }
}

/// Whether tests that name no family use IPv6: `make families` runs everything once over each.
pub fn is_about_ipv6() -> bool {
    match std::env::var("LEAT_FAMILY").as_deref() {
        Ok("ipv6") => true,
        Ok("ipv4") | Err(_) => false,
        Ok(other) => panic!("LEAT_FAMILY={other}: expected ipv4 or ipv6"),
    }
}

/// The host's own address in that family.
pub fn loopback() -> IpAddr {
    if is_about_ipv6() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
}

/// Two peers; the first one sends audio to the second.
#[derive(Debug)]
pub struct Call {
    pub publisher: Caller,
    pub subscriber: Caller,
    next: u16,
    /// The subscriber's number of the packet after the last.
    expected: Option<u16>,
}

impl Call {
    /// Connects two peers in [`ROUTER`].
    pub fn connect(engine: &Engine, controller: &mut Controller) -> Self {
        Self::connect_over(engine, controller, Family::udp(), Family::udp())
    }

    /// Connects two peers in [`ROUTER`], each over its family.
    pub fn connect_over(engine: &Engine, controller: &mut Controller, from: Family, to: Family) -> Self {
        controller.demand(create_router(ROUTER));
        let mut publisher = join(engine, controller, PUBLISHING, from);
        let mut subscriber = join(engine, controller, SUBSCRIBING, to);
        controller.demand(Command::Produce(produce(PUBLISHING, PRODUCER)));
        controller.demand(Command::Consume(consume(SUBSCRIBING, PRODUCER, CONSUMER)));
        publisher.connect();
        subscriber.connect();
        Self::of(publisher, subscriber)
    }

    /// Two peers that are connected.
    pub fn of(publisher: Caller, subscriber: Caller) -> Self {
        Self { publisher, subscriber, next: 1_000, expected: None }
    }

    /// The publisher's next packet, not sent.
    pub fn next_packet(&mut self) -> Packet {
        self.next += 1;
        audio_packet(self.next - 1)
    }

    /// The publisher sends this number of packets, and the subscriber must receive exactly those, in order,
    /// without a gap in their numbers, also relative to earlier ones.
    pub fn publish(&mut self, count: u16) {
        let first = self.next;
        for _ in 0..count {
            let packet = self.next_packet();
            self.publisher.publish(&packet);
        }
        self.expect_received(first, count);
    }

    /// The subscriber must receive exactly these of the publisher's packets.
    pub fn expect_received(&mut self, first: u16, count: u16) {
        let packets = self.subscriber.receive(usize::from(count));
        for (packet, sent) in packets.iter().zip(first..) {
            let Packet { header, payload: heard } = packet;
            assert_eq!((header.payload_type, header.ssrc), (RECEIVED_PT, RECEIVED_SSRC));
            assert_eq!(heard[..], payload(sent), "packet {sent}");
            let expected = self.expected.replace(header.sequence_number.wrapping_add(1));
            assert!(
                expected.is_none_or(|expected| expected == header.sequence_number),
                "a gap before packet {sent}"
            );
        }
    }
}

/// Creates a transport, and a peer for it. The engine knows the peer's fingerprint.
pub fn join(engine: &Engine, controller: &mut Controller, transport: TransportId, family: Family) -> Caller {
    let caller = join_unannounced(engine, controller, transport, family);
    controller.demand(Command::ConnectTransport { transport, fingerprint: certificate().fingerprint().0 });
    caller
}

/// Creates a transport, and a peer for it whose fingerprint the engine does not know.
pub fn join_unannounced(
    engine: &Engine,
    controller: &mut Controller,
    transport: TransportId,
    family: Family,
) -> Caller {
    let created = controller.request(create_transport(ROUTER, transport));
    let Event::TransportCreated { ice, fingerprint, candidates, .. } = created else { panic!("{created:?}") };
    Caller::new(candidate(&candidates, family, engine.port), &ice, Fingerprint(fingerprint))
}

/// The candidate of this family, which must be at this port.
pub fn candidate(candidates: &[Candidate], family: Family, port: u16) -> Candidate {
    let (is_ipv4, protocol) = match family {
        Family::V4 => (true, Protocol::Udp),
        Family::V6 => (false, Protocol::Udp),
        Family::Tcp4 => (true, Protocol::Tcp),
        Family::Tcp6 => (false, Protocol::Tcp),
    };
    let is_it =
        |candidate: &&Candidate| candidate.protocol == protocol && candidate.address.is_ipv4() == is_ipv4;
    let candidate = *candidates.iter().find(is_it).expect("the engine listens on both families");
    assert_eq!(candidate.address.port(), port);
    candidate
}

/// An empty room.
pub fn create_router(router: RouterId) -> Command {
    Command::CreateRouter { router, app_data: AppData(format!("room {router}").into_bytes()) }
}

/// A transport in it.
pub fn create_transport(router: RouterId, transport: TransportId) -> Command {
    let app_data = AppData(format!("transport {transport}").into_bytes());
    Command::CreateTransport(CreateTransport { router, transport, app_data })
}

/// A microphone.
pub fn produce(transport: TransportId, producer: ProducerId) -> Produce {
    Produce {
        mid: Some(Text::new("0")),
        encodings: vec![fixtures::with_ssrc(SENT_SSRC)],
        app_data: AppData(b"microphone".to_vec()),
        ..fixtures::produce(transport, producer, fixtures::codec(Codec::Opus, SENT_PT))
    }
}

/// A microphone at the subscriber.
pub fn consume(transport: TransportId, producer: ProducerId, consumer: ConsumerId) -> Consume {
    let opus = fixtures::codec(Codec::Opus, RECEIVED_PT);
    Consume {
        mid: Some(Text::new("0")),
        app_data: AppData(b"loudspeaker".to_vec()),
        ..fixtures::consume(transport, producer, consumer, opus, RECEIVED_SSRC)
    }
}
