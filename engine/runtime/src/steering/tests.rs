use super::*;
use crate::udp::open::SocketOptions;
use proptest::prelude::*;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::BorrowedFd;
use std::time::Duration;

const WORKERS: u16 = 8;
const NOW: Instant = Instant::from_nanos(1_000_000_000);

/// A check for this worker. `before`: attributes in front of USERNAME.
fn check(worker: u16, before: &[u8]) -> Vec<u8> {
    let name = [WorkerId(worker).ice_char().expect("below 64"), b'a', b'b', b'c', b':', b'x', b'y', b'z'];
    let mut bytes = vec![0, 1, 0, (before.len() + 12) as u8, 0x21, 0x12, 0xa4, 0x42];
    bytes.extend([7; 12]);
    bytes.extend(before);
    bytes.extend([0, 6, 0, 8]);
    bytes.extend(name);
    bytes
}

fn path(port: u16) -> Path {
    Path { local: LocalId(0), remote: SocketAddr::from(([192, 0, 2, 1], port)) }
}

fn shares(workers: usize) -> Vec<PortShare> {
    PortShare::of(workers, Steering::Hash, Vec::new())
}

#[test]
fn a_check_names_its_worker_wherever_its_name_is() {
    assert_eq!(named_worker(&check(5, &[])), Some(WorkerId(5)));
    let priority = [0, 0x24, 0, 4, 1, 2, 3, 4];
    assert_eq!(named_worker(&check(63, &priority)), Some(WorkerId(63)));
    assert_eq!(named_worker(&check(5, &priority.repeat(NAME_ATTRIBUTES_MAX))), None);
    let mut answer = check(5, &[]);
    answer[0] = 1;
    assert_eq!(named_worker(&answer), None);
    for len in 0..24 {
        assert_eq!(named_worker(&check(5, &[])[..len]), None);
    }
}

proptest! {
    #[test]
    fn any_bytes_have_a_worker_or_none(bytes: Vec<u8>) {
        let _ = named_worker(&bytes);
        let _ = read_stray(&mut bytes.clone());
    }
}

#[test]
fn a_stray_datagram_is_read_as_it_arrived() {
    for remote in ["192.0.2.7:1", "[2001:db8::1]:443"] {
        let path = Path { local: LocalId(3), remote: remote.parse().expect("an address") };
        let mut bytes = *b"media";
        let datagram = Datagram { path, received_at: Instant::from_nanos(12_345), bytes: &mut bytes };
        let mut envelope = write_head(&datagram).to_vec();
        envelope.extend(b"media");
        let stray = read_stray(&mut envelope).expect("a datagram");
        assert_eq!((stray.path, stray.received_at.as_nanos()), (path, 12_345));
        assert_eq!(stray.bytes, b"media");
    }
    assert!(read_stray(&mut [0; HEAD_BYTES - 1]).is_none());
}

#[test]
fn a_path_belongs_to_the_worker_that_claimed_it_first_until_it_is_released() {
    let mut shares = shares(2);
    let [one, other] = &mut shares[..] else { panic!("two workers") };
    one.on_claim(NOW, PathClaim::Claim(path(1)));
    other.on_claim(NOW, PathClaim::Claim(path(1)));
    assert_eq!((one.flows.owner(&path(1)), other.stats().claims_refused), (Some(WorkerId(0)), 1));
    // A worker cannot release what another one has.
    other.on_claim(NOW, PathClaim::Release(path(1)));
    assert_eq!(one.flows.owner(&path(1)), Some(WorkerId(0)));
    one.on_claim(NOW, PathClaim::Release(path(1)));
    other.on_claim(NOW, PathClaim::Claim(path(1)));
    assert_eq!(one.flows.owner(&path(1)), Some(WorkerId(1)));
}

