//! The ring between two processes: the records of the other one, and its memory.

use control::{Event, Request};
use shm::limits::{COMMAND_RING_BYTES, RECORD_BYTES_MAX};

use crate::hostile::{self, COMMANDS, EVENTS, Pair, RECORD_TAG, REGION_BYTES, STATS};
use crate::script::Script;

/// A record, read as a request and as an event. A decodable one has one binary form: the same bytes.
pub fn ring_records(data: &[u8]) {
    let mut out = vec![0xa5; 7];
    match Request::decode(data) {
        Ok(request) => {
            request.encode(&mut out);
            assert_eq!(out, data, "{request:?} has two forms");
            assert_eq!(Request::decode(&out), Ok(request));
        }
        // A request whose id could be read can be answered: its id is its first eight bytes.
        Err((id, _)) => assert_eq!(id.is_some(), data.len() >= 8),
    }
    if let Ok(event) = Event::decode(data) {
        event.encode(&mut out);
        assert_eq!(out, data, "{event:?} has two forms");
        assert_eq!(Event::decode(&out).as_ref(), Ok(&event));
        let _ = event.request();
    }
    // A newer peer's record may continue with fields that this version does not know.
    let newer = control::PROTOCOL_VERSION + 1;
    if let Ok(request) = Request::decode_from(data, newer) {
        request.encode(&mut out);
        assert!(data.starts_with(&out), "{request:?} has two forms");
    }
    if let Ok(Some(event)) = Event::decode_from(data, newer) {
        event.encode(&mut out);
        assert!(data.starts_with(&out), "{event:?} has two forms");
    }
}

/// A worker's end, while the process at the other end writes anything into the shared memory. A correct
/// record arrives unchanged; anything else causes a permanent `Corrupt`, never a panic, never a record above
/// the maximum length.
pub fn ring_memory(data: &[u8]) {
    let mut script = Script::new(data);
    if script.u8() == 1 {
        return hostile::knock(script.remainder());
    }
    let mut pair = hostile::attach();
    // A correct controller's knowledge of its own writes.
    let mut honest_head = Some(0);
    let mut expected: Vec<Vec<u8>> = Vec::new();
    let mut dead = None;
    for _ in 0..64 {
        if script.is_over() {
            break;
        }
        match script.u8() % 6 {
            0 => {
                let record = script.blob();
                if let Some(head) = honest_head {
                    let room = COMMAND_RING_BYTES as u64 - (head - pair.peek(COMMANDS.tail).min(head));
                    let framed = 8 + record.len().next_multiple_of(8) as u64;
                    if framed <= room {
                        write_record(&pair, head, record);
                        pair.poke(COMMANDS.head, head + framed);
                        honest_head = Some(head + framed);
                        expected.push(record.to_vec());
                    }
                }
            }
            1 => {
                let mut into = vec![0xa5; 3];
                let popped = pair.worker.commands.pop(&mut into);
                match popped {
                    Ok(Some(len)) => {
                        assert!(len == into.len() && len <= RECORD_BYTES_MAX);
                        if honest_head.is_some() {
                            assert_eq!(into, expected.remove(0), "a correct record arrives as it was sent");
                        }
                        let _ = Request::decode(&into);
                    }
                    Ok(None) => {
                        assert_eq!(into, [0xa5; 3], "nothing popped, nothing touched");
                        assert!(honest_head.is_none() || expected.is_empty());
                    }
                    Err(corrupt) => {
                        assert!(honest_head.is_none(), "a correct ring is reported corrupt: {corrupt}");
                        assert!(dead.is_none_or(|dead| dead == corrupt), "the error stays the same");
                        dead = Some(corrupt);
                    }
                }
                assert!(dead.is_none() || popped.is_err(), "a corrupt ring came back to life");
            }
            2 => {
                // At an important place, a plausible value.
                honest_head = None;
                let at = script.choice(&[
                    COMMANDS.head,
                    COMMANDS.tail,
                    COMMANDS.awake,
                    COMMANDS.data,
                    EVENTS.head,
                    EVENTS.tail,
                    EVENTS.awake,
                    EVENTS.data,
                    STATS,
                ]);
                let small = u64::from(script.u32());
                let word = match script.u8() % 5 {
                    0 => small,
                    1 => small & !7,
                    2 => RECORD_TAG | small,
                    3 => RECORD_TAG | (small % (2 * RECORD_BYTES_MAX as u64)),
                    _ => u64::from_be_bytes(script.array()),
                };
                pair.poke(at, word);
            }
            3 => {
                // Any value anywhere, aligned or not.
                honest_head = None;
                let at = u64::from(script.u32()) % REGION_BYTES;
                pair.poke(at, u64::from_be_bytes(script.array()));
            }
            4 => {
                // The worker continues.
                let len = usize::from(script.u16());
                let _ = pair.worker.events.has_room(len);
                let _ = pair.worker.events.push(&vec![0x5a; len]);
                let _ = pair.worker.events.wants_doorbell();
            }
            _ => {
                let _ = pair.worker.commands.may_sleep();
                pair.worker.commands.stay_awake();
                pair.worker.stats.write(&[u64::from(script.u8()); 9]);
            }
        }
    }
}

/// Writes a record at the cursor `head`, word by word across the ring's end.
fn write_record(pair: &Pair, head: u64, record: &[u8]) {
    let mut at = head;
    let mut put = |word: u64| {
        pair.poke(COMMANDS.data + at % COMMAND_RING_BYTES as u64, word);
        at += 8;
    };
    put(RECORD_TAG | record.len() as u64);
    for chunk in record.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        put(u64::from_le_bytes(word));
    }
}
