//! The batch alone, and over real loopback sockets.

use super::*;
use crate::udp::loopback::{next, peer};
use crate::udp::open::SocketOptions;
use proptest::prelude::*;
use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};

fn sockets(gso: bool) -> Sockets {
    let options = SocketOptions { gso, ..SocketOptions::default() };
    Sockets::bind(&["127.0.0.1:0".parse().expect("an address")], &options).expect("loopback")
}

/// None of these tests sends by TCP.
fn no_frames(path: Path, _frame: &[u8]) {
    panic!("a frame for {path:?}");
}

fn claim(batch: &mut SendBatch, flow: u32, path: Path, bytes: &[u8]) -> bool {
    match batch.slot(Flow(flow), path, bytes.len()) {
        Some(slot) => {
            slot.copy_from_slice(bytes);
            true
        }
        None => false,
    }
}

#[test]
fn datagrams_of_one_length_are_sent_as_one_run_and_received_unchanged() {
    let sockets = sockets(true);
    let (socket, path) = peer();
    let mut batch = SendBatch::new(&sockets);
    for index in 0..10u8 {
        assert!(claim(&mut batch, 0, path, &[index; 1200]));
    }
    assert!(claim(&mut batch, 0, path, &[10; 700]), "the last of a run may be shorter");
    batch.flush(&sockets, &[], no_frames);
    for index in 0..10u8 {
        assert_eq!(next(&socket), [index; 1200]);
    }
    assert_eq!(next(&socket), [10; 700]);
    let stats = batch.stats();
    assert_eq!((stats.datagrams, stats.bytes), (11, 12_700));
    assert_eq!((stats.runs, stats.gso_runs, stats.syscalls), (1, 1, 1));
    assert!(batch.slots.is_empty());
}

#[test]
fn a_longer_datagram_or_one_after_a_shorter_begins_another_run() {
    let sockets = sockets(true);
    let (socket, path) = peer();
    let mut batch = SendBatch::new(&sockets);
    for len in [100, 100, 60, 100, 100, 120, 0, 0, 100] {
        assert!(claim(&mut batch, 3, path, &vec![0xa5; len]));
    }
    batch.flush(&sockets, &[], no_frames);
    for len in [100, 100, 60, 100, 100, 120, 0, 0, 100] {
        assert_eq!(next(&socket).len(), len);
    }
    let stats = batch.stats();
    assert_eq!((stats.datagrams, stats.runs, stats.gso_runs), (9, 6, 2));
}

#[test]
fn a_run_ends_at_64_segments_and_at_65000_bytes() {
    let sockets = sockets(true);
    let (socket, path) = peer();
    let mut batch = SendBatch::new(&sockets);
    for _ in 0..65 {
        assert!(claim(&mut batch, 0, path, &[1; 20]));
    }
    batch.flush(&sockets, &[], no_frames);
    assert_eq!((batch.stats().runs, batch.stats().gso_runs), (2, 1));
    for _ in 0..65 {
        assert_eq!(next(&socket).len(), 20);
    }
    for _ in 0..8 {
        assert!(claim(&mut batch, 0, path, &[1; 9000]));
    }
    batch.flush(&sockets, &[], no_frames);
    assert_eq!((batch.stats().runs, batch.stats().gso_runs), (4, 2), "7 and 1");
    for _ in 0..8 {
        assert_eq!(next(&socket).len(), 9000);
    }
}

#[test]
fn a_thousand_datagrams_to_ten_flows_take_few_system_calls() {
    let sockets = sockets(true);
    let peers: Vec<_> = (0..10).map(|_| peer()).collect();
    let mut batch = SendBatch::new(&sockets);
    // As a fan-out does: packet by packet, all flows each. Ten flushes of bursts of ten.
    for burst in 0..10u8 {
        for packet in 0..10u8 {
            for (flow, (_, path)) in peers.iter().enumerate() {
                assert!(claim(&mut batch, flow as u32, *path, &[burst * 10 + packet; 1200]));
            }
        }
        batch.flush(&sockets, &[], no_frames);
        for (socket, _) in &peers {
            for packet in 0..10u8 {
                assert_eq!(next(socket), [burst * 10 + packet; 1200]);
            }
        }
    }
    let stats = batch.stats();
    assert_eq!((stats.datagrams, stats.syscalls, stats.gso_runs), (1000, 10, 100));
}

