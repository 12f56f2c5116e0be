use super::*;
use crate::settings::Settings;
use bus::{Participant, What};
use std::time::Duration;

fn event(room: &str, what: What) -> Event {
    Event::new("p", room, Duration::from_secs(1), what)
}

fn intake(types: &[&'static str]) -> (EventIntake, Arc<Counters>) {
    let counters = Arc::<Counters>::default();
    (EventIntake::new(types.to_vec(), 2, counters.clone()), counters)
}

fn dropped(counters: &Counters, reason: &str) -> u64 {
    counters.read().dropped.iter().find(|(name, _)| *name == reason).expect("a reason").1
}

#[tokio::test]
async fn only_the_selected_types_are_taken() {
    let (intake, _) = intake(Settings::DEFAULT_TYPES);
    let participant = Participant { id: "1".into(), user: "ada".into(), name: "Ada".into() };
    let (from, to) = ("Handshaking".to_owned(), "Ended".to_owned());
    intake.put(&event("stage", What::RoomCreated));
    intake.put(&event("stage", What::SessionState { participant: participant.clone(), from, to }));
    intake.put(&event("stage", What::Unknown));
    intake.put(&event("stage", What::ParticipantLeft { participant }));
    let batch = intake.next_batch().await.expect("events");
    let found: Vec<Option<What>> =
        batch.iter().map(|event| Event::from_json(event.body.as_bytes()).map(|event| event.what)).collect();
    assert!(matches!(&found[..], [Some(What::RoomCreated), Some(What::ParticipantLeft { .. })]), "{found:?}");
    assert!(batch.iter().all(|event| event.room == "p/stage"));
}

#[tokio::test]
async fn without_a_database_the_newest_events_are_kept_and_the_others_counted() {
    let (intake, counters) = intake(Settings::DEFAULT_TYPES);
    for number in 0..INTAKE_LEN + 3 {
        intake.put(&event(&number.to_string(), What::RoomCreated));
    }
    assert_eq!(dropped(&counters, "store_away"), 6, "for each of two targets");
    let batch = intake.next_batch().await.expect("events");
    assert_eq!((batch.len(), batch[0].room.as_str()), (INTAKE_BATCH_LEN, "p/3"));
    assert!(batch.is_sorted_by(|a, b| a.id < b.id));
    // One more arrives while these are written.
    intake.put(&event("last", What::RoomCreated));
    intake.remove(&batch);
    let next = intake.next_batch().await.expect("events");
    assert_eq!(next[0].room, format!("p/{}", 3 + INTAKE_BATCH_LEN));
}

#[tokio::test]
async fn a_body_that_is_too_long_is_dropped_and_counted() {
    let (intake, counters) = intake(Settings::DEFAULT_TYPES);
    let participant = |len| Participant { id: "1".into(), user: "ada".into(), name: "x".repeat(len) };
    intake.put(&event("stage", What::ParticipantJoined { participant: participant(BODY_BYTES_MAX) }));
    assert_eq!(dropped(&counters, "invalid"), 2);
    intake.put(&event("stage", What::ParticipantJoined { participant: participant(BODY_BYTES_MAX / 2) }));
    assert_eq!(intake.next_batch().await.expect("events").len(), 1);
}

#[tokio::test]
async fn a_closed_intake_ends_after_its_last_event() {
    let (intake, _) = intake(Settings::DEFAULT_TYPES);
    intake.put(&event("stage", What::RoomCreated));
    intake.close();
    let batch = intake.next_batch().await.expect("an event");
    intake.remove(&batch);
    assert_eq!(intake.next_batch().await, None);
}
