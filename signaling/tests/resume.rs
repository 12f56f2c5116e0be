//! Resumes with numbered notifications: what a client missed reaches it in order, exactly once.

mod harness;

use control::{DtlsState, Event, IceState, TransportState};
use harness::engine::{Engine, socket_path};
use harness::{Client, Signaling, join, transport_id};
use machine::Rng;
use signaling::proto::{self, ErrorCode, Joined, NotificationPosition, Signal, signal::Payload};
use signaling::rooms::{Admission, SessionEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a client knows of the other peers: whether each is away, and which of its producers are paused.
type Roster = BTreeMap<String, (bool, BTreeMap<String, bool>)>;

/// A client that applies notifications, as the browser's does.
struct Follower {
    client: Option<Client>,
    joined: Joined,
    position: NotificationPosition,
    roster: Roster,
    replays: usize,
    snapshots: usize,
    /// Number of notifications.
    applied: usize,
}

impl Follower {
    async fn enter(signaling: &Signaling, room: &str, name: &str) -> Self {
        let client = signaling.client();
        let joined = entered(&client, join(room, name)).await;
        let mut follower = Self {
            client: Some(client),
            position: NotificationPosition::default(),
            roster: Roster::new(),
            replays: 0,
            snapshots: 0,
            applied: 0,
            joined: Joined::default(),
        };
        follower.on_joined(joined);
        follower
    }

    fn on_joined(&mut self, joined: Joined) {
        self.position = joined.position.expect("a server that numbers notifications");
        if joined.replayed {
            self.replays += 1;
            assert!(joined.peers.is_empty());
        } else {
            self.snapshots += 1;
            self.roster.clear();
            joined.peers.iter().for_each(|peer| self.add(peer));
        }
        self.joined = joined;
    }

    fn add(&mut self, peer: &proto::Peer) {
        let producers = peer.producers.iter().map(|producer| (producer.id.clone(), producer.paused));
        self.roster.insert(peer.id.clone(), (peer.away, producers.collect()));
    }

    /// Applies the next notification. False if there is none.
    fn apply_one(&mut self) -> bool {
        let Some(signal) = self.client.as_mut().and_then(Client::queued) else { return false };
        let Signal { notification, payload, .. } = signal;
        self.position.number += 1;
        assert_eq!(notification, self.position.number, "the next number");
        self.applied += 1;
        let producers = |roster: &mut Roster, peer: &str| match roster.get_mut(peer) {
            Some((_, producers)) => std::mem::take(producers),
            None => panic!("a notification about {peer}, which is unknown"),
        };
        match payload.expect("a payload") {
            Payload::PeerJoined(joined) => self.add(&joined.peer.expect("a peer")),
            Payload::PeerLeft(left) => _ = self.roster.remove(&left.peer_id).expect("it was known"),
            Payload::PeerAway(away) => self.roster.get_mut(&away.peer_id).expect("known").0 = away.away,
            Payload::NewProducer(new) => {
                let mut known = producers(&mut self.roster, &new.peer_id);
                let producer = new.producer.expect("a producer");
                assert_eq!(known.insert(producer.id, producer.paused), None, "announced once");
                self.roster.get_mut(&new.peer_id).expect("known").1 = known;
            }
            Payload::ProducerClosed(closed) => {
                let mut known = producers(&mut self.roster, &closed.peer_id);
                known.remove(&closed.producer_id).expect("closed once");
                self.roster.get_mut(&closed.peer_id).expect("known").1 = known;
            }
            Payload::ProducerPaused(paused) => self.pause(&paused.peer_id, &paused.producer_id, true),
            Payload::ProducerResumed(resumed) => self.pause(&resumed.peer_id, &resumed.producer_id, false),
            // Presence has a test of its own; the client's own absences change it too.
            Payload::PresenceChanged(_) => {}
            other => panic!("unexpected: {other:?}"),
        }
        true
    }

    fn pause(&mut self, peer: &str, producer: &str, is_paused: bool) {
        let (_, producers) = self.roster.get_mut(peer).expect("known");
        *producers.get_mut(producer).expect("known") = is_paused;
    }

    fn drop_socket(&mut self) {
        self.client.take().expect("connected").disconnect();
    }

    async fn resume(&mut self, signaling: &Signaling) {
        let client = signaling.client();
        let resume = proto::Resume {
            peer_id: self.joined.peer_id.clone(),
            secret: self.joined.resume_secret.clone(),
            position: Some(self.position),
            ..Default::default()
        };
        let again = proto::JoinRoom { resume: Some(resume), ..join(&self.joined.room, "") };
        let joined = entered(&client, again).await;
        assert!(joined.resumed);
        self.client = Some(client);
        self.on_joined(joined);
    }

    /// What it knows of these peers.
    fn of(&self, peers: &BTreeSet<String>) -> Roster {
        self.roster
            .iter()
            .filter(|(id, _)| peers.contains(*id))
            .map(|(id, of)| (id.clone(), of.clone()))
            .collect()
    }
}

/// Joins, and waits when the server limits the rate of joins.
async fn entered(client: &Client, join: proto::JoinRoom) -> Joined {
    loop {
        match client.ask(Payload::JoinRoom(join.clone())).await {
            Payload::Joined(joined) => return joined,
            Payload::Error(error) if error.code() == ErrorCode::Limit => {
                tokio::time::sleep(Duration::from_millis(error.retry_after_ms.into())).await;
            }
            other => panic!("it should have joined: {other:?}"),
        }
    }
}

/// A peer whose actions the others see.
struct Actor {
    client: Client,
    id: String,
    send: String,
    producers: BTreeMap<String, bool>,
}

impl Actor {
    async fn enter(signaling: &Signaling, room: &str) -> Self {
        let client = signaling.client();
        let id = entered(&client, join(room, "actor")).await.peer_id;
        let send = client.transport("send").await.id;
        Self { client, id, send, producers: BTreeMap::new() }
    }

    async fn act(&mut self, chance: &mut Rng) {
        let first = self.producers.first_key_value().map(|(id, paused)| (id.clone(), *paused));
        match (first, chance.below(3)) {
            (Some((producer_id, _)), 0) => {
                self.producers.remove(&producer_id);
                let close = proto::CloseProducer { producer_id };
                self.client.done(Payload::CloseProducer(close)).await;
            }
            (Some((producer_id, paused)), 1) => {
                self.producers.insert(producer_id.clone(), !paused);
                let request = if paused {
                    Payload::ResumeProducer(proto::ResumeProducer { producer_id })
                } else {
                    Payload::PauseProducer(proto::PauseProducer { producer_id })
                };
                self.client.done(request).await;
            }
            _ if self.producers.len() < 4 => {
                let id = self.client.produce(&self.send, "audio").await;
                self.producers.insert(id, false);
            }
            _ => {}
        }
    }
}

const SEEDS: u64 = 1_000;

/// A client may stay away for longer than a test takes on a busy machine.
fn patient() -> signaling::rooms::RoomSettings {
    signaling::rooms::RoomSettings {
        timeouts: signaling::rooms::Timeouts { away: harness::LIMIT, ..harness::TIMEOUTS },
        ..harness::settings()
    }
}

/// The connection drops at every notification: in each room, one client reads one notification, drops and
/// resumes, again and again, and sometimes stays away for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_drops_at_every_notification_knows_what_another_knows() {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start_with(&engine.path, patient());
    let (mut drops, mut replayed) = (0, 0);
    for seed in 0..SEEDS {
        let mut chance = Rng::from_number(seed);
        let room = format!("room-{seed}");
        let mut steady = Follower::enter(&signaling, &room, "steady").await;
        let mut restless = Follower::enter(&signaling, &room, "restless").await;
        let mut actors = vec![Actor::enter(&signaling, &room).await];
        let mut compared: BTreeSet<_> = actors.iter().map(|actor| actor.id.clone()).collect();
        for _ in 0..8 {
            let which = chance.below(actors.len() as u32 + 1) as usize;
            let may_enter = actors.len() < 3;
            match actors.get_mut(which) {
                Some(actor) if chance.below(6) > 0 => actor.act(&mut chance).await,
                Some(_) => {
                    let actor = actors.remove(which);
                    actor.client.done(Payload::Leave(proto::Leave::default())).await;
                }
                None if may_enter => {
                    let actor = Actor::enter(&signaling, &room).await;
                    compared.insert(actor.id.clone());
                    actors.push(actor);
                }
                None => {}
            }
            while steady.apply_one() {}
            let stays_away = restless.client.is_none() && chance.below(3) > 0;
            if stays_away {
                continue;
            }
            if restless.client.is_none() {
                restless.resume(&signaling).await;
            }
            while restless.apply_one() {
                restless.drop_socket();
                drops += 1;
                if chance.below(4) == 0 {
                    break;
                }
                restless.resume(&signaling).await;
            }
        }
        if restless.client.is_none() {
            restless.resume(&signaling).await;
        }
        while steady.apply_one() {}
        while restless.apply_one() {}
        assert_eq!(restless.of(&compared), steady.of(&compared), "seed {seed}");
        assert_eq!(restless.snapshots, 1, "seed {seed}: the first join; then everything was kept");
        replayed += restless.replays;
        for client in actors.into_iter().map(|actor| actor.client).chain(steady.client).chain(restless.client)
        {
            client.done(Payload::Leave(proto::Leave::default())).await;
        }
    }
    assert!(drops > 3 * SEEDS as usize && replayed > 3 * SEEDS as usize, "{drops} drops, {replayed} replays");
}