#[test]
fn a_silent_path_may_be_claimed_by_another_worker_and_the_former_one_cannot_release_it() {
    let mut shares = shares(2);
    let [one, other] = &mut shares[..] else { panic!("two workers") };
    one.on_claim(NOW, PathClaim::Claim(path(1)));
    // A check renews the claim.
    let renewed = NOW + CLAIM_SILENCE_MAX;
    one.on_claim(renewed, PathClaim::Claim(path(1)));
    other.on_claim(renewed + CLAIM_SILENCE_MAX, PathClaim::Claim(path(1)));
    assert_eq!((other.stats().claims_refused, other.flows.owner(&path(1))), (1, Some(WorkerId(0))));
    let later = renewed + CLAIM_SILENCE_MAX + Duration::from_nanos(1);
    other.on_claim(later, PathClaim::Claim(path(1)));
    assert_eq!(other.flows.owner(&path(1)), Some(WorkerId(1)));
    // The former peer returns, and then its transport ends.
    one.on_claim(later, PathClaim::Claim(path(1)));
    assert_eq!((one.stats().claims_refused, one.claimed.contains(&path(1))), (1, false));
    one.on_claim(later, PathClaim::Release(path(1)));
    assert_eq!(one.flows.owner(&path(1)), Some(WorkerId(1)));
}

#[test]
fn claims_are_bounded_and_the_oldest_is_given_up() {
    let mut share = shares(1).pop().expect("one");
    for port in 0..=CLAIMS_MAX as u16 {
        share.on_claim(NOW, PathClaim::Claim(path(port)));
    }
    assert_eq!((share.claimed.len(), share.order.len()), (CLAIMS_MAX, CLAIMS_MAX));
    assert_eq!(share.flows.owner(&path(0)), None);
    assert_eq!(share.flows.owner(&path(1)), Some(WorkerId(0)));
    for _ in 0..3 {
        for port in 0..=CLAIMS_MAX as u16 {
            share.on_claim(NOW, PathClaim::Release(path(port)));
            assert!(share.order.len() <= 2 * share.claimed.len() + ORDER_SPARE + 1);
        }
        for port in 0..100 {
            share.on_claim(NOW, PathClaim::Claim(path(port)));
        }
    }
    let left: usize = share.flows.tables.iter().map(|table| table.read().expect("no panic").len()).sum();
    assert_eq!((left, share.claimed.len()), (100, 100));
}

#[test]
fn a_datagram_of_another_worker_is_handed_over_once_and_a_full_mailbox_drops_it() {
    let mut shares = shares(2);
    let [one, other] = &mut shares[..] else { panic!("two workers") };
    other.on_claim(NOW, PathClaim::Claim(path(1)));
    let passes = |share: &mut PortShare, path, bytes: &mut [u8]| {
        share.pass_on(&Datagram { path, received_at: Instant::EPOCH, bytes })
    };
    assert!(passes(one, path(1), &mut [128; 10]));
    assert!(passes(one, path(2), &mut check(1, &[])));
    assert!(!passes(one, path(2), &mut [128; 10]), "of no transport");
    assert!(!passes(one, path(2), &mut check(0, &[])));
    assert!(!passes(one, path(2), &mut check(2, &[])), "there is no third worker");
    let on_demand = Path { local: LocalId::on_demand(0), ..path(1) };
    assert!(!passes(one, on_demand, &mut [128; 10]), "of a socket that is not shared");
    assert!(!passes(other, path(1), &mut [128; 10]));
    assert!(passes(one, path(1), &mut [128; 3_000]), "too long for an envelope");
    let expected = SteeringStats { own: 3, handed_over: 2, dropped: 1, ..SteeringStats::default() };
    assert_eq!(one.stats(), expected);
    assert!(other.has_work());
    let mut envelope = other.receive().expect("the first one");
    assert_eq!(read_stray(envelope.bytes_mut()).expect("a datagram").bytes, [128; 10]);
    other.strays().recycle(envelope);
    while passes(one, path(1), &mut [128; 10]) && one.stats().dropped == 1 {}
    assert_eq!(one.stats().dropped, 2);
}

