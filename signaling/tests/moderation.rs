//! What administrators of a room do: mutes, its policy, the waiting room.

mod harness;

use control::Command;
use harness::engine::{Engine, socket_path};
use harness::polling::{Http, PollingClient};
use harness::tokens::*;
use harness::{Client, Signaling, consume, join, produce};
use prost::Message;
use signaling::auth::DEFAULT_PROJECT;
use signaling::auth::revocations::{Revocation, Revoked};
use signaling::auth::token::{Claims, NumericDate, Permissions};
use signaling::limits;
use signaling::proto::{self, ErrorCode, Signal, signal::Payload};
use signaling::rooms::{Admission, Plan, Visitor};
use signaling::server::http;
use std::time::Duration;

#[tokio::test]
async fn muted_producer_stays_paused_until_an_administrator_unmutes_it() {
    let (engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    let (mut ada, joined) = enter(&signaling, "ada", Permissions::default()).await;
    let (mut bob, _) = enter(&signaling, "bob", Permissions::default()).await;
    let send = ada.transport("send").await.id;
    let audio = ada.produce(&send, "audio").await;
    let mute = |muted| Payload::MuteProducer(proto::MuteProducer { producer_id: audio.clone(), muted });
    let pause = || Payload::PauseProducer(proto::PauseProducer { producer_id: audio.clone() });
    let go_on = || Payload::ResumeProducer(proto::ResumeProducer { producer_id: audio.clone() });
    let last = |engine: &Engine| {
        let commands = engine.commands().into_iter().rev();
        let mut changes = commands.filter_map(|command| match command {
            Command::PauseProducer { .. } => Some("pause"),
            Command::ResumeProducer { .. } => Some("resume"),
            _ => None,
        });
        changes.next()
    };
    let muted = |payload| match payload {
        Payload::Muted(muted) => Some(muted.muted),
        _ => None,
    };
    boss.done(mute(true)).await;
    assert_eq!(last(&engine), Some("pause"));
    assert!(until(&mut ada, muted).await);
    until(&mut bob, |payload| matches!(payload, Payload::ProducerPaused(_)).then_some(())).await;
    assert_eq!(ada.fails(go_on()).await, ErrorCode::Muted);
    assert_eq!(last(&engine), Some("pause"));
    boss.done(mute(false)).await;
    assert_eq!(last(&engine), Some("resume"));
    assert!(!until(&mut ada, muted).await);
    until(&mut bob, |payload| matches!(payload, Payload::ProducerResumed(_)).then_some(())).await;

    // The end of a mute does not resume what the client has paused.
    boss.done(mute(true)).await;
    ada.done(pause()).await;
    boss.done(mute(false)).await;
    assert_eq!(last(&engine), Some("pause"));
    ada.done(go_on()).await;
    assert_eq!(last(&engine), Some("resume"));

    // A muted peer cannot avoid it with a new producer.
    let peer_id = joined.peer_id.clone();
    let all =
        |muted| Payload::MutePeer(proto::MutePeer { peer_id: peer_id.clone(), muted, kind: "audio".into() });
    boss.done(all(true)).await;
    assert_eq!(ada.fails(go_on()).await, ErrorCode::Muted);
    let second = ada.produce(&send, "audio").await;
    let resume_second = Payload::ResumeProducer(proto::ResumeProducer { producer_id: second.clone() });
    assert_eq!(ada.fails(resume_second).await, ErrorCode::Muted);
    let is_paused = |c: &Command| matches!(c, Command::Produce(produce) if produce.paused);
    engine.received("a paused producer", is_paused).await;
    ada.produce(&send, "video").await;
    boss.done(all(false)).await;
    ada.done(go_on()).await;
    let unknown = Payload::MutePeer(proto::MutePeer { peer_id, muted: true, kind: "smell".into() });
    assert_eq!(boss.fails(unknown).await, ErrorCode::BadMessage);
}

/// Neither a new producer nor a new peer ends the mute of the old one.
#[tokio::test]
async fn mute_outlives_the_producer_and_the_peer() {
    let (engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    let (ada, _) = enter(&signaling, "ada", Permissions::default()).await;
    let send = ada.transport("send").await.id;
    let audio = ada.produce(&send, "audio").await;
    let mute =
        |id: &str, muted| Payload::MuteProducer(proto::MuteProducer { producer_id: id.to_owned(), muted });
    let go_on = |id: &str| Payload::ResumeProducer(proto::ResumeProducer { producer_id: id.to_owned() });
    boss.done(mute(&audio, true)).await;
    ada.done(Payload::CloseProducer(proto::CloseProducer { producer_id: audio })).await;
    let again = ada.produce(&send, "audio").await;
    assert_eq!(ada.fails(go_on(&again)).await, ErrorCode::Muted);
    let is_paused = |c: &Command| matches!(c, Command::Produce(produce) if produce.paused);
    engine.received("a paused producer", is_paused).await;
    let video = ada.produce(&send, "video").await;
    ada.done(go_on(&video)).await;

    ada.done(Payload::Leave(proto::Leave::default())).await;
    ada.join(entry("ada", Permissions::default())).await;
    let send = ada.transport("send").await.id;
    let last = ada.produce(&send, "audio").await;
    assert_eq!(ada.fails(go_on(&last)).await, ErrorCode::Muted);
    // The peer is muted, not one producer of it.
    let peer_id = boss_sees(&signaling, "ada").await;
    let unmute = proto::MutePeer { peer_id, muted: false, ..Default::default() };
    boss.done(Payload::MutePeer(unmute)).await;
    ada.done(go_on(&last)).await;
    ada.done(Payload::CloseProducer(proto::CloseProducer { producer_id: last })).await;
    let free = ada.produce(&send, "audio").await;
    ada.done(go_on(&free)).await;
}

/// Neither another tab nor a return after the second tab has left is a way around a mute.
#[tokio::test]
async fn mute_is_that_of_all_later_peers_of_the_user() {
    let (_engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    let (ada, joined) = enter(&signaling, "ada", Permissions::default()).await;
    let mute = |peer_id: &str, kind: &str, muted| {
        Payload::MutePeer(proto::MutePeer { peer_id: peer_id.into(), kind: kind.into(), muted })
    };
    boss.done(mute(&joined.peer_id, "audio", true)).await;
    let try_to_speak = async |client: &Client, kind: &str| {
        let send = client.transport("send").await.id;
        let producer_id = client.produce(&send, kind).await;
        client.ask(Payload::ResumeProducer(proto::ResumeProducer { producer_id })).await
    };
    let is_muted =
        |answer: Payload| matches!(answer, Payload::Error(error) if error.code() == ErrorCode::Muted);
    // A second tab, whose video is muted too.
    let (second, seconds) = enter(&signaling, "ada", Permissions::default()).await;
    assert!(is_muted(try_to_speak(&second, "audio").await));
    boss.done(mute(&seconds.peer_id, "video", true)).await;
    for client in [&second, &ada] {
        client.done(Payload::Leave(proto::Leave::default())).await;
    }
    for _ in 0..3 {
        let (back, _) = enter(&signaling, "ada", Permissions::default()).await;
        assert!(is_muted(try_to_speak(&back, "audio").await));
        assert!(is_muted(try_to_speak(&back, "video").await));
        back.done(Payload::Leave(proto::Leave::default())).await;
    }
    // The end of the mute is the end also for later peers.
    let (_last, lasts) = enter(&signaling, "ada", Permissions::default()).await;
    boss.done(mute(&lasts.peer_id, "", false)).await;
    let (free, _) = enter(&signaling, "ada", Permissions::default()).await;
    assert!(matches!(try_to_speak(&free, "audio").await, Payload::Ack(_)));
}

#[tokio::test]
async fn mutes_by_one_administrator_are_limited() {
    let (_engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    let (_ada, joined) = enter(&signaling, "ada", Permissions::default()).await;
    let mut refused = 0;
    for number in 0..limits::MUTES_BURST as usize + 100 {
        let (peer_id, kind) = (joined.peer_id.clone(), "audio".into());
        let mute = Payload::MutePeer(proto::MutePeer { peer_id, kind, muted: number % 2 == 0 });
        match boss.ask(mute).await {
            Payload::Ack(_) => {}
            Payload::Error(error) => {
                assert_eq!(error.code(), ErrorCode::Limit);
                assert!(error.retry_after_ms > 0);
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 0);
}

/// The id of a peer, as a client that joins now gets it.
async fn boss_sees(signaling: &Signaling, user: &str) -> String {
    let (client, joined) = enter(signaling, "observer", Permissions::default()).await;
    client.done(Payload::Leave(proto::Leave::default())).await;
    joined.peers.into_iter().find(|peer| peer.user == user).expect("in the room").id
}

/// The answer Waiting opens the way for notifications, as Joined does.
#[tokio::test]
async fn waiting_client_gets_joined_on_its_socket() {
    let (_engine, signaling) = start();
    let listener = http::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(http::serve(listener, signaling.rooms.clone(), http::HttpSettings::default()));
    let (mut boss, _) = enter(&signaling, "boss", admin()).await;
    boss.done(set_room(|set| set.waiting_room = Some(true))).await;
    let ada = PollingClient::connect(Http::to(address)).await;
    let join = Some(Payload::JoinRoom(entry("ada", Permissions::default())));
    let request = Signal { version: "1".into(), payload: join, ..Default::default() }.encode_to_vec();
    assert!(matches!(ada.ask(0, &request).await.payload, Some(Payload::Waiting(_))));
    let waiting = until(&mut boss, |payload| match payload {
        Payload::PeerWaiting(waiting) => Some(waiting),
        _ => None,
    });
    let waiting_id = waiting.await.waiting_id;
    boss.done(Payload::AdmitPeer(proto::AdmitPeer { waiting_id })).await;
    let peer_id = match ada.next_binary().await.1.payload {
        Some(Payload::Joined(joined)) => joined.peer_id,
        other => panic!("{other:?}"),
    };
    boss.done(kick(&peer_id)).await;
    assert!(matches!(ada.next_binary().await.1.payload, Some(Payload::Evicted(_))));
}

#[tokio::test]
async fn hundred_joins_at_once_fill_a_room_of_two_exactly() {
    let (_engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    boss.done(set_room(|set| set.max_peers = Some(2))).await;
    let mut joins = tokio::task::JoinSet::new();
    for number in 0..100 {
        let client = signaling.client();
        let join = entry(&format!("user-{number}"), Permissions::default());
        joins.spawn(async move {
            let answer = client.ask(Payload::JoinRoom(join)).await;
            (client, answer)
        });
    }
    let mut clients = Vec::new();
    let (mut joined, mut full) = (0, 0);
    while let Some(answer) = joins.join_next().await {
        let (client, answer) = answer.expect("no panic");
        match answer {
            Payload::Joined(_) => joined += 1,
            Payload::Error(error) if error.code() == ErrorCode::RoomFull => full += 1,
            other => panic!("{other:?}"),
        }
        clients.push(client);
    }
    assert_eq!((joined, full), (1, 99), "with the administrator two");
    // A lower maximum removes no peer; without one the room is open again.
    boss.done(set_room(|set| set.max_peers = Some(1))).await;
    boss.done(set_room(|set| set.max_peers = Some(0))).await;
    enter(&signaling, "late", Permissions::default()).await;
    let too_many = set_room(|set| set.max_peers = Some(limits::PEERS_PER_ROOM_MAX as u32 + 1));
    assert_eq!(boss.fails(too_many).await, ErrorCode::BadMessage);
}

#[tokio::test]
async fn locked_room_and_publishers_are_for_administrators() {
    let (engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    let (mut ada, joined) = enter(&signaling, "ada", Permissions::default()).await;
    let send = ada.transport("send").await.id;
    let video = ada.produce(&send, "video").await;
    boss.done(set_room(|set| {
        set.locked = Some(true);
        set.publishers = Some("admins".into());
    }))
    .await;
    let closed = until(&mut ada, |payload| match payload {
        Payload::ProducerClosed(closed) => Some(closed.producer_id),
        _ => None,
    });
    assert_eq!(closed.await, video);
    let policy = until(&mut ada, |payload| match payload {
        Payload::RoomChanged(changed) => changed.policy,
        _ => None,
    });
    let policy = policy.await;
    assert!(policy.locked && policy.publishers == "admins" && !policy.waiting_room && policy.max_peers == 0);
    engine.received("to close the video", |c| matches!(c, Command::CloseProducer { .. })).await;
    assert_eq!(ada.fails(produce(&send, "video")).await, ErrorCode::PublishDenied);
    let bosss_send = boss.transport("send").await.id;
    boss.produce(&bosss_send, "video").await;

    let late = signaling.client();
    assert_eq!(
        late.fails(Payload::JoinRoom(entry("late", Permissions::default()))).await,
        ErrorCode::RoomLocked
    );
    let (_deputy, deputys) = enter(&signaling, "deputy", admin()).await;
    assert!(deputys.policy.expect("a policy").locked);
    // A resume is no entry.
    ada.disconnect();
    let again = signaling.client();
    let back = proto::JoinRoom { resume: Some(resume(&joined)), ..entry("ada", Permissions::default()) };
    assert!(again.join(back).await.resumed);
    let wrong = set_room(|set| set.publishers = Some("some".into()));
    assert_eq!(boss.fails(wrong).await, ErrorCode::BadMessage);
    // Each change is sent to everyone, so their rate is limited.
    let mut changes = 0;
    let code = loop {
        let request = set_room(|set| set.max_peers = Some(10 + changes % 2));
        match boss.ask(request).await {
            Payload::Ack(_) => changes += 1,
            Payload::Error(error) => break error.code(),
            other => panic!("{other:?}"),
        }
        assert!(changes < 1_000, "nothing bounds the changes");
    };
    assert_eq!(code, ErrorCode::Limit);
}

#[tokio::test]
async fn waiting_client_joins_when_it_is_admitted() {
    let (_engine, signaling) = start();
    let (mut boss, _) = enter(&signaling, "boss", admin()).await;
    boss.done(set_room(|set| set.waiting_room = Some(true))).await;
    let waits = async |user: &str| {
        let client = signaling.client();
        match client.ask(Payload::JoinRoom(entry(user, Permissions::default()))).await {
            Payload::Waiting(waiting) => {
                assert_eq!((waiting.room.as_str(), waiting.user.as_str()), ("r", user))
            }
            other => panic!("{other:?}"),
        }
        client
    };
    let waiting = |payload| match payload {
        Payload::PeerWaiting(waiting) => Some(waiting),
        _ => None,
    };
    let (mut ada, mut bob, carl) = (waits("ada").await, waits("bob").await, waits("carl").await);
    let [adas, bobs, carls] =
        [until(&mut boss, waiting).await, until(&mut boss, waiting).await, until(&mut boss, waiting).await];
    assert!(adas.user == "ada" && bobs.user == "bob" && !bobs.gone);
    // Nothing but waiting is possible.
    let create = Payload::CreateTransport(proto::CreateTransport { direction: "send".into() });
    assert_eq!(ada.fails(create).await, ErrorCode::WrongState);
    let join = || Payload::JoinRoom(entry("ada", Permissions::default()));
    assert_eq!(ada.fails(join()).await, ErrorCode::WrongState);
    let admit = |id: &str| Payload::AdmitPeer(proto::AdmitPeer { waiting_id: id.into() });
    let deny =
        |id: &str| Payload::DenyPeer(proto::DenyPeer { waiting_id: id.into(), reason: "not today".into() });
    // A second administrator finds them, and clients can give up.
    let (deputy, deputys) = enter(&signaling, "deputy", admin()).await;
    assert_eq!(deputys.waiting.len(), 3);
    carl.done(Payload::Leave(proto::Leave::default())).await;
    let gone = until(&mut boss, waiting).await;
    assert!(gone.gone && gone.waiting_id == carls.waiting_id);
    assert_eq!(boss.fails(admit(&carls.waiting_id)).await, ErrorCode::NoSuchPeer);

    boss.done(admit(&adas.waiting_id)).await;
    assert_eq!(deputy.fails(admit(&adas.waiting_id)).await, ErrorCode::NoSuchPeer, "already");
    let joined = until(&mut ada, |payload| match payload {
        Payload::Joined(joined) => Some(joined),
        _ => None,
    });
    let joined = joined.await;
    assert_eq!((joined.user.as_str(), joined.peers.len(), joined.resumed), ("ada", 2, false));
    ada.transport("send").await;
    deputy.done(deny(&bobs.waiting_id)).await;
    let reason = until(&mut bob, |payload| match payload {
        Payload::Denied(denied) => Some(denied.reason),
        _ => None,
    });
    assert_eq!(reason.await, "not today");
    let leave = Payload::Leave(proto::Leave::default());
    assert_eq!(bob.fails(leave).await, ErrorCode::WrongState);

    // A revocation reaches those that wait, a lost socket ends the wait, and a full room admits no client.
    let mut dora = waits("dora").await;
    let of = Revoked::User("dora".into());
    let until_later = Duration::from_secs(now() + 60);
    let revocation = Revocation { project: DEFAULT_PROJECT.into(), of, until: until_later };
    assert_eq!(signaling.rooms.revoke(revocation).expect("space"), 0);
    until(&mut dora, |payload| matches!(payload, Payload::Denied(_)).then_some(())).await;
    let eve = waits("eve").await;
    let eves = loop {
        let found = until(&mut boss, waiting).await;
        if found.user == "eve" {
            break found;
        }
    };
    boss.done(set_room(|set| set.max_peers = Some(3))).await;
    assert_eq!(boss.fails(admit(&eves.waiting_id)).await, ErrorCode::RoomFull);
    eve.disconnect();
    assert!(until(&mut boss, waiting).await.gone);
}

#[tokio::test]
async fn waiting_client_whose_token_expires_is_not_admitted() {
    let (_engine, signaling) = start();
    let (mut boss, _) = enter(&signaling, "boss", admin()).await;
    boss.done(set_room(|set| set.waiting_room = Some(true))).await;
    let mut ada = signaling.client();
    let exp = NumericDate(now() + 2);
    let soon = Claims { exp, ..claims("ada", Permissions::default()) };
    let answer = ada.ask(Payload::JoinRoom(proto::JoinRoom { token: token(&soon), ..join("r", "") })).await;
    assert!(matches!(answer, Payload::Waiting(_)), "{answer:?}");
    let waiting_id = until(&mut boss, |payload| match payload {
        Payload::PeerWaiting(waiting) => Some(waiting.waiting_id),
        _ => None,
    })
    .await;
    while now() <= exp.0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let admit = Payload::AdmitPeer(proto::AdmitPeer { waiting_id });
    assert_eq!(boss.fails(admit).await, ErrorCode::NoSuchPeer);
    until(&mut ada, |payload| matches!(payload, Payload::Denied(_)).then_some(())).await;
}

#[tokio::test]
async fn waiting_clients_are_bounded_and_end_with_the_room() {
    let (_engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    boss.done(set_room(|set| set.waiting_room = Some(true))).await;
    let mut clients = Vec::new();
    let mut adas = Vec::new();
    for number in 0..=limits::PEERS_PER_USER {
        let client = signaling.client();
        let join = Payload::JoinRoom(entry("ada", Permissions::default()));
        let is_too_often =
            matches!(client.ask(join).await, Payload::Error(error) if error.code() == ErrorCode::Limit);
        assert_eq!(is_too_often, number == limits::PEERS_PER_USER, "{number}");
        adas.push(client);
    }
    adas.into_iter().for_each(Client::disconnect);
    for number in 0..limits::WAITING_PER_ROOM_MAX {
        let client = signaling.client();
        let join = Payload::JoinRoom(entry(&format!("user-{number}"), Permissions::default()));
        assert!(matches!(client.ask(join).await, Payload::Waiting(_)));
        clients.push(client);
    }
    let one_more = signaling.client();
    let join = Payload::JoinRoom(entry("one more", Permissions::default()));
    assert_eq!(one_more.fails(join).await, ErrorCode::Limit);
    boss.done(Payload::Leave(proto::Leave::default())).await;
    for client in &mut clients {
        assert!(matches!(client.notification().await, Payload::Denied(_)));
    }
}

/// The engine's data is enough for the next signaling process: policy, mutes, subscribers, removed peers.
#[tokio::test]
async fn what_administrators_decided_survives_a_restart_of_signaling() {
    let engine = Engine::start(&socket_path());
    let first = Signaling::start(&engine.path, Admission::TokenRequired(keyring()));
    let (boss, _) = enter(&first, "boss", admin()).await;
    let permitted = || Permissions { can_update_own_metadata: true, ..Permissions::default() };
    let (ada, adas) = enter(&first, "ada", permitted()).await;
    let (_bob, bobs) = enter(&first, "bob", Permissions::default()).await;
    boss.transport("recv").await;
    let send = ada.transport("send").await.id;
    let (video, audio) = (ada.produce(&send, "video").await, ada.produce(&send, "audio").await);
    boss.done(set_room(|set| {
        set.locked = Some(true);
        set.max_peers = Some(7);
    }))
    .await;
    boss.done(Payload::MuteProducer(proto::MuteProducer { producer_id: audio.clone(), muted: true })).await;
    boss.done(kick(&bobs.peer_id)).await;
    let named = proto::SetSubscribers {
        producer_id: video.clone(),
        users: vec!["boss".into()],
        ..Default::default()
    };
    ada.done(Payload::SetSubscribers(named)).await;
    let name = proto::SetMetadata { metadata: Some("hand up".into()), ..Default::default() };
    ada.done(Payload::SetMetadata(name)).await;
    engine
        .received("the metadata", |c| {
            let is_it = |app_data: &control::AppData| app_data.0.windows(7).any(|bytes| bytes == b"hand up");
            matches!(c, Command::SetAppData { app_data, .. } if is_it(app_data))
        })
        .await;
    first.kill().await;

    let second = Signaling::start(&engine.path, Admission::TokenRequired(keyring()));
    let (deputy, deputys) = enter(&second, "deputy", admin()).await;
    let policy = deputys.policy.expect("a policy");
    assert!(policy.locked && policy.max_peers == 7, "{policy:?}");
    let info = deputys.peers.iter().find(|peer| peer.id == adas.peer_id).expect("ada");
    assert_eq!(info.metadata, "hand up");
    let recv = deputy.transport("recv").await.id;
    assert_eq!(deputy.fails(consume(&recv, &video)).await, ErrorCode::SubscriptionDenied);
    let late = second.client();
    assert_eq!(
        late.fails(Payload::JoinRoom(entry("late", Permissions::default()))).await,
        ErrorCode::RoomLocked
    );
    assert_eq!(
        late.fails(Payload::JoinRoom(entry("bob", Permissions::default()))).await,
        ErrorCode::TokenRevoked
    );

    let ada = second.client();
    let held = |id: &str| proto::HeldProducer { id: id.into() };
    let resume = proto::Resume {
        transports: vec![proto::HeldTransport { id: send }],
        producers: vec![held(&video), held(&audio)],
        ..resume(&adas)
    };
    let back = ada.join(proto::JoinRoom { resume: Some(resume), ..entry("ada", permitted()) }).await;
    assert_eq!((back.resumed, back.muted_producers), (true, vec![audio.clone()]));
    let go_on = || Payload::ResumeProducer(proto::ResumeProducer { producer_id: audio.clone() });
    assert_eq!(ada.fails(go_on()).await, ErrorCode::Muted);
    deputy
        .done(Payload::MuteProducer(proto::MuteProducer { producer_id: audio.clone(), muted: false }))
        .await;
    ada.done(go_on()).await;
}

/// A client of HTTP cannot wait: administrators do not see it.
#[tokio::test]
async fn administrators_do_not_see_encoders_that_a_waiting_room_refuses() {
    let (_engine, signaling) = start();
    let (mut boss, _) = enter(&signaling, "boss", admin()).await;
    boss.done(set_room(|set| set.waiting_room = Some(true))).await;
    assert!(matches!(boss.notification().await, Payload::RoomChanged(_)));
    let proto::JoinRoom { room, token, .. } = entry("encoder", Permissions::default());
    let visitor = Visitor {
        address: harness::HERE,
        room,
        token,
        session: None,
        name: String::new(),
        scalability_mode: String::new(),
    };
    let offer = include_str!("../../tests/vectors/sdp/chrome-offer-av-plain.sdp");
    let error = signaling.rooms.open_resource(visitor, offer, Plan::Nothing).await.expect_err("refused");
    assert_eq!(error.code, ErrorCode::RoomLocked);
    // A notification would come before this answer.
    boss.done(set_room(|set| set.locked = Some(false))).await;
    boss.no_more_notifications();
}
