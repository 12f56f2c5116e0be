//! Encode then decode, and decode then encode.

use crate::arbitrary::{event, request};
use control::{DecodeError, Event, Request};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_request_decodes_to_the_encoded_value(request in request()) {
        // The buffer's earlier content does not matter.
        let mut record = vec![0xa5; 77];
        request.encode(&mut record);
        prop_assert_eq!(Request::decode(&record), Ok(request));
    }

    #[test]
    fn an_event_decodes_to_the_encoded_value(event in event()) {
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
            // If the id could be read, the refusal can name it.
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
    fn trailing_bytes_are_refused(request in request(), event in event(), trailing in 1usize..9) {
        let mut record = Vec::new();
        request.encode(&mut record);
        record.resize(record.len() + trailing, 0);
        prop_assert_eq!(Request::decode(&record), Err((Some(request.id), DecodeError::Trailing(trailing))));
        event.encode(&mut record);
        record.resize(record.len() + trailing, 0);
        prop_assert_eq!(Event::decode(&record), Err(DecodeError::Trailing(trailing)));
    }

    /// A value has one binary form: bytes that decode encode to the same bytes, and nothing panics.
    #[test]
    fn decoded_bytes_encode_to_the_same_bytes(mut record in prop::collection::vec(any::<u8>(), 0..200), tag in 0u8..24) {
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

    /// The same with one byte of a valid record changed.
    #[test]
    fn a_changed_byte_is_refused_or_decodes_to_another_value(
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
