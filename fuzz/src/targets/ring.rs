//! What comes over the ring: the records of the other process.

use control::{Event, Request};

/// A record, read as a request and as an event. What decodes has one binary form: the bytes it came from.
pub fn ring_records(data: &[u8]) {
    let mut out = vec![0xa5; 7];
    match Request::decode(data) {
        Ok(request) => {
            request.encode(&mut out);
            assert_eq!(out, data, "{request:?} has two forms");
            assert_eq!(Request::decode(&out), Ok(request));
        }
        // Whoever can be answered is: a request's id is its first eight bytes.
        Err((id, _)) => assert_eq!(id.is_some(), data.len() >= 8),
    }
    if let Ok(event) = Event::decode(data) {
        event.encode(&mut out);
        assert_eq!(out, data, "{event:?} has two forms");
        assert_eq!(Event::decode(&out).as_ref(), Ok(&event));
        let _ = event.request();
    }
}