#[test]
fn without_gso_the_same_arrives() {
    let (with, without) = (sockets(true), sockets(false));
    assert!(!without.gso());
    for (sockets, runs) in [(&with, 4), (&without, 12)] {
        let (left, right) = (peer(), peer());
        let mut batch = SendBatch::new(sockets);
        for index in 0..6u8 {
            assert!(claim(&mut batch, 0, left.1, &vec![index; 300 + usize::from(index / 3)]));
            assert!(claim(&mut batch, 1, right.1, &vec![index; 800 - usize::from(index / 5)]));
        }
        assert!(batch.slots.len() == 12);
        batch.flush(sockets, &[], no_frames);
        for index in 0..6u8 {
            assert_eq!(next(&left.0), vec![index; 300 + usize::from(index / 3)]);
            assert_eq!(next(&right.0), vec![index; 800 - usize::from(index / 5)]);
        }
        assert!(batch.stats().runs <= runs, "{:?}", batch.stats());
        assert_eq!(batch.stats().datagrams, 12);
    }
}

#[test]
fn a_split_run_becomes_its_single_datagrams() {
    let run = Run {
        target: "127.0.0.1:9".parse().expect("an address"),
        first: 5,
        count: 3,
        pieces_each: 1,
        segment: 100,
        bytes: 230,
    };
    let mut runs = vec![run; 3];
    split(&mut runs, 1..2);
    let single = |first, bytes| Run { first, count: 1, bytes, ..run };
    assert_eq!(runs, [run, single(5, 100), single(6, 100), single(7, 30), run]);
}

#[test]
fn an_unreachable_destination_loses_its_own_datagrams_only() {
    let sockets = sockets(true);
    let (socket, path) = peer();
    let mut batch = SendBatch::new(&sockets);
    let port_zero = Path { remote: "127.0.0.1:0".parse().expect("an address"), ..path };
    let other_family = Path { remote: "[::1]:9".parse().expect("an address"), ..path };
    let no_such_socket = Path { local: LocalId(32), ..path };
    for flow in [0, 1] {
        assert!(claim(&mut batch, flow, path, &[1; 50]));
    }
    for (flow, path) in [(2, port_zero), (3, other_family), (4, no_such_socket)] {
        assert!(claim(&mut batch, flow, path, &[2; 50]));
        assert!(claim(&mut batch, flow, path, &[2; 50]));
    }
    assert!(claim(&mut batch, 0, path, &[3; 50]));
    batch.flush(&sockets, &[], no_frames);
    assert_eq!([next(&socket), next(&socket), next(&socket)], [[1; 50], [3; 50], [1; 50]]);
    let stats = batch.stats();
    assert_eq!((stats.datagrams, stats.errors), (3, 6), "{stats:?}");
    assert!(batch.gso, "other peers keep their runs");
}

#[test]
fn a_full_batch_refuses_datagrams_and_counts_them() {
    let sockets = sockets(true);
    let (_socket, path) = peer();
    let mut batch = SendBatch::with_capacity(true, 4096, 3);
    for _ in 0..3 {
        assert!(claim(&mut batch, 0, path, &[0; 10]));
    }
    assert!(!claim(&mut batch, 0, path, &[0; 10]), "no slot left");
    assert_eq!(batch.stats().dropped_full, 1);
    batch.flush(&sockets, &[], no_frames);
    assert!(claim(&mut batch, 0, path, &[0; 4000]));
    assert!(!claim(&mut batch, 0, path, &[0; 200]), "no bytes left");
    assert!(!claim(&mut batch, 0, path, &[0; 65_508]), "no datagram is that long");
    assert!(!claim(&mut batch, FLOWS_MAX as u32, path, &[0]), "no flow has that number");
    assert_eq!(batch.stats().dropped_full, 4);
    batch.flush(&sockets, &[], no_frames);
}