#[tokio::test]
async fn client_that_missed_too_much_gets_a_snapshot() {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start_with(&engine.path, patient());
    let mut ada = Follower::enter(&signaling, "r", "Ada").await;
    let mut bob = Actor::enter(&signaling, "r").await;
    let producer_id = bob.client.produce(&bob.send, "audio").await;
    bob.producers.insert(producer_id.clone(), false);
    while ada.apply_one() {}
    ada.drop_socket();
    for _ in 0..=signaling::limits::NOTIFICATIONS_KEPT / 2 {
        let pause = proto::PauseProducer { producer_id: producer_id.clone() };
        bob.client.done(Payload::PauseProducer(pause)).await;
        let resume = proto::ResumeProducer { producer_id: producer_id.clone() };
        bob.client.done(Payload::ResumeProducer(resume)).await;
    }
    ada.resume(&signaling).await;
    assert!(!ada.joined.replayed);
    assert_eq!(ada.roster[&bob.id].1, bob.producers);
    // From there on, notifications are numbered as before.
    bob.client.done(Payload::CloseProducer(proto::CloseProducer { producer_id })).await;
    while ada.apply_one() {}
    assert!(ada.roster[&bob.id].1.is_empty());
}

#[tokio::test]
async fn client_that_missed_the_loss_of_the_engine_gets_a_snapshot() {
    let path = socket_path();
    let engine = Engine::start(&path);
    let signaling = Signaling::start(&path, Admission::Development { verifier: None });
    let mut ada = Follower::enter(&signaling, "r", "Ada").await;
    let mut bob = signaling.client();
    bob.join(join("r", "Bob")).await;
    while ada.apply_one() {}
    ada.drop_socket();
    drop(engine);
    while !matches!(bob.notification().await, Payload::MediaLost(_)) {}
    let _engine = Engine::start(&path);
    while !matches!(bob.notification().await, Payload::MediaReady(_)) {}
    ada.resume(&signaling).await;
    assert!(!ada.joined.replayed, "it could resume objects of the former engine");
    assert_eq!(ada.roster.len(), 1);
}

