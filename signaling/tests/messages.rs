//! Messages of the application from peer to peer, and the end of a call for all.

mod harness;

use harness::Client;
use harness::tokens::*;
use signaling::auth::token::Permissions;
use signaling::limits;
use signaling::proto::{self, ErrorCode, signal::Payload};

#[tokio::test]
async fn message_reaches_the_named_peers_or_all_others() {
    let (_engine, signaling) = start();
    let (ada, adas) = enter(&signaling, "ada", Permissions::default()).await;
    let (mut bob, bobs) = enter(&signaling, "bob", Permissions::default()).await;
    let (mut eve, _) = enter(&signaling, "eve", Permissions::default()).await;

    ada.done(send(&[], "chat", b"to all")).await;
    ada.done(send(&[&bobs.peer_id, "0000000000000007"], "leat.keys", b"to bob")).await;
    ada.done(send(&[], "chat", b"")).await;

    let received = [message(&mut bob).await, message(&mut bob).await, message(&mut bob).await];
    assert_eq!(
        received.each_ref().map(|m| (&m.topic[..], &m.body[..], m.direct)),
        [("chat", &b"to all"[..], false), ("leat.keys", b"to bob", true), ("chat", b"", false),]
    );
    assert!(received.iter().all(|m| m.peer_id == adas.peer_id));
    let others = [message(&mut eve).await, message(&mut eve).await];
    assert_eq!(others.each_ref().map(|m| &m.body[..]), [&b"to all"[..], b""]);
}

#[tokio::test]
async fn messages_are_checked_and_bounded() {
    let (_engine, signaling) = start();
    let (ada, adas) = enter(&signaling, "ada", Permissions::default()).await;
    let silent = Permissions { can_publish_data: false, ..Permissions::default() };
    let (eve, _) = enter(&signaling, "eve", silent).await;
    let (ghost, _) = enter(&signaling, "ghost", Permissions { hidden: true, ..Permissions::default() }).await;

    let long = vec![0; limits::MESSAGE_BODY_BYTES_MAX + 1];
    assert_eq!(ada.fails(send(&[], "chat", &long)).await, ErrorCode::BadMessage);
    assert_eq!(ada.fails(send(&[], "", b"x")).await, ErrorCode::BadMessage);
    assert_eq!(
        ada.fails(send(&[], &"t".repeat(limits::TOPIC_LEN_MAX + 1), b"x")).await,
        ErrorCode::BadMessage
    );
    assert_eq!(ada.fails(send(&[], "two words", b"x")).await, ErrorCode::BadMessage);
    let names = vec!["0000000000000007"; limits::MESSAGE_RECEIVERS_MAX + 1];
    assert_eq!(ada.fails(send(&names, "chat", b"x")).await, ErrorCode::BadMessage);
    // Not to itself.
    assert_eq!(ada.fails(send(&[&adas.peer_id], "chat", b"x")).await, ErrorCode::NoSuchPeer);
    assert_eq!(eve.fails(send(&[], "chat", b"x")).await, ErrorCode::TokenPermission);
    assert_eq!(ghost.fails(send(&[], "chat", b"x")).await, ErrorCode::TokenPermission);

    let longest = &long[1..];
    let mut sent = 0;
    let error = loop {
        match ada.ask(send(&[], "chat", longest)).await {
            Payload::Ack(_) => sent += longest.len(),
            Payload::Error(error) => break error,
            other => panic!("an Ack or an error, not {other:?}"),
        }
        assert!(sent <= 64 * limits::MESSAGE_BYTES_BURST as usize, "the quota is never reached");
    };
    assert_eq!(error.code(), ErrorCode::Limit);
    assert!(error.retry_after_ms > 0 && sent + longest.len() >= limits::MESSAGE_BYTES_BURST as usize);
}

#[tokio::test]
async fn administrator_ends_the_call_for_all() {
    let (_engine, signaling) = start();
    let (mut boss, _) = enter(&signaling, "boss", admin()).await;
    let (mut ada, _) = enter(&signaling, "ada", Permissions::default()).await;
    let end = |reason: &str| Payload::EndRoom(proto::EndRoom { reason: reason.into() });
    assert_eq!(ada.fails(end("")).await, ErrorCode::TokenPermission);
    let set = proto::SetRoom { waiting_room: Some(true), encrypted: Some(true), ..Default::default() };
    boss.done(Payload::SetRoom(set)).await;
    let changed = |payload| match payload {
        Payload::RoomChanged(changed) => changed.policy,
        _ => None,
    };
    assert!(until(&mut ada, changed).await.encrypted);
    let mut late = signaling.client();
    let waiting = late.ask(Payload::JoinRoom(entry("late", Permissions::default()))).await;
    assert!(matches!(waiting, Payload::Waiting(_)), "{waiting:?}");

    boss.ask(end("the lesson is over")).await;
    let evicted = |payload| match payload {
        Payload::Evicted(evicted) => Some(evicted.reason),
        Payload::Denied(denied) => Some(denied.reason),
        _ => None,
    };
    for client in [&mut ada, &mut boss, &mut late] {
        assert_eq!(until(client, evicted).await, "the lesson is over");
    }
    // The room is a new one, without the policy.
    let (_, joined) = enter(&signaling, "ada", Permissions::default()).await;
    assert!(joined.peers.is_empty() && !joined.policy.expect("a policy").encrypted);
}

fn send(to: &[&str], topic: &str, body: &[u8]) -> Payload {
    let to = to.iter().map(|id| (*id).to_owned()).collect();
    Payload::SendMessage(proto::SendMessage { to, topic: topic.into(), body: body.to_vec() })
}

/// The next message of another peer.
async fn message(client: &mut Client) -> proto::PeerMessage {
    let message = |payload| match payload {
        Payload::PeerMessage(message) => Some(message),
        _ => None,
    };
    until(client, message).await
}
