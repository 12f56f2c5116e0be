//! Transitions, without sleeping.

use super::*;
use proptest::prelude::*;
use std::sync::Mutex;
use stores::sessions::{Pending, SessionsChanged, SessionsError};
use tokio::sync::broadcast;

const IDLE_AFTER: Duration = Duration::from_secs(300);

/// A board with its clock.
struct World {
    board: Board,
    start: Now,
    at: Duration,
}

impl World {
    fn new() -> Self {
        Self {
            board: Board::new(Arc::new(MemorySessions::default()), IDLE_AFTER),
            start: Now::read(),
            at: Duration::ZERO,
        }
    }

    fn now(&self) -> Now {
        let Now { instant, unix_ms } = self.start;
        Now { instant: instant + self.at, unix_ms: unix_ms + self.at.as_millis() as u64 }
    }

    fn wait(&mut self, time: Duration) -> Vec<(String, PresenceState)> {
        self.at += time;
        let now = self.now();
        short(self.board.tick(now))
    }

    fn join(&mut self, peer: u64, user: &str) -> Option<Transition> {
        let now = self.now();
        self.board.join(peer, room(), user, user, true, now)
    }

    fn report(&mut self, peer: u64, state: PresenceState) -> Option<PresenceState> {
        let now = self.now();
        let transition = self.board.report(peer, state, now).expect("not too often");
        transition.map(|transition| transition.presence.state)
    }

    fn set_connected(&mut self, peer: u64, is_connected: bool) -> Option<PresenceState> {
        let now = self.now();
        self.board.set_connected(peer, is_connected, now).map(|transition| transition.presence.state)
    }

    fn leave(&mut self, peer: u64) -> Option<PresenceState> {
        let now = self.now();
        self.board.leave(peer, now).map(|transition| transition.presence.state)
    }

    fn state(&self, user: &str) -> Option<PresenceState> {
        self.board.of(&room(), user).map(|presence| presence.state)
    }
}

fn room() -> RoomRef {
    RoomRef::new("default", "lobby")
}

fn short(transitions: Vec<Transition>) -> Vec<(String, PresenceState)> {
    transitions.into_iter().map(|it| (it.presence.user, it.presence.state)).collect()
}

use PresenceState::{Active, Away, Idle};

#[test]
fn user_becomes_idle_without_activity_and_active_with_it() {
    let mut world = World::new();
    let joined = world.join(1, "ann").expect("a transition");
    assert!(!joined.was_present && joined.presence.state == Active);
    assert_eq!(world.wait(IDLE_AFTER - Duration::from_millis(1)), []);
    assert_eq!(world.report(1, Active), None, "activity changes nothing");
    assert_eq!(world.wait(IDLE_AFTER - Duration::from_millis(1)), []);
    assert_eq!(world.wait(Duration::from_millis(1)), [("ann".to_owned(), Idle)]);
    assert_eq!(world.wait(10 * IDLE_AFTER), [], "no second timer");
    let presence = world.board.of(&room(), "ann").expect("present");
    assert_eq!(
        presence.since_ms,
        world.start.unix_ms + 2 * IDLE_AFTER.as_millis() as u64 - 1,
        "of the transition"
    );
    assert_eq!(world.report(1, Active), Some(Active));
    assert_eq!(world.wait(IDLE_AFTER), [("ann".to_owned(), Idle)], "the timer runs again");
}

#[test]
fn most_active_peer_of_a_user_counts() {
    let mut world = World::new();
    world.join(1, "ann");
    assert_eq!(world.report(1, Idle), Some(Idle));
    let second = world.join(2, "ann").expect("now active");
    assert!(second.was_present && second.presence.state == Active);
    assert_eq!(world.report(1, Away), None, "the other peer is active");
    assert_eq!(world.set_connected(2, false), Some(Away));
    assert_eq!(world.report(1, Idle), Some(Idle));
    assert_eq!(world.set_connected(2, true), Some(Active), "as before the loss");
    assert_eq!(world.leave(2), Some(Idle));
    assert_eq!(world.leave(1), Some(Away));
}

#[test]
fn last_peer_leaves_with_away_and_the_user_is_gone() {
    let mut world = World::new();
    world.join(1, "ann");
    world.join(2, "bob");
    assert_eq!(world.leave(1), Some(Away));
    assert_eq!(world.state("ann"), None);
    assert_eq!(world.board.users(&room()).len(), 1);
    // AWAY was sent when the connection was lost.
    assert_eq!(world.set_connected(2, false), Some(Away));
    assert_eq!(world.leave(2), None);
    assert_eq!(world.leave(2), None);
    assert!(world.board.rooms.is_empty() && world.board.peers.is_empty() && world.board.idle_at.is_empty());
}

