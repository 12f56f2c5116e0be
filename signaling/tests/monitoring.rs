//! Metrics and health of signaling.

mod harness;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use bus::Bus;
use harness::engine::{Engine, socket_path};
use harness::{Signaling, eventually, join};
use signaling::proto::{self, signal::Payload};
use signaling::rooms::Admission;
use signaling::server::monitoring::{Monitored, routes};
use std::sync::Arc;
use stores::accounts::{Accounts, Database};
use stores::sessions::MemorySessions;
use tower::ServiceExt;

async fn get(monitored: &Monitored, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let answer = routes(monitored.clone()).oneshot(request).await.expect("an answer");
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1 << 20).await.expect("a short body");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn metrics_count_requests_and_what_exists_without_names_of_rooms_or_users() {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let (ada, bob) = (signaling.client(), signaling.client());
    ada.join(join("millpond", "Ada")).await;
    bob.join(join("millpond", "Bob")).await;
    let send = ada.transport("send").await;
    ada.produce(&send.id, "audio").await;
    let unknown = Payload::CloseProducer(proto::CloseProducer { producer_id: "0123".into() });
    assert!(matches!(bob.ask(unknown).await, Payload::Error(_)));
    bob.done(Payload::Leave(proto::Leave::default())).await;

    let monitored = Monitored {
        rooms: signaling.rooms.clone(),
        sessions: Arc::new(MemorySessions::default()),
        bus: Bus::in_process(),
        accounts: None,
        webhooks: None,
    };
    let (status, page) = get(&monitored, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        "leat_signaling_requests_total{request=\"JoinRoom\",code=\"OK\"} 2",
        "leat_signaling_requests_total{request=\"CloseProducer\",code=\"NO_SUCH_PRODUCER\"} 1",
        "leat_signaling_join_duration_seconds_count 2",
        "leat_signaling_join_duration_seconds_bucket{le=\"+Inf\"} 2",
        "leat_signaling_rooms 1",
        "leat_signaling_peers 1",
        "leat_signaling_producers 1",
        "leat_signaling_engine_ready 1",
        "# EOF",
    ] {
        assert!(page.lines().any(|other| other == line), "{line:?} is not in {page}");
    }
    assert!(!["millpond", "Ada", "Bob"].iter().any(|name| page.contains(name)), "{page}");
}

#[tokio::test]
async fn health_names_each_dependency_and_only_the_engine_is_fatal() {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let monitored = Monitored {
        rooms: signaling.rooms.clone(),
        sessions: Arc::new(MemorySessions::default()),
        bus: Bus::in_process(),
        accounts: None,
        webhooks: None,
    };
    eventually("media is ready", || signaling.rooms.is_media_ready()).await;
    let (status, body) = get(&monitored, "/readyz").await;
    assert_eq!((status, &body[..]), (StatusCode::OK, "engine: ok\nsessions: ok\nbus: ok\n"));
    assert_eq!(get(&monitored, "/livez").await.1, "rooms: ok\n");
    let url = "postgres://leat@127.0.0.1:1/leat".to_owned();
    let accounts = Accounts::open(&Database::Postgres(url)).expect("a valid URL");
    let (status, body) = get(&Monitored { accounts: Some(accounts), ..monitored.clone() }, "/readyz").await;
    assert_eq!(status, StatusCode::OK, "calls need no accounts: {body}");
    assert!(body.contains("\naccounts: the database"), "{body}");

    drop(engine);
    eventually("the engine is away", || !signaling.rooms.is_media_ready()).await;
    let (status, body) = get(&monitored, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.starts_with("engine: not attached"), "{body}");
}
