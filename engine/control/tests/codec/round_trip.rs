//! Written, read again; and read, written again.

use crate::arbitrary::{event, request};
use control::{DecodeError, Event, Request};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_request_comes_back_as_it_was(request in request()) {
        // What was in the buffer before does not matter.
        let mut record = vec![0xa5; 77];
        request.encode(&mut record);
        prop_assert_eq!(Request::decode(&record), Ok(request));
    }

    #[test]
    fn an_event_comes_back_as_it_was(event in event()) {
        let mut record = vec![0xa5; 77];
        event.encode(&mut record);
        prop_assert_eq!(Event::decode(&record), Ok(event));
    }

    #[test]
    fn a_request_cut_short_anywhere_is_refused(request in request()) {
        let mut record = Vec::new();
        request.encode(&mut record);
        for len in 0..record.len() {
            let (id, error) = Request::decode(&record[..len]).expect_err("cut short");
            prop_assert!(matches!(error, DecodeError::Truncated { missing: 1.. }), "{error} at {len}");
            // Where the id could be read, the refusal can be answered.
            prop_assert_eq!(id, (len >= 8).then_some(request.id));
        }
    }

    #[test]
    fn an_event_cut_short_anywhere_is_refused(event in event()) {
        let mut record = Vec::new();
        event.encode(&mut record);
        for len in 0..record.len() {
            let error = Event::decode(&record[..len]).expect_err("cut short");
            prop_assert!(matches!(error, DecodeError::Truncated { missing: 1.. }), "{error} at {len}");
        }
    }

    #[test]
    fn what_follows_the_last_field_is_refused(request in request(), event in event(), trailing in 1usize..9) {
        let mut record = Vec::new();
        request.encode(&mut record);
        record.resize(record.len() + trailing, 0);
        prop_assert_eq!(Request::decode(&record), Err((Some(request.id), DecodeError::Trailing(trailing))));
        event.encode(&mut record);
        record.resize(record.len() + trailing, 0);
        prop_assert_eq!(Event::decode(&record), Err(DecodeError::Trailing(trailing)));
    }

    /// There is one binary form of a value: whatever decodes encodes to the same bytes, and nothing panics.
    #[test]
    fn whatever_decodes_has_been_written_so(mut record in prop::collection::vec(any::<u8>(), 0..200), tag in 0u8..24) {
        let mut again = Vec::new();
        if let Some(place) = record.get_mut(8) {
            *place = tag;
        }
        if let Ok(request) = Request::decode(&record) {
            request.encode(&mut again);
            prop_assert_eq!(&again, &record);
        }
        if let Some(place) = record.first_mut() {
            *place = tag;
        }
        if let Ok(event) = Event::decode(&record) {
            event.encode(&mut again);
            prop_assert_eq!(&again, &record);
        }
    }

    /// The same, close to what is valid: one byte of a record is another.
    #[test]
    fn a_changed_byte_is_refused_or_means_something_else(
        request in request(),
        event in event(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (mut record, mut again) = (Vec::new(), Vec::new());
        request.encode(&mut record);
        let at_request = at.index(record.len());
        record[at_request] = byte;
        if let Ok(request) = Request::decode(&record) {
            request.encode(&mut again);
            prop_assert_eq!(&again, &record);
        }
        event.encode(&mut record);
        let at_event = at.index(record.len());
        record[at_event] = byte;
        if let Ok(event) = Event::decode(&record) {
            event.encode(&mut again);
            prop_assert_eq!(&again, &record);
        }
    }
}
