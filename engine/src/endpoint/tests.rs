use super::*;
use control::page::Section;
use runtime::framing::QueueCounts;
use runtime::{ConnectionStats, LatencyHistogram, LoopStats, MailboxStats, ReceiveStats, SendStats};

#[test]
fn the_statistics_page_ends_with_what_sockets_connections_and_mailboxes_lost() {
    let received = ReceiveStats {
        dropped_by_kernel: 1,
        dropped_truncated: 20,
        dropped_source: 2,
        errors: 3,
        ..ReceiveStats::default()
    };
    let sent = SendStats { dropped_wouldblock: 4, dropped_full: 5, errors: 6, ..SendStats::default() };
    let turns = LoopStats { turns: 7, ..LoopStats::default() };
    let connections = ConnectionStats {
        open: 10,
        accepted: 11,
        refused: 12,
        closed_unproven: 13,
        closed_malformed: 14,
        closed_idle: 15,
        closed_by_peer: 16,
        // The driver counts these for a shard.
        closed_by_machine: 0,
        frames_in: 17,
        bytes_in: 18,
        queued: QueueCounts { sent: 19, dropped_full: 20, dropped_late: 21 },
        dropped_closed: 22,
    };
    let mailboxes = MailboxStats { sent: 23, dropped: 24, received: 25, wakes: 26 };
    let (now, forwarding) = (Instant::from_nanos(8), LatencyHistogram::default());
    let report = Report { now, turns, received, sent, mailboxes, connections, steering: None, forwarding };
    let mut page = vec![0xa5; 7];
    write_statistics(&Counters::default(), &report, &mut page);
    assert_eq!(page.len(), STATISTICS_WORDS);
    assert_eq!(Counters::from_page(&page), Counters::default());
    assert_eq!(page::section(&page, Section::Loop), [7, 0, 0, 8]);
    assert_eq!(page::section(&page, Section::Sockets), [1, 22, 3, 4, 5, 6]);
    assert_eq!(
        page::section(&page, Section::Connections),
        [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22]
    );
    assert_eq!(page::section(&page, Section::Mailboxes), [23, 24, 25, 26]);
}

/// An endpoint with an attached controller, and the controller's end of the ring.
struct Attached {
    endpoint: Endpoint,
    controller: shm::Attachment,
    _orders: Sender<Order>,
    _poll: mio::Poll,
    listener: shm::Listener,
    path: std::path::PathBuf,
}

impl Attached {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leat-endpoint-{name}-{}.sock", std::process::id()));
        let mut listener = shm::Listener::bind(&path, 1, control::PROTOCOL_VERSION).expect("a socket");
        let at = path.clone();
        let controller = std::thread::spawn(move || {
            shm::attach(at, control::PROTOCOL_VERSION, Duration::from_secs(10)).expect("let in")
        });
        let mut ends = loop {
            match listener.poll() {
                Some(shm::ListenerEvent::Attached(ends)) => break ends,
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let poll = mio::Poll::new().expect("a poll");
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(9)).expect("a waker"));
        let (orders, orders_out) = crossbeam_channel::bounded(4);
        let (notices, _) = crossbeam_channel::bounded(4);
        let mut endpoint = Endpoint::new(0, orders_out, notices, waker, Board::default());
        orders.send(Order::Attach { attachment: 1, end: Box::new(ends.remove(0)) }).expect("room");
        assert!(endpoint.on_wake(poll.registry()).is_continue());
        let controller = controller.join().expect("attached");
        Self { endpoint, controller, _orders: orders, _poll: poll, listener, path }
    }

    /// The controller sends a command, rings, and the worker handles its doorbell.
    fn command(&mut self, request: u64) {
        let mut record = Vec::new();
        Request { id: control::RequestId(request), command: control::Command::Snapshot }.encode(&mut record);
        let end = &mut self.controller.workers[0];
        end.commands.push(&record).expect("room");
        end.peer_doorbell.ring();
        self.endpoint.on_ready();
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = &self.listener;
        for left in [self.path.clone(), self.path.with_extension("sock.lock")] {
            let _ = std::fs::remove_file(left);
        }
    }
}

#[test]
fn worker_does_not_sleep_on_commands_deferred_by_a_full_event_ring() {
    let mut attached = Attached::new("deferred");
    let mut pushed = 0;
    while attached.endpoint.can_take_event() {
        attached.endpoint.push_event(Event::Done { request: control::RequestId(pushed) });
        pushed += 1;
    }
    attached.command(77);
    assert!(attached.endpoint.next_command().is_none(), "the pending event goes first");
    assert!(attached.endpoint.may_sleep(), "nothing to do until the controller reads");
    assert_eq!(attached.endpoint.retry_after(), Some(PENDING_RETRY));

    let mut record = Vec::new();
    while attached.controller.workers[0].events.pop(&mut record).expect("sound").is_some() {}
    // The worker's next turn: commands, then events.
    assert!(attached.endpoint.next_command().is_none());
    assert!(attached.endpoint.can_take_event(), "there is room again");
    assert!(!attached.endpoint.may_sleep(), "a command is unread, and its doorbell has been cleared");
    let command = attached.endpoint.next_command();
    assert!(matches!(command, Some(Input::Request(Request { id: control::RequestId(77), .. }))));
    assert!(attached.endpoint.next_command().is_none());
    assert!(attached.endpoint.may_sleep(), "nothing to do");
}