#[test]
fn a_cancelled_slot_is_not_sent_and_only_the_last_can_be_cancelled() {
    let sockets = sockets(true);
    let (socket, path) = peer();
    let mut batch = SendBatch::new(&sockets);
    batch.cancel();
    assert!(claim(&mut batch, 7, path, b"first"));
    batch.cancel();
    assert!(batch.slots.is_empty());
    assert!(claim(&mut batch, 7, path, b"second"));
    assert!(claim(&mut batch, 7, path, b"third"));
    batch.cancel();
    batch.cancel();
    assert!(claim(&mut batch, 7, path, b"fourth"));
    batch.flush(&sockets, &[], no_frames);
    batch.cancel();
    assert_eq!(next(&socket), b"second");
    assert_eq!(next(&socket), b"fourth");
    assert_eq!(batch.stats().datagrams, 2);
}

#[test]
fn each_socket_of_a_worker_sends_its_own_datagrams() {
    // A worker usually has two families; without IPv6, two addresses of one family show the same.
    let other = if UdpSocket::bind("[::1]:0").is_ok() { "[::1]:0" } else { "127.0.0.2:0" };
    let addresses = ["127.0.0.1:0", other].map(|address| address.parse().expect("an address"));
    let sockets = Sockets::bind(&addresses, &SocketOptions::default()).expect("loopback");
    let (socket, path) = peer();
    let six = UdpSocket::bind(other).expect("loopback");
    let six_path = Path { local: LocalId(1), remote: six.local_addr().expect("bound") };
    let mut batch = SendBatch::new(&sockets);
    for index in 0..4u8 {
        assert!(claim(&mut batch, 0, path, &[index; 90]));
        assert!(claim(&mut batch, 0, six_path, &[index; 90]));
    }
    batch.flush(&sockets, &[], no_frames);
    for index in 0..4u8 {
        assert_eq!(next(&socket), [index; 90]);
        assert_eq!(next(&six), [index; 90]);
    }
    assert_eq!(batch.stats().syscalls, 2);
}

/// A fake kernel with scripted results, one run per call. It records the runs that it accepts.
struct Scripted {
    answers: Vec<i32>,
    took: Vec<Run>,
}

impl Scripted {
    fn run(answers: &[i32], batch: &mut SendBatch) -> Vec<Run> {
        let mut kernel = Self { answers: answers.iter().rev().copied().collect(), took: Vec::new() };
        let mut plan = Plan::default();
        batch.plan_socket(LocalId(0), &mut plan);
        batch.transmit(&mut plan, |_, _, runs| match kernel.answers.pop() {
            None | Some(0) => {
                kernel.took.push(runs[0]);
                Ok(1)
            }
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
        });
        batch.clear();
        kernel.took
    }
}

/// Runs of three datagrams to as many peers.
fn runs_of_three(count: u16) -> SendBatch {
    let mut batch = SendBatch::with_capacity(true, 1 << 20, 1 << 10);
    for port in 1..=count {
        for _ in 0..3 {
            let remote = SocketAddr::from(([127, 0, 0, 1], port));
            assert!(claim(&mut batch, u32::from(port), Path { local: LocalId(0), remote }, &[0; 100]));
        }
    }
    batch
}

fn shape(took: &[Run]) -> Vec<(u16, u32)> {
    took.iter().map(|run| (run.target.port(), run.count)).collect()
}

#[test]
fn a_device_without_gso_gets_single_datagrams_from_then_on_and_loses_none() {
    let mut batch = runs_of_three(3);
    let took = Scripted::run(&[0, libc::EIO], &mut batch);
    assert_eq!(shape(&took), [(1, 3), (2, 1), (2, 1), (2, 1), (3, 1), (3, 1), (3, 1)]);
    assert!(!batch.gso);
    let stats = batch.stats();
    assert_eq!((stats.datagrams, stats.runs, stats.gso_runs, stats.errors), (9, 7, 1, 0));
}

#[test]
fn a_destination_that_refuses_runs_gets_single_datagrams_and_others_keep_theirs() {
    for errno in [libc::EINVAL, libc::EMSGSIZE] {
        let mut batch = runs_of_three(3);
        let took = Scripted::run(&[0, errno], &mut batch);
        assert_eq!(shape(&took), [(1, 3), (2, 1), (2, 1), (2, 1), (3, 3)]);
        assert!(batch.gso);
        assert_eq!((batch.stats().split_runs, batch.stats().datagrams), (1, 9));
    }
}

