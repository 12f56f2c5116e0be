use super::*;
use proptest::prelude::*;

/// A naive writer, the reverse of `parse`.
fn write(descriptor: &Descriptor) -> Vec<u8> {
    let d = descriptor;
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let present = flag(d.picture_id.is_some(), I)
        | flag(d.tl0picidx.is_some(), L)
        | flag(d.tid.is_some(), T)
        | flag(d.key_idx.is_some(), K);
    let mut out = vec![
        flag(present != 0, X) | flag(d.non_reference, N) | flag(d.start_of_partition, S) | d.partition_id,
    ];
    if present != 0 {
        out.push(present);
    }
    match d.picture_id {
        Some(PictureId { value, bits15: true }) => out.extend((value | 0x8000).to_be_bytes()),
        Some(PictureId { value, bits15: false }) => out.push(value as u8),
        None => {}
    }
    out.extend(d.tl0picidx);
    if d.tid.is_some() || d.key_idx.is_some() {
        out.push(d.tid.unwrap_or(0) << 6 | flag(d.layer_sync, Y) | d.key_idx.unwrap_or(0));
    }
    out
}

/// As Chrome starts a 640×480 stream: 15-bit PictureID, TL0PICIDX, temporal layer.
const KEYFRAME: [u8; 16] = [
    0x90, 0xe0, 0x91, 0x23, 0x07, 0x20, // descriptor
    0x50, 0x42, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01, // frame tag, start code, size
];

#[test]
fn reads_every_field_of_the_full_descriptor() {
    let descriptor = Descriptor::parse(&KEYFRAME).expect("whole");
    assert_eq!(
        descriptor,
        Descriptor {
            start_of_partition: true,
            partition_id: 0,
            non_reference: false,
            picture_id: Some(PictureId { value: 0x1123, bits15: true }),
            tl0picidx: Some(7),
            tid: Some(0),
            layer_sync: true,
            key_idx: None,
            len: 6,
        }
    );
}

#[test]
fn detects_a_keyframe_and_its_size() {
    assert!(is_keyframe(&KEYFRAME));
    assert_eq!(keyframe_size(&KEYFRAME), Some(FrameSize { width: 640, height: 480 }));
    let with = |at: usize, byte: u8| {
        let mut payload = KEYFRAME;
        payload[at] = byte;
        payload
    };
    assert!(!is_keyframe(&with(6, 0x51)), "an interframe has the lowest bit set");
    assert!(!is_keyframe(&with(0, 0x80)), "not the start of a partition");
    assert!(!is_keyframe(&with(0, 0x91)), "the second partition");
    assert_eq!(keyframe_size(&with(3 + 6, 0)), None, "no start code, no size");
    assert_eq!(
        keyframe_size(&with(13, 0xc2)),
        Some(FrameSize { width: 640, height: 480 }),
        "the scaling hint is not part of the width"
    );
}

#[test]
fn cut_short_at_every_length_is_no_descriptor_or_no_keyframe() {
    for len in 0..6 {
        assert_eq!(Descriptor::parse(&KEYFRAME[..len]), None, "{len} bytes");
        assert!(!is_keyframe(&KEYFRAME[..len]), "{len} bytes");
    }
    assert!(!is_keyframe(&KEYFRAME[..6]), "a descriptor without VP8 bytes");
    for len in 7..16 {
        assert!(is_keyframe(&KEYFRAME[..len]), "{len} bytes");
        assert_eq!(keyframe_size(&KEYFRAME[..len]), None, "{len} bytes");
    }
}

#[test]
fn the_shortest_descriptor_is_one_byte() {
    let descriptor = Descriptor::parse(&[0x10]).expect("whole");
    assert_eq!((descriptor.len, descriptor.picture_id, descriptor.tid), (1, None, None));
    assert!(is_keyframe(&[0x10, 0x00]));
}

fn any_descriptor() -> impl Strategy<Value = Descriptor> {
    let picture_id =
        prop::option::of((0u16..0x8000, any::<bool>()).prop_map(|(value, bits15)| PictureId {
            value: if bits15 { value } else { value & 0x7f },
            bits15,
        }));
    let layer = prop::option::of((0u8..4, any::<bool>()));
    let flags = (any::<bool>(), 0u8..8, any::<bool>());
    (flags, picture_id, any::<Option<u8>>(), layer, prop::option::of(0u8..32)).prop_map(
        |((start_of_partition, partition_id, non_reference), picture_id, tl0picidx, layer, key_idx)| {
            Descriptor {
                start_of_partition,
                partition_id,
                non_reference,
                picture_id,
                tl0picidx,
                tid: layer.map(|(tid, _)| tid),
                layer_sync: layer.is_some_and(|(_, sync)| sync),
                key_idx,
                len: 0,
            }
        },
    )
}

proptest! {
    #[test]
    fn reads_what_the_naive_writer_wrote(mut descriptor in any_descriptor(), tail in any::<[u8; 3]>()) {
        let mut payload = write(&descriptor);
        descriptor.len = payload.len();
        for len in 0..payload.len() {
            prop_assert_eq!(Descriptor::parse(&payload[..len]), None);
        }
        payload.extend(tail);
        prop_assert_eq!(Descriptor::parse(&payload), Some(descriptor));
    }

    #[test]
    fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..20)) {
        let _ = (Descriptor::parse(&payload), is_keyframe(&payload), keyframe_size(&payload));
    }
}