#[test]
fn peer_of_a_former_process_is_away_until_it_resumes() {
    let mut world = World::new();
    let now = world.now();
    let found = world.board.join(1, room(), "ann", "Ann", false, now).expect("a transition");
    assert_eq!(found.presence.state, Away);
    assert_eq!(world.set_connected(1, true), Some(Active));
}

#[test]
fn frequent_changes_are_refused_and_frequent_activity_is_not() {
    let mut world = World::new();
    world.join(1, "ann");
    (0..1_000).for_each(|_| assert_eq!(world.report(1, Active), None));
    let now = world.now();
    let mut change =
        |number: u32| world.board.report(1, if number.is_multiple_of(2) { Idle } else { Active }, now);
    let burst = limits::PRESENCE_CHANGES_BURST as u32;
    for number in 0..burst {
        assert!(change(number).expect("within the burst").is_some(), "{number}");
    }
    let pause = change(burst).expect_err("too often");
    assert_eq!(pause, Duration::from_secs(2));
    world.at += pause;
    assert_eq!(world.report(1, Idle), Some(Idle));
}

#[test]
fn slow_watcher_is_closed_and_counted() {
    let mut world = World::new();
    world.join(1, "ann");
    let mut slow = world.board.watch(&room());
    assert_eq!(slow.users, world.board.users(&room()));
    for _ in 0..limits::PRESENCE_QUEUE_LEN / 2 {
        world.set_connected(1, false);
        world.set_connected(1, true);
    }
    assert_eq!((world.board.slow_watchers(), slow.has_overflowed()), (0, false));
    let mut quick = world.board.watch(&room());
    world.set_connected(1, false);
    assert_eq!((world.board.slow_watchers(), slow.has_overflowed()), (1, true));
    world.set_connected(1, true);
    assert_eq!(world.board.slow_watchers(), 1, "counted once");
    // What was queued is still delivered, and then the end.
    for _ in 0..limits::PRESENCE_QUEUE_LEN {
        assert!(slow.receiver.try_recv().is_ok());
    }
    assert_eq!(slow.receiver.try_recv().expect_err("closed"), mpsc::error::TryRecvError::Disconnected);
    assert_eq!(quick.receiver.try_recv().map(|presence| presence.state), Ok(Away));
    assert!(!quick.has_overflowed());
}

#[test]
fn room_without_users_and_watchers_is_removed() {
    let mut world = World::new();
    let watch = world.board.watch(&room());
    world.wait(Duration::from_secs(1));
    assert_eq!(world.board.rooms.len(), 1);
    drop(watch);
    world.wait(Duration::from_secs(1));
    assert!(world.board.rooms.is_empty());
}

#[test]
fn peers_at_other_processes_count() {
    let other = |peer: &str, user: &str, state| PeerSession {
        peer: peer.into(),
        user: user.into(),
        display_name: user.into(),
        state,
        since_ms: 5,
    };
    let mut world = World::new();
    world.join(1, "ann");
    world.set_connected(1, false);
    let now = world.now();
    let others = [other("00000000000000aa", "ann", Idle), other("00000000000000ab", "cid", Active)];
    let changed = short(world.board.set_others(&room(), &others, now));
    assert_eq!(changed, [("ann".to_owned(), Idle), ("cid".to_owned(), Active)]);
    assert_eq!(short(world.board.set_others(&room(), &others, now)), [], "no change");
    // Its user is still in the room, elsewhere.
    assert_eq!(world.leave(1), None);
    assert_eq!(world.state("ann"), Some(Idle));
    let changed = short(world.board.set_others(&room(), &others[1..], now));
    assert_eq!(changed, [("ann".to_owned(), Away)]);
    assert_eq!(world.state("ann"), None);
    // The former process of a peer that has resumed here still lists it.
    world.join(2, "bob");
    world.set_connected(2, false);
    let stale = [other("0000000000000002", "bob", Active)];
    assert_eq!(short(world.board.set_others(&room(), &stale, now)), [("cid".to_owned(), Away)]);
    assert_eq!(world.state("bob"), Some(Away));
    // An unknown room is ignored.
    assert_eq!(world.board.set_others(&RoomRef::new("default", "other"), &others, now), []);
}

