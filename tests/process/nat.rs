//! Calls through real NATs, made of network namespaces: the peers are on one side, engine and TURN server on
//! the other.

use crate::call::{
    CONSUMER, Call, Family, PRODUCER, PUBLISHING, ROUTER, SUBSCRIBING, consume, create_router, join, produce,
};
use crate::caller::Caller;
use crate::controller::Controller;
use crate::engine::{Engine, binary, socket_path};
use crate::network::{Internet, Mapping, NAT, SERVER};
use crate::relayed::{PASSWORD, TURN_PORT, TurnServer, mapped};
use control::{Command, TransportId};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// Maximum turns of a peer from joining until the call is connected, through any NAT. A turn waits for a
/// datagram for at most 5 ms, so this is three seconds; turns are counted, because a busy machine is slow.
const CALL_UP_TURNS_MAX: u32 = 600;

/// In a separate network.
const RTC_PORT: u16 = 7000;

/// Engine and TURN server, reached through a NAT.
struct Service {
    internet: Internet,
    engine: Engine,
    turn: TurnServer,
}

impl Service {
    fn behind(mapping: Mapping) -> Self {
        let internet = Internet::new(mapping);
        let socket = socket_path();
        let mut command = internet.server.command(binary("leat-engine"));
        command.args([
            "--rtc-port",
            &RTC_PORT.to_string(),
            "--listen-ip",
            &SERVER.to_string(),
            "--workers",
            "1",
        ]);
        command.arg("--control-socket").arg(&socket).env("LEAT_LOG", "debug");
        let engine = Engine::start_by(command, RTC_PORT, socket);
        let turn = TurnServer::start(&internet.server, SocketAddr::from((SERVER, RTC_PORT)));
        Self { internet, engine, turn }
    }

    /// The logs of engine and TURN server are about these calls, and have nothing of what they must not show.
    #[track_caller]
    fn assert_logs_are_redacted(&self) {
        let (engine, turn) = (self.engine.log(), self.turn.said());
        assert!(engine.contains("engine is up"), "{engine}");
        assert!(turn.contains("allocation made") && turn.contains(" client=[redacted] "), "{turn}");
        let client = "192.168.7.2";
        for hidden in [client, &NAT.to_string(), PASSWORD] {
            assert!(!engine.contains(hidden) && !turn.contains(hidden), "{hidden} is in {engine}{turn}");
        }
    }

    /// A call of two peers behind the NAT that reach the engine in this way: connected within the bound, and
    /// audible.
    fn call(&self, reach: impl Fn(&mut Caller) + Send + Sync) -> [SocketAddr; 2] {
        let mut controller = Controller::attach(&self.engine.socket);
        controller.demand(create_router(ROUTER));
        self.internet.client.live(move || {
            let mut publisher = join(&self.engine, &mut controller, PUBLISHING, Family::V4);
            let mut subscriber = join(&self.engine, &mut controller, SUBSCRIBING, Family::V4);
            [&mut publisher, &mut subscriber].into_iter().for_each(&reach);
            controller.demand(Command::Produce(produce(PUBLISHING, PRODUCER)));
            controller.demand(Command::Consume(consume(SUBSCRIBING, PRODUCER, CONSUMER)));
            for caller in [&mut publisher, &mut subscriber] {
                caller.run_until_within(CALL_UP_TURNS_MAX, "connected", |caller| caller.is_connected());
            }
            let addresses = [&publisher, &subscriber].map(Caller::address);
            let mut call = Call::of(publisher, subscriber);
            call.publish(50);
            addresses
        })
    }

    /// The ports that the NAT gives one socket for two destinations, and the socket's own port.
    fn ports(&self) -> (u16, [u16; 2]) {
        self.internet.client.live(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            let seen = [TURN_PORT, TURN_PORT + 1].map(|port| mapped(&socket, port));
            assert!(seen.iter().all(|address| address.ip() == NAT), "{seen:?}");
            (socket.local_addr().unwrap().port(), seen.map(|address| address.port()))
        })
    }
}

#[test]
fn behind_a_nat_that_keeps_ports_a_call_connects_directly() {
    let service = Service::behind(Mapping::PortPreserving);
    let (own, seen) = service.ports();
    assert_eq!(seen, [own, own]);
    let addresses = service.call(|_| {});
    assert!(addresses.iter().all(|address| address.ip().to_string() == "192.168.7.2"), "{addresses:?}");
}

#[test]
fn behind_a_symmetric_nat_a_call_connects_directly() {
    let service = Service::behind(Mapping::Symmetric);
    let (own, seen) = service.ports();
    assert!(seen[0] != seen[1] && !seen.contains(&own), "{own} is seen as {seen:?}");
    service.call(|_| {});
}

#[test]
fn behind_a_nat_with_only_the_turn_ports_open_a_call_connects_by_relays() {
    for mapping in [Mapping::PortPreserving, Mapping::Symmetric] {
        let service = Service::behind(mapping);
        service.internet.block_udp_except(&format!("{TURN_PORT},{}", TURN_PORT + 1));
        // Nothing reaches the engine directly.
        service.internet.client.live(|| {
            let mut controller = Controller::attach(&service.engine.socket);
            controller.demand(create_router(ROUTER));
            let mut blocked = join(&service.engine, &mut controller, TransportId(90), Family::V4);
            blocked.run_for(Duration::from_millis(500));
            assert!(!blocked.is_connected(), "{mapping:?}: the engine is reached past the block");
        });
        service.call(Caller::go_by_relay);
        service.assert_logs_are_redacted();
    }
}
