use super::*;
use crate::packet::frame::Frame;

fn packet(seq: u64, payload: &[u8]) -> MediaPacket<'_> {
    MediaPacket {
        seq: SeqNo(seq),
        timestamp: seq as u32,
        marker: Marker::default(),
        codec: Codec::Vp8,
        starts_keyframe: false,
        frame: Frame::Opaque,
        picture: None,
        carried: Carried::default(),
        descriptor: &[0x80, 0, 1],
        payload,
        padded: payload,
    }
}

#[test]
fn the_oldest_packet_is_replaced_when_the_cache_is_full() {
    let mut cache = Cache::new(4);
    for seq in 10..15 {
        assert!(cache.insert(&packet(seq, &[seq as u8; 7])));
    }
    assert!(cache.packet(SeqNo(10)).is_none());
    assert_eq!(cache.packet(SeqNo(11)).expect("within the last four").payload, [11; 7]);
    let newest = cache.packet(SeqNo(14)).expect("the newest");
    assert_eq!((newest.payload, newest.descriptor), (&[14; 7][..], &[0x80, 0, 1][..]));
}

#[test]
fn a_late_packet_does_not_replace_a_newer_one() {
    let mut cache = Cache::new(4);
    assert!(cache.insert(&packet(14, b"new")));
    assert!(!cache.insert(&packet(10, b"old")));
    assert_eq!(cache.packet(SeqNo(14)).expect("still there").payload, b"new");
}

#[test]
fn padding_includes_its_count_and_follows_the_payload() {
    let mut cache = Cache::new(4);
    assert!(cache.insert(&packet(1, b"payload")));
    cache.pad(SeqNo(1), 3);
    cache.pad(SeqNo(2), 3);
    let kept = cache.packet(SeqNo(1)).expect("just now");
    assert_eq!((kept.payload, kept.padded), (&b"payload"[..], &b"payload\0\0\x03"[..]));
    assert_eq!(kept.descriptor, [0x80, 0, 1]);
    assert!(cache.packet(SeqNo(2)).is_none());
    assert!(cache.insert(&packet(2, &[9; limits::CACHED_LEN_MAX - 4])));
    cache.pad(SeqNo(2), 2);
    let kept = cache.packet(SeqNo(2)).expect("just now");
    assert_eq!(kept.padded.len(), kept.payload.len(), "there is room for one byte only");
}

#[test]
fn a_packet_beyond_the_bound_is_not_stored() {
    let mut cache = Cache::new(4);
    assert!(!cache.insert(&packet(1, &[0; limits::CACHED_LEN_MAX - 2])));
    assert!(cache.packet(SeqNo(1)).is_none());
    assert!(cache.insert(&packet(2, &[9; limits::CACHED_LEN_MAX - 3])));
    assert!(cache.packet(SeqNo(2)).is_some());
}