#[tokio::test]
async fn new_process_gives_a_snapshot_also_for_numbers_that_it_has_given_itself() {
    let engine = Engine::start(&socket_path());
    let first = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let mut ada = Follower::enter(&first, "r", "Ada").await;
    let ada_send = ada.client.as_ref().expect("connected").transport("send").await.id;
    let bob = Actor::enter(&first, "r").await;
    while ada.apply_one() {}
    assert_eq!(ada.position.number, 1);
    first.kill().await;
    drop(ada.client.take());

    let second = Signaling::start(&engine.path, Admission::Development { verifier: None });
    // Ada's new log has as many notifications as she has applied of the former one.
    let carl = Follower::enter(&second, "r", "Carl").await;
    ada.resume(&second).await;
    assert!(ada.joined.resumed && !ada.joined.replayed);
    let known: BTreeSet<_> = ada.roster.keys().cloned().collect();
    assert_eq!(known, BTreeSet::from([bob.id, carl.joined.peer_id.clone()]), "of {ada_send}");
}

#[tokio::test]
async fn session_follows_the_transports_and_each_transition_is_counted() {
    let path = socket_path();
    let engine = Engine::start(&path);
    let signaling = Signaling::start(&path, Admission::Development { verifier: None });
    let mut ada = signaling.client();
    assert_eq!(state(&ada), "Handshaking");
    ada.join(join("r", "Ada")).await;
    assert_eq!(state(&ada), "Negotiating");
    let (send, recv) = (ada.transport("send").await.id, ada.transport("recv").await.id);
    let tell = |transport: &str, ice, dtls| {
        let state = TransportState { ice, dtls, remote: None };
        engine.tell(Event::TransportState { transport: transport_id(transport), state });
    };
    tell(&send, IceState::Connected, DtlsState::Connecting);
    tell(&recv, IceState::Connected, DtlsState::Connected);
    until(&ada, "Connected").await;
    tell(&send, IceState::Completed, DtlsState::Connected);
    tell(&recv, IceState::Disconnected, DtlsState::Connected);
    // The other transport is still connected.
    tell(&send, IceState::Disconnected, DtlsState::Connected);
    until(&ada, "Reconnecting").await;
    tell(&recv, IceState::Completed, DtlsState::Connected);
    until(&ada, "Connected").await;
    drop(engine);
    while !matches!(ada.notification().await, Payload::MediaLost(_)) {}
    assert_eq!(state(&ada), "Reconnecting", "a new engine has none of its transports");
    ada.done(Payload::Leave(proto::Leave::default())).await;
    assert_eq!(state(&ada), "Handshaking", "a connection may join again");
    assert_eq!(ada.fails(Payload::Leave(proto::Leave::default())).await, ErrorCode::WrongState);
    let counts = signaling::rooms::EVENTS.map(|event| signaling.rooms.transition_count(event));
    assert_eq!(counts, [1, 1, 2, 1, 1]);
    assert_eq!(signaling::rooms::EVENTS[2], SessionEvent::IceDisconnect);
}

fn state(client: &Client) -> String {
    format!("{:?}", client.session())
}

async fn until(client: &Client, wanted: &str) {
    let deadline = tokio::time::Instant::now() + harness::LIMIT;
    while state(client) != wanted {
        assert!(tokio::time::Instant::now() < deadline, "{} instead of {wanted}", state(client));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
