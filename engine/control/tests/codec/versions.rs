//! Records of a peer whose protocol version is one higher.

use control::{
    Closed, Command, DecodeError, Event, PROTOCOL_VERSION, Request, RequestId, RouterId, TransportId, version,
};

const NEWER: u32 = PROTOCOL_VERSION + 1;

#[test]
fn fields_of_a_newer_peer_are_skipped_and_those_of_others_refused() {
    let request = Request { id: RequestId(3), command: Command::CloseRouter { router: RouterId(1) } };
    let event = Event::TransportClosed { transport: TransportId(1), closed: Closed::PeerClosed };
    let mut record = Vec::new();
    request.encode(&mut record);
    record.extend([1, 2, 3]);
    assert_eq!(Request::decode_from(&record, NEWER), Ok(request));
    assert_eq!(Request::decode_from(&record, version()), Err((Some(RequestId(3)), DecodeError::Trailing(3))));
    event.encode(&mut record);
    record.extend([1, 2, 3]);
    assert_eq!(Event::decode_from(&record, NEWER), Ok(Some(event)));
    assert_eq!(Event::decode_from(&record, version()), Err(DecodeError::Trailing(3)));
}

#[test]
fn an_unknown_event_or_value_of_a_newer_peer_is_skipped_and_that_of_others_refused() {
    let mut record = Vec::new();
    Event::RouterClosed { router: RouterId(1), closed: Closed::Abandoned }.encode(&mut record);
    let mut unknown_reason = record.clone();
    *unknown_reason.last_mut().expect("the closing reason") = 200;
    record[0] = 200;
    for record in [record, unknown_reason] {
        assert_eq!(Event::decode_from(&record, NEWER), Ok(None));
        assert!(matches!(Event::decode_from(&record, version()), Err(DecodeError::UnknownTag { .. })));
    }
}

#[test]
fn an_unknown_command_of_a_newer_peer_is_refused_with_the_version_that_lacks_it() {
    let mut record = Vec::new();
    Request { id: RequestId(3), command: Command::Snapshot }.encode(&mut record);
    record[8] = 200;
    record.extend([1, 2, 3]);
    let (id, error) = Request::decode_from(&record, NEWER).expect_err("unknown");
    assert_eq!(id, Some(RequestId(3)));
    assert_eq!(error.to_string(), format!("protocol version {PROTOCOL_VERSION} has no command 200"));
}

/// What is cut short is refused, whichever version the peer has.
#[test]
fn a_record_of_a_newer_peer_that_is_cut_short_is_refused() {
    let mut record = Vec::new();
    Event::Overflow { lost: 7 }.encode(&mut record);
    for len in 0..record.len() {
        let error = Event::decode_from(&record[..len], NEWER).expect_err("cut short");
        assert!(matches!(error, DecodeError::Truncated { .. }), "{error}");
    }
}
