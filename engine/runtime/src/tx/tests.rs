//! Sending through an outbox, over real loopback sockets.

use super::*;
use crate::udp::loopback::{next, peer};
use crate::udp::open::SocketOptions;

/// What can be sent, by one loopback socket and with this batch.
fn io(batch: impl FnOnce(&Sockets) -> SendBatch) -> Io {
    let address = "127.0.0.1:0".parse().expect("an address");
    let sockets = Sockets::bind(&[address], &SocketOptions::default()).expect("loopback");
    let batch = batch(&sockets);
    Io { batch, ..Io::new(sockets) }
}

fn claim(tx: &mut impl Tx, flow: u32, path: Path, bytes: &[u8]) -> bool {
    match tx.slot(Flow(flow), path, bytes.len()) {
        Some(slot) => {
            slot.copy_from_slice(bytes);
            true
        }
        None => false,
    }
}

#[test]
fn a_full_batch_is_flushed_and_nothing_is_lost() {
    let mut io = io(|_| SendBatch::with_capacity(true, 4096, 3));
    let (socket, path) = peer();
    for index in 0..20u8 {
        assert!(claim(&mut io.tx(Instant::EPOCH), 0, path, &[index; 10]));
    }
    io.flush(Instant::EPOCH);
    assert_eq!((io.batch.stats().datagrams, io.batch.stats().dropped_full), (20, 0));
    for index in 0..20u8 {
        assert_eq!(next(&socket), [index; 10]);
    }
}

/// Forwarded datagrams leave in one run with their heads, and arrive as if they had been copied.
#[test]
fn forwarded_datagrams_are_sent_from_the_receive_arena() {
    let mut io = io(SendBatch::new);
    let (socket, path) = peer();
    let arena: Vec<u8> = (0..20_000u32).map(|at| (at * 7 / 5) as u8).collect();
    let mut tx = io.tx_receiving(Instant::EPOCH, &arena);
    let bodies = || (0..10).map(|index| &arena[index * 1_500 + 4..][..1_200]);
    for body in bodies() {
        assert!(tx.forward(Flow(0), path, b"head", body));
    }
    // A short body, and one outside of the arena: both are copied.
    assert!(tx.forward(Flow(1), path, &[], &arena[..10]));
    assert!(tx.forward(Flow(1), path, b"head", &[7; 600]));
    assert!(!tx.forward(Flow(1), path, b"head", &vec![0; DATAGRAM_BYTES_MAX]));
    let used = io.batch.used();
    // Twelve heads of a cache line each, one of them with a copied body of 600 bytes.
    assert!(used <= 10 * 64 + 2 * 640, "{used} bytes were copied");
    io.flush_received(Instant::EPOCH, &arena);
    for body in bodies() {
        assert_eq!(next(&socket), [b"head", body].concat());
    }
    assert_eq!(next(&socket), &arena[..10]);
    assert_eq!(next(&socket), [&b"head"[..], &[7; 600]].concat());
    assert_eq!((io.batch.stats().gso_runs, io.batch.stats().datagrams), (1, 12));
    assert!(io.batch.used() == 0 && !io.batch.has_received());
}

/// A forwarded datagram cannot be sent before the receive arena is available.
#[test]
fn a_batch_full_of_forwarded_datagrams_refuses_more_and_counts_them() {
    let mut io = io(|_| SendBatch::with_capacity(true, 4_096, 4));
    let (_socket, path) = peer();
    let arena = vec![1; 4_000];
    let mut tx = io.tx_receiving(Instant::EPOCH, &arena);
    let sent = (0..10).filter(|_| tx.forward(Flow(0), path, &[], &arena[..1_000])).count();
    assert_eq!((sent, io.batch.stats().dropped_full), (4, 6));
    io.flush_received(Instant::EPOCH, &arena);
    assert_eq!(io.batch.stats().datagrams, 4);
}

#[test]
fn a_large_batch_is_flushed_between_flows_and_a_small_one_waits() {
    let mut io = io(SendBatch::new);
    let (_socket, path) = peer();
    let half = SEND_FLOW_BYTES / 2;
    for flow in 0..4 {
        let mut tx = io.tx(Instant::EPOCH);
        for _ in 0..half / 1024 {
            assert!(claim(&mut tx, flow, path, &[flow as u8; 1024]));
        }
        tx.end_of_flow();
        assert_eq!(io.batch.used(), if flow % 2 == 0 { half } else { 0 });
    }
}
