//! Quality of calls: reports of clients, metrics, and the record of each session in the database.

mod harness;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use bus::Bus;
use harness::engine::{Engine, socket_path};
use harness::{HERE, LIMIT, Signaling, eventually, join, settings};
use prost::Message;
use signaling::api::quality_writer;
use signaling::limits;
use signaling::proto::{self, ErrorCode, Goodbye, Leave, QualityReport, signal::Payload};
use signaling::server::monitoring::{Monitored, routes};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use stores::accounts::{Accounts, DEFAULT_PROJECT, Database, StoredQuality};
use stores::sessions::MemorySessions;
use tower::ServiceExt;

/// A signaling process with a database.
struct World {
    signaling: Signaling,
    engine: Engine,
    accounts: Accounts,
    dir: TempDir,
}

/// A folder that is gone when dropped.
struct TempDir(PathBuf);

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl World {
    fn start(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("leat-quality-{name}-{}", std::process::id()));
        let accounts = Accounts::open(&Database::Directory(dir.clone())).expect("a new file");
        let dir = TempDir(dir);
        let engine = Engine::start(&socket_path());
        let signaling = Signaling::start_with(&engine.path, settings());
        let world = Self { signaling, engine, accounts, dir };
        world.write_records();
        world
    }

    fn write_records(&self) {
        let rooms = &self.signaling.rooms;
        let metrics = rooms.quality_metrics().clone();
        tokio::spawn(quality_writer::write_quality(self.accounts.clone(), rooms.quality_queue(), metrics));
    }

    /// The records, when there are as many.
    async fn records(&self, count: usize) -> Vec<StoredQuality> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let records = self.accounts.quality(DEFAULT_PROJECT, 500).await.expect("a list");
            if records.len() >= count {
                assert_eq!(records.len(), count, "{records:?}");
                return records;
            }
            assert!(Instant::now() < deadline, "{count} records, not {records:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn metrics(&self) -> String {
        let monitored = Monitored {
            rooms: self.signaling.rooms.clone(),
            sessions: Arc::new(MemorySessions::default()),
            bus: Bus::in_process(),
            accounts: None,
            webhooks: None,
        };
        let request = Request::get("/metrics").body(Body::empty()).expect("a request");
        let answer = routes(monitored).oneshot(request).await.expect("an answer");
        let body = to_bytes(answer.into_body(), 1 << 20).await.expect("a short body");
        String::from_utf8(body.to_vec()).expect("text")
    }
}

fn report() -> QualityReport {
    QualityReport {
        join_ms: Some(240),
        first_frame_ms: Some(710),
        freezes: 1,
        frozen_ms: 420,
        packets_received: 61_200,
        packets_lost: 31,
        jitter_us: Some(3_100),
        round_trip_us: Some(28_000),
        mos_hundredths: Some(436),
        relayed: Some(true),
    }
}

fn now_ms() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_millis() as i64
}

#[tokio::test]
async fn last_report_of_a_session_is_its_record_in_the_database() {
    let world = World::start("record");
    let since = now_ms();
    let ada = world.signaling.client();
    let joined = ada.join(join("stage", "Ada")).await;
    let early = QualityReport { join_ms: Some(240), ..QualityReport::default() };
    ada.done(Payload::QualityReport(early)).await;
    ada.done(Payload::QualityReport(report())).await;
    ada.done(Payload::Leave(Leave::default())).await;
    let [record] = world.records(1).await.try_into().expect("one");
    let (joined_at, ended_at) = (record.joined_at.expect("known"), record.ended_at);
    assert!(since <= joined_at && joined_at <= ended_at && ended_at <= now_ms(), "{record:?}");
    let expected = StoredQuality {
        project: DEFAULT_PROJECT.into(),
        room: "stage".into(),
        session: joined.peer_id,
        participant: format!("participant:{}", joined.user),
        joined_at: Some(joined_at),
        ended_at,
        join_ms: Some(240),
        first_frame_ms: Some(710),
        freezes: Some(1),
        frozen_ms: Some(420),
        packets_received: Some(61_200),
        packets_lost: Some(31),
        jitter_us: Some(3_100),
        round_trip_us: Some(28_000),
        mos_hundredths: Some(436),
        relayed: Some(true),
    };
    assert_eq!(record, expected);
}

#[tokio::test]
async fn report_comes_with_the_end_of_a_session_too_and_a_session_without_one_has_a_record() {
    let world = World::start("end");
    let (ada, bob, eve) = (world.signaling.client(), world.signaling.client(), world.signaling.client());
    ada.join(join("stage", "Ada")).await;
    let of_bob = bob.join(join("stage", "Bob")).await;
    eve.join(join("stage", "Eve")).await;
    // One that is out of range does not keep the client in the room.
    let wrong = QualityReport { mos_hundredths: Some(9), ..report() };
    ada.done(Payload::Leave(Leave { quality: Some(wrong) })).await;
    let goodbye = Goodbye { peer_id: of_bob.peer_id, secret: of_bob.resume_secret, quality: Some(report()) };
    world.signaling.rooms.on_leave_beacon(HERE, &goodbye.encode_to_vec()).expect("accepted");
    eve.disconnect();
    let mut records = world.records(3).await;
    records.sort_by_key(|record| record.round_trip_us);
    let times: Vec<_> = records.iter().map(|record| (record.round_trip_us, record.freezes)).collect();
    assert_eq!(times, [(None, None), (None, None), (Some(28_000), Some(1))]);
}

