use super::*;
use crate::proto;
use std::collections::BTreeSet;

const STATES: [SessionState; 5] = [
    SessionState::Handshaking,
    SessionState::Negotiating,
    SessionState::Connected,
    SessionState::Reconnecting,
    SessionState::Ended,
];

#[test]
fn table_is_that_of_the_file_which_the_client_reads_too() {
    let file: Vec<[String; 3]> =
        serde_json::from_str(include_str!("../../../proto/session_states.json")).expect("JSON");
    let table: Vec<_> = TRANSITIONS
        .iter()
        .map(|(from, event, to)| [from.name(), event.name(), to.name()].map(str::to_owned))
        .collect();
    assert_eq!(table, file);
}

#[test]
fn client_disconnect_ends_every_state_and_nothing_follows_the_end() {
    for state in STATES {
        let after = state.after(SessionEvent::ClientDisconnect);
        assert_eq!(after, (state != SessionState::Ended).then_some(SessionState::Ended), "{state:?}");
    }
    assert!(EVENTS.into_iter().all(|event| SessionState::Ended.after(event).is_none()));
    let entries: BTreeSet<_> = TRANSITIONS.iter().map(|(from, event, _)| (*from, *event)).collect();
    assert_eq!(entries.len(), TRANSITIONS.len(), "one transition for each state and event");
}

#[test]
fn events_of_the_path_have_a_transition() {
    for (state, has_path) in STATES.into_iter().flat_map(|state| [(state, true), (state, false)]) {
        let Some(event) = state.event_of_path(has_path) else { continue };
        let after = state.after(event);
        let expected = if has_path { SessionState::Connected } else { SessionState::Reconnecting };
        assert_eq!(after, Some(expected), "{state:?}");
    }
}

/// Every request, with the states in which it is possible.
#[test]
fn each_request_is_possible_in_its_states_only() {
    let in_room = [SessionState::Negotiating, SessionState::Connected, SessionState::Reconnecting];
    for request in requests() {
        let possible: &[_] = match request {
            Request::JoinRoom(_) => &[SessionState::Handshaking],
            _ => &in_room,
        };
        let while_waiting = SessionState::Handshaking.check(&request, true);
        assert_eq!(while_waiting.is_ok(), matches!(request, Request::Leave(_)), "{request:?} while waiting");
        for state in STATES {
            let checked = state.check(&request, false);
            if possible.contains(&state) {
                assert_eq!(checked, Ok(()), "{request:?} while {state:?}");
                continue;
            }
            let error = checked.expect_err("refused");
            assert_eq!(error.code, ErrorCode::WrongState, "{request:?} while {state:?}");
            assert!(error.message.len() > 20, "a sentence, not {:?}", error.message);
            assert_eq!(error.retry_after, None);
        }
    }
}

