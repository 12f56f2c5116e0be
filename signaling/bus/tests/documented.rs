//! The page `docs/events.md` has every subject and payload, exactly as they are sent.

use bus::{CallQuality, Event, Participant, Revocation, ServerState, Track, TurnReport, What};
use std::time::Duration;

const PAGE: &str = include_str!("../../../docs/events.md");

/// One of each; a new type does not compile here until it is added.
fn all() -> Vec<What> {
    let participant =
        || Participant { id: "00c0ffee00c0ffee".to_owned(), user: "ada".to_owned(), name: "Ada".to_owned() };
    let track =
        || Track { id: "0000000000000007".to_owned(), kind: "video".to_owned(), source: "camera".to_owned() };
    let quality = CallQuality {
        joined_at_ms: Some(1_795_999_400_000),
        join_ms: Some(240),
        first_frame_ms: Some(710),
        freezes: Some(1),
        frozen_ms: Some(420),
        packets_received: Some(61_200),
        packets_lost: Some(31),
        jitter_us: Some(3_100),
        round_trip_us: Some(28_000),
        mos_hundredths: Some(436),
        relayed: Some(false),
    };
    let all = vec![
        What::RoomCreated,
        What::RoomClosed,
        What::ParticipantJoined { participant: participant() },
        What::ParticipantLeft { participant: participant() },
        What::TrackPublished { participant: participant(), track: track() },
        What::TrackUnpublished { participant: participant(), track: track() },
        What::SessionState {
            participant: participant(),
            from: "Negotiating".to_owned(),
            to: "Connected".to_owned(),
        },
        What::SessionQuality { participant: participant(), quality },
    ];
    for what in &all {
        match what {
            What::RoomCreated
            | What::RoomClosed
            | What::ParticipantJoined { .. }
            | What::ParticipantLeft { .. }
            | What::TrackPublished { .. }
            | What::TrackUnpublished { .. }
            | What::SessionState { .. }
            | What::SessionQuality { .. }
            | What::Unknown => {}
        }
    }
    all
}

fn row(subject: &str, json: &[u8]) -> String {
    format!("| `{subject}` | `{}` |", String::from_utf8_lossy(json))
}

#[test]
fn every_event_is_on_the_page_and_no_other() {
    let time = Duration::from_millis(1_796_000_000_000);
    let events: Vec<Event> =
        all().into_iter().map(|what| Event::new("PROJECT", "ROOM", time, what)).collect();
    for event in &events {
        let row = row(&event.subject(), &event.to_json());
        assert!(PAGE.contains(&row), "docs/events.md has no row\n{row}");
        assert_eq!(Event::from_json(&event.to_json()).as_ref(), Some(event));
    }
    let rows = PAGE.lines().filter(|line| line.starts_with("| `leat.v1.")).count();
    assert_eq!(rows, events.len(), "rows of events");
}

#[test]
fn the_list_of_types_has_every_type_as_it_is_sent() {
    let names: Vec<&str> = all().iter().map(What::type_name).collect();
    assert_eq!(names, What::TYPES);
    for what in all() {
        let json = serde_json::to_value(&what).expect("JSON");
        assert_eq!(json["type"], what.type_name());
    }
}

#[test]
fn the_report_of_a_turn_server_is_on_the_page() {
    let report = TurnReport {
        version: TurnReport::VERSION,
        server: "SERVER".to_owned(),
        region: "REGION".parse().expect("a region"),
        urls: vec!["turn:192.0.2.1:3478?transport=udp".parse().expect("a URL")],
        secrets: vec!["0123456789abcdef".to_owned()],
        allocations: 3,
        capacity: 8_192,
        state: ServerState::Up,
    };
    let row = row(&report.subject(), &report.to_json());
    assert!(PAGE.contains(&row), "docs/events.md has no row\n{row}");
    for state in [ServerState::Up, ServerState::Draining, ServerState::Ended] {
        let json = serde_json::to_string(&state).expect("a name").replace('"', "`");
        assert!(PAGE.contains(&json), "{json}");
    }
}

#[test]
fn a_revocation_is_on_the_page() {
    let revocation = Revocation::new("ada", Duration::from_secs(1_796_003_600));
    let json = serde_json::to_vec(&revocation).expect("JSON");
    let row = row("$KV.leat_turn_revocations.ada", &json);
    assert!(PAGE.contains(&row), "docs/events.md has no row\n{row}");
}

#[test]
fn unknown_fields_and_types_are_tolerated() {
    let json = br#"{"version":1,"time_ms":1,"project":"p","room":"r","type":"room.moved","where":{"a":[1]}}"#;
    assert_eq!(Event::from_json(json).map(|event| event.what), Some(What::Unknown));
    let json = br#"{"version":1,"time_ms":1,"project":"p","room":"r","type":"room.closed","why":"empty"}"#;
    assert_eq!(Event::from_json(json).map(|event| event.what), Some(What::RoomClosed));
    for other in [&b""[..], b"{}", b"[]", b"\xff", &[b' '; 20_000]] {
        assert_eq!(Event::from_json(other), None);
    }
}