#[tokio::test]
async fn reports_out_of_range_and_too_many_of_them_are_refused() {
    let world = World::start("range");
    let ada = world.signaling.client();
    assert_eq!(ada.fails(Payload::QualityReport(report())).await, ErrorCode::WrongState);
    ada.join(join("stage", "Ada")).await;
    for wrong in [
        QualityReport { join_ms: Some(limits::QUALITY_JOIN_MS_MAX + 1), ..report() },
        QualityReport { first_frame_ms: Some(limits::QUALITY_FIRST_FRAME_MS_MAX + 1), ..report() },
        QualityReport { freezes: limits::QUALITY_FREEZES_MAX + 1, ..report() },
        QualityReport { packets_received: limits::QUALITY_PACKETS_MAX + 1, ..report() },
        QualityReport { packets_lost: u64::MAX, ..report() },
        QualityReport { jitter_us: Some(limits::QUALITY_DELAY_US_MAX + 1), ..report() },
        QualityReport { round_trip_us: Some(u32::MAX), ..report() },
        QualityReport { mos_hundredths: Some(99), ..report() },
        QualityReport { mos_hundredths: Some(451), ..report() },
    ] {
        assert_eq!(ada.fails(Payload::QualityReport(wrong)).await, ErrorCode::BadMessage, "{wrong:?}");
    }
    let mut accepted = 0;
    let refused = loop {
        match ada.ask(Payload::QualityReport(report())).await {
            Payload::Ack(_) => accepted += 1,
            Payload::Error(error) => break error,
            other => panic!("{other:?}"),
        }
        assert!(accepted < 1_000, "the reports are not bounded");
    };
    assert!(accepted >= limits::QUALITY_REPORTS_BURST as usize, "{accepted}");
    assert_eq!(refused.code(), ErrorCode::Limit);
    assert!(refused.retry_after_ms > 0, "{refused:?}");
}

#[tokio::test]
async fn metrics_have_each_first_picture_once_and_freezes_of_one_client_are_bounded() {
    let world = World::start("metrics");
    let (ada, bob) = (world.signaling.client(), world.signaling.client());
    ada.join(join("stage", "Ada")).await;
    bob.join(join("stage", "Bob")).await;
    ada.done(Payload::QualityReport(report())).await;
    ada.done(Payload::QualityReport(QualityReport { freezes: 3, ..report() })).await;
    ada.done(Payload::QualityReport(QualityReport { freezes: 2, ..report() })).await;
    bob.done(Payload::QualityReport(QualityReport { freezes: 900_000, first_frame_ms: None, ..report() }))
        .await;
    let page = world.metrics().await;
    for line in [
        "leat_signaling_client_join_duration_seconds_count 2".to_owned(),
        "leat_signaling_first_frame_duration_seconds_count 1".to_owned(),
        "leat_signaling_first_frame_duration_seconds_sum 0.71".to_owned(),
        "leat_signaling_first_frame_duration_seconds_bucket{le=\"1.0\"} 1".to_owned(),
        format!("leat_signaling_freezes_total {}", 3 + limits::FREEZES_PER_REPORT),
        "leat_signaling_quality_reports_total 4".to_owned(),
    ] {
        assert!(page.lines().any(|other| other == line), "{line:?} is not in {page}");
    }
}

#[tokio::test]
async fn restart_of_signaling_keeps_the_time_of_the_join() {
    let World { signaling, engine, accounts, dir } = World::start("restart");
    let ada = signaling.client();
    let joined = ada.join(join("stage", "Ada")).await;
    ada.transport("recv").await;
    let until = now_ms();
    drop(ada);
    signaling.kill().await;
    let signaling = Signaling::start_with(&engine.path, settings());
    let world = World { signaling, engine, accounts, dir };
    world.write_records();
    let rooms = world.signaling.rooms.clone();
    eventually("the peer is known again", || rooms.counts().peers_away == 1).await;
    let ada = world.signaling.client();
    let resume = proto::Resume {
        peer_id: joined.peer_id.clone(),
        secret: joined.resume_secret.clone(),
        ..proto::Resume::default()
    };
    let again = ada.join(proto::JoinRoom { resume: Some(resume), ..join("stage", "Ada") }).await;
    assert!(again.resumed, "{again:?}");
    ada.done(Payload::Leave(Leave { quality: Some(report()) })).await;
    let [record] = world.records(1).await.try_into().expect("one");
    assert_eq!(record.session, joined.peer_id);
    assert!(record.joined_at.is_some_and(|time| time <= until), "{record:?}, and the restart at {until}");
}