#[test]
fn a_full_socket_loses_only_the_run_that_it_did_not_accept() {
    let mut batch = runs_of_three(4);
    let took = Scripted::run(&[0, libc::EAGAIN, libc::EINTR, 0, libc::ENOBUFS], &mut batch);
    assert_eq!(shape(&took), [(1, 3), (3, 3)]);
    assert_eq!((batch.stats().dropped_wouldblock, batch.stats().datagrams), (6, 6));
}

#[test]
fn a_socket_that_stays_full_gets_a_bounded_number_of_attempts() {
    let mut batch = runs_of_three(50);
    let took = Scripted::run(&[libc::EAGAIN; 50], &mut batch);
    assert!(took.is_empty());
    assert_eq!((batch.stats().dropped_wouldblock, batch.stats().syscalls), (150, WOULD_BLOCK_TRIES as u64));
}

#[test]
fn after_any_errno_the_flush_ends_and_every_datagram_is_counted() {
    for errno in 1..134 {
        for at in 0..6 {
            let mut batch = runs_of_three(5);
            let mut answers = vec![0; at];
            answers.push(errno);
            Scripted::run(&answers, &mut batch);
            let stats = batch.stats();
            assert_eq!(stats.datagrams + stats.dropped_wouldblock + stats.errors, 15, "errno {errno}");
            assert!(stats.datagrams >= 12);
        }
    }
}

/// The naive model of a batch: the datagrams of each flow, in order.
type Naive = HashMap<u32, Vec<Vec<u8>>>;

#[derive(Clone, Debug)]
struct Claim {
    flow: u32,
    len: usize,
    port: u16,
    cancelled: bool,
}

fn claims() -> impl Strategy<Value = Vec<Claim>> {
    let claim = (0..6u32, prop_oneof![Just(100usize), 0..140usize], 1..3u16, prop::bool::weighted(0.1));
    let claim = claim.prop_map(|(flow, len, port, cancelled)| Claim { flow, len, port, cancelled });
    prop::collection::vec(claim, 0..300)
}

proptest! {
    /// For any order of claims, the plan holds every datagram once, in the order of its flow, and the kernel
    /// splits every run into exactly those datagrams.
    #[test]
    fn a_plan_agrees_with_a_naive_model(claims in claims(), gso in any::<bool>()) {
        let mut batch = SendBatch::with_capacity(gso, 1 << 16, 1 << 10);
        let mut naive = Naive::new();
        let mut plan = Plan::default();
        let mut order = Vec::new();
        for (index, claim) in claims.iter().enumerate() {
            let remote = SocketAddr::from(([127, 0, 0, 1], claim.port));
            let path = Path { local: LocalId(0), remote };
            let bytes = vec![index as u8; claim.len];
            let slot = batch.slot(Flow(claim.flow), path, claim.len).expect("room");
            slot.copy_from_slice(&bytes);
            if claim.cancelled {
                batch.cancel();
            } else {
                let list = naive.entry(claim.flow).or_default();
                if list.is_empty() {
                    order.push(claim.flow);
                }
                list.push(bytes);
            }
        }
        batch.plan_socket(LocalId(0), &mut plan);
        let expected: Vec<&Vec<u8>> = order.iter().flat_map(|flow| &naive[flow]).collect();
        let planned: Vec<&[u8]> =
            plan.pieces.iter().map(|p| &batch.arena[p.offset as usize..][..p.len as usize]).collect();
        prop_assert_eq!(planned, expected);
        let mut first = 0;
        for run in &plan.runs {
            prop_assert_eq!(run.first, first);
            first += run.count;
            let pieces = &plan.pieces[run.first as usize..first as usize];
            let (last, whole) = pieces.split_last().expect("a run has a datagram");
            prop_assert!(whole.iter().all(|piece| piece.len == u32::from(run.segment)));
            prop_assert!(last.len <= u32::from(run.segment) && (last.len > 0 || run.count == 1));
            prop_assert_eq!(pieces.iter().map(|piece| piece.len).sum::<u32>(), run.bytes);
            prop_assert!(gso || run.count == 1);
            prop_assert!(run.count as usize <= RUN_SEGMENTS_MAX && run.bytes as usize <= RUN_BYTES_MAX);
        }
        prop_assert_eq!(first as usize, plan.pieces.len());
        batch.clear();
        prop_assert!(batch.flows.iter().all(|list| list.first == NONE && list.last == NONE));
    }
}
