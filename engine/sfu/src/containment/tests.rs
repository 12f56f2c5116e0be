use super::*;
use crate::shard::Config;
use control::Counter;
use machine::Rng;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The lengths of the datagrams to send.
struct Batch {
    sent: Vec<usize>,
    arena: [u8; 64],
}

impl Default for Batch {
    fn default() -> Self {
        Self { sent: Vec::new(), arena: [0; 64] }
    }
}

impl Tx for Batch {
    fn slot(&mut self, _: Flow, _: Path, len: usize) -> Option<&mut [u8]> {
        self.sent.push(len);
        self.arena.get_mut(..len)
    }

    fn cancel(&mut self) {
        self.sent.pop();
    }

    fn prefetch<T: ?Sized>(&self, _soon: &T) {}

    fn end_of_flow(&mut self) {}

    fn forward(&mut self, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool {
        machine::forward_by_copy(self, flow, path, head, body)
    }

    fn hand_off(&mut self, _worker: WorkerId, _head: &[u8], _body: &[u8]) -> bool {
        false
    }

    fn hand_off_buffer(&mut self, _worker: WorkerId, _head: &[u8], _body: Box<[u8]>) -> bool {
        false
    }
}

#[test]
fn slot_half_written_by_a_panicking_call_is_not_sent_and_earlier_ones_are() {
    let path = Path { local: LocalId(0), remote: SocketAddr::from(([192, 0, 2, 1], 1)) };
    let mut batch = Batch::default();
    let mut earlier = Guarded { tx: &mut batch, has_claimed: false };
    earlier.slot(Flow(1), path, 1);
    for claimed in [&[][..], &[2], &[2, 3]] {
        batch.sent.truncate(1);
        let mut guarded = Guarded { tx: &mut batch, has_claimed: false };
        for len in claimed {
            guarded.slot(Flow(1), path, *len);
        }
        guarded.cancel_last();
        let whole = &claimed[..claimed.len().saturating_sub(1)];
        assert_eq!(batch.sent[..], [&[1], whole].concat(), "after {claimed:?}");
    }
    let mut guarded = Guarded { tx: &mut batch, has_claimed: false };
    guarded.slot(Flow(1), path, 2);
    guarded.cancel();
    guarded.cancel_last();
    assert_eq!(batch.sent, [1, 2], "a cancelled slot is not cancelled twice");
}

/// An empty shard whose faults are collected.
fn contained() -> (Contained, Arc<Mutex<Vec<Fault>>>) {
    let config = Config {
        candidates: Vec::new(),
        plain_ips: Vec::new(),
        shares_port_as: None,
        certificate: dtls::Certificate::generate(),
        dtls: dtls::Settings::new(dtls::Options::default()),
        grace_period: Duration::from_secs(60),
        consent_timeout: Some(crate::limits::ICE_CONSENT_TIMEOUT),
    };
    let faults = Arc::new(Mutex::new(Vec::new()));
    let report = faults.clone();
    let shard = Shard::new(config, Rng::from_number(1));
    (Contained::new(shard, move |fault| report.lock().expect("no panic here").push(fault)), faults)
}

fn at(ms: u64) -> Instant {
    Instant::EPOCH + Duration::from_millis(ms)
}

/// A call that changes the shard and then unwinds like a panic.
fn panic_after(contained: &mut Contained, ms: u64, stage: Stage, change: impl FnOnce(&mut Shard)) {
    let done: Option<()> = contained.call(at(ms), stage, &mut NoTx, |shard, _| {
        change(shard);
        std::panic::resume_unwind(Box::new("a bug"))
    });
    assert_eq!(done, None);
}

#[test]
fn panics_before_a_transport_is_known_are_counted_and_replace_nothing() {
    let (mut contained, faults) = contained();
    for _ in 0..100 {
        panic_after(&mut contained, 1_000, Stage::Datagram, |_| {});
    }
    assert_eq!(contained.shard().counters().value(Counter::Panics), 100);
    assert_eq!(contained.shard().counters().value(Counter::ShardsReplaced), 0);
    let reported = std::mem::take(&mut *faults.lock().expect("no panic here"));
    assert_eq!(reported.len(), limits::FAULTS_REPORTED_MAX as usize, "the others are counted");
    assert!(reported.iter().all(|fault| fault.message == "a bug" && fault.replaced.is_none()));
    panic_after(&mut contained, 60_000, Stage::Datagram, |_| {});
    let unreported = faults.lock().expect("no panic here")[0].unreported;
    assert_eq!(unreported, 100 - u64::from(limits::FAULTS_REPORTED_MAX));
}

#[test]
fn panics_that_are_far_apart_replace_nothing_and_those_that_are_not_do() {
    let (mut contained, faults) = contained();
    let apart = limits::PANIC_WINDOW.as_millis() as u64 / (limits::PANICS_MAX as u64 - 1);
    for nth in 1..20 {
        panic_after(&mut contained, nth * apart, Stage::Timer, |_| {});
    }
    assert!(faults.lock().expect("no panic here").iter().all(|fault| fault.replaced.is_none()));
    for nth in 0..limits::PANICS_MAX as u64 {
        panic_after(&mut contained, 1_000_000 + nth, Stage::Timer, |_| {});
    }
    let last = faults.lock().expect("no panic here").last().cloned().expect("reported");
    assert_eq!(last.replaced, Some(Replaced::Repeated));
    assert_eq!(contained.shard().counters().value(Counter::ShardsReplaced), 1);
}

#[test]
fn panic_that_leaves_tables_inconsistent_replaces_the_shard_at_once() {
    let (mut contained, faults) = contained();
    panic_after(&mut contained, 1, Stage::Command, |shard| {
        shard.parts().0.router_ids.insert(control::RouterId(7), crate::base::slots::Slot::from_bits(0));
    });
    let fault = faults.lock().expect("no panic here").pop().expect("reported");
    assert!(matches!(fault.replaced, Some(Replaced::Inconsistent(_))), "{fault:?}");
    assert_eq!(contained.shard().check_consistency(), Ok(()));
}

#[test]
fn buffers_taken_by_a_stage_are_restored_after_a_panic() {
    let (mut contained, faults) = contained();
    panic_after(&mut contained, 1, Stage::BatchEnd, |shard| drop(std::mem::take(shard.parts().1)));
    let fault = faults.lock().expect("no panic here").pop().expect("reported");
    assert_eq!(fault.replaced, None);
    assert_eq!(contained.shard().check_consistency(), Ok(()));
}

#[test]
fn read_that_panics_causes_a_timer_call_and_is_counted_once() {
    let (mut contained, faults) = contained();
    let answer: Option<Instant> = contained.read(|_| std::panic::resume_unwind(Box::new("a bug")));
    assert_eq!((answer, contained.next_timeout()), (None, Some(Instant::EPOCH)));
    contained.on_timeout(at(1), &mut NoTx);
    assert_eq!(contained.shard().counters().value(Counter::Panics), 1);
    assert_eq!(contained.next_timeout(), None);
    assert_eq!(faults.lock().expect("no panic here").len(), 1);
}