/// Sockets of as many workers at one address.
fn group(address: &str) -> Option<Vec<Sockets>> {
    let options = SocketOptions { share: true, ..SocketOptions::default() };
    let first = Sockets::bind(&[address.parse().expect("an address")], &options).ok()?;
    let address = first.local_addr(LocalId(0)).expect("bound");
    let others = (1..WORKERS).map(|_| Sockets::bind(&[address], &options).expect("shared"));
    Some(std::iter::once(first).chain(others).collect())
}

/// The number of the socket at which the datagram that was sent arrives.
fn arrives_at(group: &[Sockets]) -> usize {
    let sockets: Vec<BorrowedFd<'_>> = group.iter().map(|one| one.fd(LocalId(0)).expect("open")).collect();
    let sockets: Vec<UdpSocket> =
        sockets.iter().map(|fd| UdpSocket::from(fd.try_clone_to_owned().expect("a descriptor"))).collect();
    let mut bytes = [0; 2_000];
    loop {
        if let Some(at) = sockets.iter().position(|socket| socket.recv_from(&mut bytes).is_ok()) {
            return at;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

#[test]
fn the_kernel_steers_checks_by_their_name_and_flows_by_their_claim() {
    for (address, client_address) in [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0")] {
        for steering in [Steering::Extended, Steering::Classic] {
            let Some(group) = group(address) else { continue };
            let workers: Vec<&Sockets> = group.iter().collect();
            let mut shares = match PortShare::between(&workers, Some(steering)) {
                Ok(shares) => shares,
                Err(refused) => {
                    // Without CAP_BPF. The classic program needs no privilege.
                    assert_eq!(refused.steering, Steering::Extended, "{refused}");
                    assert_eq!(refused.source.kind(), io::ErrorKind::PermissionDenied, "{refused:?}");
                    let best = PortShare::between(&workers, None).expect("another way");
                    assert_eq!(best[0].steering(), Steering::Classic);
                    continue;
                }
            };
            let to = group[0].local_addr(LocalId(0)).expect("bound");
            for round in 0..3 * WORKERS {
                let worker = round % WORKERS;
                let client = UdpSocket::bind(client_address).expect("loopback");
                client.send_to(&check(worker, &[]), to).expect("sent");
                assert_eq!(arrives_at(&group), usize::from(worker), "a check, {steering:?}");
                if steering == Steering::Classic {
                    continue;
                }
                let path = Path { local: LocalId(0), remote: client.local_addr().expect("bound") };
                shares[usize::from(worker)].on_claim(NOW, PathClaim::Claim(path));
                for len in [1, 30, 1_200] {
                    client.send_to(&vec![0x90; len], to).expect("sent");
                    assert_eq!(arrives_at(&group), usize::from(worker), "media of {len} bytes");
                }
                // After the end of its transport, the address belongs to the next one.
                let next = (worker + 1) % WORKERS;
                shares[usize::from(worker)].on_claim(NOW, PathClaim::Release(path));
                shares[usize::from(next)].on_claim(NOW, PathClaim::Claim(path));
                client.send_to(&[0x90; 100], to).expect("sent");
                assert_eq!(arrives_at(&group), usize::from(next));
                // A later client may get this port.
                shares[usize::from(next)].on_claim(NOW, PathClaim::Release(path));
            }
            // No datagram makes the program fail: it goes somewhere.
            let client = UdpSocket::bind(client_address).expect("loopback");
            for byte in 0..=255 {
                let mut odd = check(0, &[]);
                odd[24] = byte;
                client.send_to(&odd, to).expect("sent");
                let at = arrives_at(&group);
                let named = WorkerId::of_ice_char(byte).filter(|worker| worker.0 < WORKERS);
                assert!(named.is_none_or(|worker| at == usize::from(worker.0)), "{byte} at {at}");
                client.send_to(&odd[..usize::from(byte) % 32], to).expect("sent");
                arrives_at(&group);
            }
        }
    }
}