/// One of each kind.
fn requests() -> Vec<Request> {
    let all = vec![
        Request::JoinRoom(proto::JoinRoom::default()),
        Request::Leave(proto::Leave::default()),
        Request::GetRouterCapabilities,
        Request::CreateTransport(proto::CreateTransport::default()),
        Request::CreatePlainTransport(proto::CreatePlainTransport::default()),
        Request::ConnectTransport(proto::ConnectTransport::default()),
        Request::ConnectPlainTransport(proto::ConnectPlainTransport::default()),
        Request::RestartIce(proto::RestartIce::default()),
        Request::SetBitrates(proto::SetBitrates::default()),
        Request::CloseTransport(proto::CloseTransport::default()),
        Request::ProduceMedia(proto::ProduceMedia::default()),
        Request::PauseProducer(proto::PauseProducer::default()),
        Request::ResumeProducer(proto::ResumeProducer::default()),
        Request::CloseProducer(proto::CloseProducer::default()),
        Request::ConsumeMedia(proto::ConsumeMedia::default()),
        Request::PauseConsumer(proto::PauseConsumer::default()),
        Request::ResumeConsumer(proto::ResumeConsumer::default()),
        Request::CloseConsumer(proto::CloseConsumer::default()),
        Request::SetPreferredLayers(proto::SetPreferredLayers::default()),
        Request::SetPriority(proto::SetPriority::default()),
        Request::GetStats(proto::GetStats::default()),
        Request::RefreshToken(proto::RefreshToken::default()),
        Request::Kick(proto::Kick::default()),
        Request::MutePeer(proto::MutePeer::default()),
        Request::MuteProducer(proto::MuteProducer::default()),
        Request::SetRoom(proto::SetRoom::default()),
        Request::AdmitPeer(proto::AdmitPeer::default()),
        Request::DenyPeer(proto::DenyPeer::default()),
        Request::SetSubscribers(proto::SetSubscribers::default()),
        Request::SetMetadata(proto::SetMetadata::default()),
        Request::SetPresence(proto::SetPresence::default()),
        Request::Offer(proto::Offer::default()),
        Request::Answer(proto::Answer::default()),
        Request::Candidate(proto::Candidate::default()),
        Request::SendMessage(proto::SendMessage::default()),
        Request::EndRoom(proto::EndRoom::default()),
        Request::ProduceData(proto::ProduceData::default()),
        Request::ConsumeData(proto::ConsumeData::default()),
        Request::CloseDataProducer(proto::CloseDataProducer::default()),
        Request::CloseDataConsumer(proto::CloseDataConsumer::default()),
        Request::SetAdmin(proto::SetAdmin::default()),
        Request::QualityReport(proto::QualityReport::default()),
    ];
    let numbers: BTreeSet<_> = all.iter().map(number).collect();
    assert_eq!(numbers, (0..all.len()).collect(), "each kind once");
    all
}

/// The place of a request in the list above. A new kind of request does not compile without its number, and
/// [`requests`] fails without its entry.
fn number(request: &Request) -> usize {
    match request {
        Request::JoinRoom(_) => 0,
        Request::Leave(_) => 1,
        Request::GetRouterCapabilities => 2,
        Request::CreateTransport(_) => 3,
        Request::CreatePlainTransport(_) => 4,
        Request::ConnectTransport(_) => 5,
        Request::ConnectPlainTransport(_) => 6,
        Request::RestartIce(_) => 7,
        Request::SetBitrates(_) => 8,
        Request::CloseTransport(_) => 9,
        Request::ProduceMedia(_) => 10,
        Request::PauseProducer(_) => 11,
        Request::ResumeProducer(_) => 12,
        Request::CloseProducer(_) => 13,
        Request::ConsumeMedia(_) => 14,
        Request::PauseConsumer(_) => 15,
        Request::ResumeConsumer(_) => 16,
        Request::CloseConsumer(_) => 17,
        Request::SetPreferredLayers(_) => 18,
        Request::SetPriority(_) => 19,
        Request::GetStats(_) => 20,
        Request::RefreshToken(_) => 21,
        Request::Kick(_) => 22,
        Request::MutePeer(_) => 23,
        Request::MuteProducer(_) => 24,
        Request::SetRoom(_) => 25,
        Request::AdmitPeer(_) => 26,
        Request::DenyPeer(_) => 27,
        Request::SetSubscribers(_) => 28,
        Request::SetMetadata(_) => 29,
        Request::SetPresence(_) => 30,
        Request::Offer(_) => 31,
        Request::Answer(_) => 32,
        Request::Candidate(_) => 33,
        Request::SendMessage(_) => 34,
        Request::EndRoom(_) => 35,
        Request::ProduceData(_) => 36,
        Request::ConsumeData(_) => 37,
        Request::CloseDataProducer(_) => 38,
        Request::CloseDataConsumer(_) => 39,
        Request::SetAdmin(_) => 40,
        Request::QualityReport(_) => 41,
    }
}
