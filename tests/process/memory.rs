//! The engine's memory after rooms have closed. `make soak` does the same for longer and with real peers.

use crate::PATIENCE;
use crate::call::{ROUTER, create_router, create_transport};
use crate::controller::Controller;
use crate::engine::{Engine, free_ports};
use control::{
    Codec, Command, ConnectPlainTransport, CreatePlainTransport, Event, IpFamily, Produce, ProducerId,
    RouterId, TransportId, fixtures,
};
use oracle_rtp::header::Header;
use oracle_rtp::packet::Packet;
use oracle_util::marshal::Marshal;
use rustix::process::Signal;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Rooms of a round, tracks of each, and packets of each track: a full cache, and some more.
const ROOMS: u64 = 4;
const TRACKS: u8 = 12;
const PACKETS: u16 = 600;
const PAYLOAD: usize = 1_200;

/// Allowed in addition to twice the heap: code, stacks, rings, and the allocator's reserve.
const SPARE_BYTES: u64 = 16_000_000;

/// Heap and resident memory of the engine in bytes, from its log.
fn usage(engine: &Engine) -> (u64, u64) {
    let lines = |log: &str| log.lines().filter(|line| line.contains("memory in use")).count();
    let before = lines(&engine.log());
    engine.signal(Signal::USR1);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = engine.log();
        if lines(&log) > before && log.ends_with('\n') {
            let line = log.lines().rfind(|line| line.contains("memory in use")).unwrap();
            let field = |name: &str| {
                let value = line.split_whitespace().find_map(|word| word.strip_prefix(name));
                value.unwrap_or_else(|| panic!("no {name} in {line}")).parse().unwrap()
            };
            return (field("heap="), field("resident="));
        }
        assert!(Instant::now() < deadline, "not in the log: {log}");
        sleep(Duration::from_millis(10));
    }
}

/// A room with a plain transport on which tracks of video arrive until their caches are full.
fn fill_room(controller: &mut Controller, socket: &UdpSocket, round: u64, room: u64) -> RouterId {
    let id = 1_000 * (round + 1) + 100 * room;
    let (router, transport) = (RouterId(id), TransportId(id));
    controller.demand(create_router(router));
    let create = CreatePlainTransport {
        router,
        transport,
        family: IpFamily::V4,
        rtcp_mux: true,
        comedia: false,
        srtp: None,
        app_data: Default::default(),
    };
    let Event::PlainTransportCreated { address, .. } =
        controller.request(Command::CreatePlainTransport(create))
    else {
        panic!("no plain transport")
    };
    let remote = socket.local_addr().ok();
    let connect = ConnectPlainTransport { transport, remote, rtcp_remote: None, srtp: None };
    controller.demand(Command::ConnectPlainTransport(connect));
    for track in 0..TRACKS {
        let (producer, codec) = (ProducerId(id + u64::from(track)), fixtures::codec(Codec::Vp8, 96 + track));
        controller.demand(Command::Produce(Produce {
            encodings: vec![fixtures::with_ssrc(u32::from(track) + 1)],
            ..fixtures::produce(transport, producer, codec)
        }));
        // One that stays, between those that are closed.
        let stays = TransportId(id + 50 + u64::from(track));
        controller.request(create_transport(ROUTER, stays));
    }
    for seq in 0..PACKETS {
        for track in 0..TRACKS {
            let header = Header {
                version: 2,
                payload_type: 96 + track,
                sequence_number: seq,
                timestamp: u32::from(seq) * 3_000,
                ssrc: u32::from(track) + 1,
                ..Header::default()
            };
            let packet = Packet { header, payload: vec![0x90; PAYLOAD].into() };
            socket.send_to(&packet.marshal().unwrap(), address).unwrap();
        }
        // The socket's buffer holds some of these; a lost one is missing in a cache.
        if seq % 8 == 0 {
            sleep(Duration::from_millis(1));
        }
    }
    router
}

#[test]
fn memory_of_closed_rooms_is_released_to_the_system() {
    let first = free_ports();
    let ports = format!("{first}-{}", first + 7);
    let mut engine = Engine::start_with(&["--workers", "1", "--plain-ports", &ports]);
    let mut controller = engine.attach();
    controller.demand(create_router(ROUTER));
    let socket = UdpSocket::bind((IpAddr::from(Ipv4Addr::LOCALHOST), 0)).unwrap();
    let mut most = 0;
    for round in 0..3 {
        let rooms: Vec<RouterId> =
            (0..ROOMS).map(|room| fill_room(&mut controller, &socket, round, room)).collect();
        most = usage(&engine).1.max(most);
        // In another order than they were created.
        for router in rooms.iter().skip(1).step_by(2).chain(rooms.iter().step_by(2)) {
            controller.demand(Command::CloseRouter { router: *router });
        }
    }
    let deadline = Instant::now() + 6 * PATIENCE;
    let (heap, resident) = loop {
        let (heap, resident) = usage(&engine);
        if resident <= 2 * heap + SPARE_BYTES {
            break (heap, resident);
        }
        assert!(Instant::now() < deadline, "{resident} bytes resident, {heap} in use, {most} at most");
        sleep(Duration::from_millis(500));
    };
    eprintln!("{most} bytes resident at most; {resident} when all rooms are closed, {heap} of them in use");
    assert!(most > resident + 20_000_000, "too little came and went: {most} at most, {resident} at the end");
    assert!(engine.is_running());
}