#[test]
fn rooms_that_may_have_changed_are_read_once() {
    let mut world = World::new();
    world.join(1, "ann");
    assert_eq!(world.board.next_unread(), Some(room()), "a new room");
    assert_eq!(world.board.next_unread(), None);
    world.board.mark_unread(Some(RoomRef::new("default", "unknown")));
    assert_eq!(world.board.next_unread(), None);
    world.board.mark_unread(Some(room()));
    world.board.mark_unread(None);
    assert_eq!(world.board.next_unread(), Some(room()));
    world.board.mark_shared_unread();
    assert_eq!(world.board.next_unread(), None, "no user is elsewhere");
}

/// Counts writes.
#[derive(Default)]
struct CountingStore(Mutex<Vec<String>>);

impl Sessions for CountingStore {
    fn put(&self, _: &RoomRef, session: PeerSession) {
        self.0.lock().expect("a log").push(format!("{} {:?}", session.user, session.state));
    }
    fn remove(&self, _: &RoomRef, peer: &str) {
        self.0.lock().expect("a log").push(format!("-{peer}"));
    }
    fn others<'a>(&'a self, _: &'a RoomRef) -> Pending<'a, Result<Vec<PeerSession>, SessionsError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
    fn changes(&self) -> broadcast::Receiver<SessionsChanged> {
        broadcast::channel(1).1
    }
    fn is_available(&self) -> bool {
        true
    }
    fn clear(&self) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[test]
fn only_changes_are_written_to_the_store() {
    let store = Arc::new(CountingStore::default());
    let mut world = World { board: Board::new(store.clone(), IDLE_AFTER), ..World::new() };
    world.join(0xa, "ann");
    (0..100).for_each(|_| assert_eq!(world.report(0xa, Active), None));
    world.wait(IDLE_AFTER);
    world.set_connected(0xa, false);
    world.report(0xa, Active);
    world.leave(0xa);
    let written = store.0.lock().expect("a log").clone();
    assert_eq!(written, ["ann Active", "ann Idle", "ann Away", "-000000000000000a"]);
}

#[test]
fn presence_equals_that_of_a_naive_model() {
    // One step: what, which of six peers, and the time before it.
    let step = (0u8..7, 0u64..6, 0u64..200);
    proptest!(|(steps in proptest::collection::vec(step, 1..200))| {
        let mut world = World::new();
        // By peer: connected, reported, seconds since the activity.
        let mut model: BTreeMap<u64, (bool, PresenceState, u64)> = BTreeMap::new();
        let mut seen: BTreeMap<String, PresenceState> = BTreeMap::new();
        let user = |peer: u64| format!("user-{}", peer % 3);
        let mut watch = world.board.watch(&room());
        for (what, peer, seconds) in steps {
            world.wait(Duration::from_secs(seconds));
            for (_, reported, since) in model.values_mut() {
                *since += seconds;
                if *since >= IDLE_AFTER.as_secs() {
                    *reported = Idle.min(*reported);
                }
            }
            match (what, model.contains_key(&peer)) {
                (0 | 1, false) => {
                    world.join(peer, &user(peer));
                    model.insert(peer, (true, Active, 0));
                }
                (2, true) => {
                    world.leave(peer);
                    model.remove(&peer);
                }
                (3, true) => {
                    world.set_connected(peer, false);
                    model.get_mut(&peer).expect("known").0 = false;
                }
                (4, true) => {
                    world.set_connected(peer, true);
                    model.get_mut(&peer).expect("known").0 = true;
                }
                (5 | 6, true) => {
                    let state = if what == 5 { Active } else { Away };
                    let now = world.now();
                    if world.board.report(peer, state, now).is_ok() {
                        let entry = model.get_mut(&peer).expect("known");
                        entry.1 = state;
                        if state == Active { entry.2 = 0 }
                    }
                }
                _ => {}
            }
            let mut wanted: BTreeMap<String, PresenceState> = BTreeMap::new();
            for (peer, (is_connected, reported, _)) in &model {
                let state = if *is_connected { *reported } else { Away };
                let entry = wanted.entry(user(*peer)).or_insert(state);
                *entry = state.max(*entry);
            }
            let found: BTreeMap<_, _> = world.board.users(&room()).into_iter().map(|it| (it.user, it.state)).collect();
            prop_assert_eq!(&found, &wanted);
            // The transitions lead to the same states.
            while let Ok(presence) = watch.receiver.try_recv() {
                seen.insert(presence.user, presence.state);
            }
            for (user, state) in &wanted {
                prop_assert_eq!(seen.get(user), Some(state));
            }
        }
    });
}
