use super::*;
use proptest::prelude::*;

/// The first packet of an L3T3 stream in non-flexible mode, as RFC 9628 §4.2 lays it out.
const KEY: [u8; 26] = [
    0b1010_1010, // I, L, B, V: no P, so it refers to nothing
    0x91,
    0x23,        // M, PictureID 0x1123
    0b0001_0000, // TID 0, U, SID 0, no D
    0x07,        // TL0PICIDX
    0b0101_1000, // N_S 2: three layers; Y, G
    0x01,
    0x40,
    0x00,
    0xb4, // 320×180
    0x02,
    0x80,
    0x01,
    0x68, // 640×360
    0x05,
    0x00,
    0x02,
    0xd0, // 1280×720
    0x02, // two pictures
    0b0000_0100,
    0x04, // TID 0, one reference, four back
    0b0101_1000,
    0x01,
    0x02, // TID 2, U, two references
    0x82,
    0x49, // VP9 bytes
];

#[test]
fn reads_every_field_of_a_non_flexible_descriptor() {
    let descriptor = Descriptor::parse(&KEY).expect("whole");
    assert_eq!(descriptor.picture_id, Some(PictureId { value: 0x1123, bits15: true }));
    assert_eq!(
        descriptor.layer,
        Some(Layer { tid: 0, switching_up: true, sid: 0, inter_layer_predicted: false })
    );
    assert_eq!(descriptor.tl0picidx, Some(7));
    assert_eq!((descriptor.start_of_frame, descriptor.end_of_frame), (true, false));
    assert!(!descriptor.flexible && !descriptor.inter_picture_predicted);
    assert!(descriptor.references.diffs().is_empty());
    assert_eq!(descriptor.len, 24);
    let structure = descriptor.structure.expect("V is set");
    assert_eq!(structure.spatial_layers, 3);
    assert_eq!(structure.size(0), Some(FrameSize { width: 320, height: 180 }));
    assert_eq!(structure.size(2), Some(FrameSize { width: 1280, height: 720 }));
    assert_eq!(structure.size(3), None);
    let pictures: Vec<_> = structure.pictures().expect("G is set").collect();
    assert_eq!(
        pictures,
        [
            GroupPicture { tid: 0, switching_up: false, diffs: &[4] },
            GroupPicture { tid: 2, switching_up: true, diffs: &[1, 2] },
        ]
    );
}

#[test]
fn reads_every_field_of_a_flexible_descriptor() {
    let payload = [
        0b1111_0101, // I, P, L, F, E, Z
        0x7f,        // PictureID in seven bits
        0b0110_0101, // TID 3, no U, SID 2, D
        0b0000_0011, // one back, N
        0b0000_1001, // four back, N
        0b1111_1110, // 127 back
        0xa5,
    ];
    let descriptor = Descriptor::parse(&payload).expect("whole");
    assert_eq!(descriptor.picture_id, Some(PictureId { value: 0x7f, bits15: false }));
    assert_eq!((descriptor.tid(), descriptor.sid()), (3, 2));
    assert!(descriptor.layer.expect("L is set").inter_layer_predicted);
    assert_eq!(descriptor.tl0picidx, None, "there is none in flexible mode");
    assert_eq!(descriptor.references.diffs(), [1, 4, 127]);
    assert!(descriptor.flexible && descriptor.inter_picture_predicted && descriptor.not_for_upper_layers);
    assert!(descriptor.end_of_frame && !descriptor.start_of_frame);
    assert_eq!((descriptor.structure, descriptor.len), (None, 6));

    let mut fourth = payload;
    fourth[5] |= N;
    assert_eq!(Descriptor::parse(&fourth), None, "a fourth reference does not exist");
}

#[test]
fn detects_a_key_picture_at_the_start_of_its_base_layer() {
    assert!(is_keyframe(&KEY));
    let with = |at: usize, byte: u8| {
        let mut payload = KEY;
        payload[at] = byte;
        payload
    };
    assert!(!is_keyframe(&with(0, KEY[0] | P)), "it refers to an earlier picture");
    assert!(!is_keyframe(&with(0, KEY[0] & !B)), "a later packet of the frame");
    assert!(!is_keyframe(&with(3, 0b0000_0010)), "an upper spatial layer");
    assert!(!is_keyframe(&with(3, 0b0000_0001)), "no base layer refers to one below it");
    assert!(is_keyframe(&[B, 0x82]), "a stream with one layer");
    assert!(!is_keyframe(&[B]), "a descriptor without VP9 bytes");
}

#[test]
fn a_picture_ends_with_the_top_layer_that_is_forwarded() {
    let end_of = |sid: u8| [L | E, sid << 1, 0];
    let ends = |sid, marker, top| Descriptor::parse(&end_of(sid)).expect("whole").ends_picture(marker, top);
    assert!(ends(1, false, 1), "the upper layers are dropped");
    assert!(!ends(0, false, 1), "layer 1 follows");
    assert!(ends(0, true, 1), "the picture has no layer 1");
    let middle = [L, 1 << 1, 0];
    assert!(!Descriptor::parse(&middle).expect("whole").ends_picture(false, 1), "the frame continues");
}

#[test]
fn the_frame_header_identifies_a_keyframe() {
    use FrameHeader::{Inter, Key, Unreadable};
    // From libvpx by ffmpeg: profile 0, shown.
    assert_eq!(FrameHeader::read(&[0x82, 0x49, 0x83, 0x42, 0x00]), Key);
    assert_eq!(FrameHeader::read(&[0x86, 0x00, 0x40, 0x92]), Inter);
    // Profiles 1 and 2, the latter error resilient and not shown.
    assert_eq!(FrameHeader::read(&[0xa2, 0x49, 0x83, 0x42]), Key);
    assert_eq!(FrameHeader::read(&[0x91, 0x49, 0x83, 0x42]), Key);
    assert_eq!(FrameHeader::read(&[0xa6]), Inter);
    // Profile 3: 10 11 0, then 0 0 1 0 and the sync code, all shifted by one bit.
    let [high, middle, low, rest] = (SYNC_CODE << 7).to_be_bytes();
    assert_eq!(FrameHeader::read(&[0b1011_0001, high, middle, low, rest]), Key);
    assert_eq!(FrameHeader::read(&[0b1011_0001, high | 0x80, middle, low, rest | 0x7f]), Key);
    assert_eq!(FrameHeader::read(&[0b1011_0011, 0, 0, 0, 0]), Inter);
    // A frame that is shown again.
    assert_eq!(FrameHeader::read(&[0x88]), Inter);
    assert_eq!(FrameHeader::read(&[0b1011_0100]), Inter);
    // Another marker, another sync code, and cut-short headers.
    for frame in [&[0x42, 0x49, 0x83, 0x42][..], &[0x82, 0x49, 0x83, 0x43], &[0x82, 0x49, 0x83], &[0x82], &[]]
    {
        assert_eq!(FrameHeader::read(frame), Unreadable, "{frame:x?}");
    }
    assert_eq!(FrameHeader::read(&[0b1011_0001, high, middle, low]), Unreadable);
}

#[test]
fn cut_short_at_every_length_is_no_descriptor() {
    for len in 0..24 {
        assert_eq!(Descriptor::parse(&KEY[..len]), None, "{len} bytes");
        assert!(!is_keyframe(&KEY[..len]), "{len} bytes");
    }
    assert!(!is_keyframe(&KEY[..24]) && is_keyframe(&KEY[..25]));
}

/// The input of the naive writer; vectors in place of the view's slices.
#[derive(Clone, Debug)]
struct Plain {
    flags: u8,
    picture_id: u16,
    layer: (u8, bool, u8, bool),
    tl0picidx: u8,
    diffs: Vec<u8>,
    sizes: Vec<(u16, u16)>,
    structure_flags: u8,
    pictures: Vec<(u8, bool, Vec<u8>)>,
}

fn any_plain() -> impl Strategy<Value = Plain> {
    let layer = (0u8..8, any::<bool>(), 0u8..8, any::<bool>());
    let picture = (0u8..8, any::<bool>(), prop::collection::vec(any::<u8>(), 0..4));
    (
        (any::<u8>(), any::<u16>(), layer, any::<u8>()),
        prop::collection::vec(0u8..128, 1..4),
        prop::collection::vec(any::<(u16, u16)>(), 1..9),
        any::<u8>(),
        prop::collection::vec(picture, 0..6),
    )
        .prop_map(|((flags, picture_id, layer, tl0picidx), diffs, sizes, structure_flags, pictures)| {
            Plain { flags, picture_id, layer, tl0picidx, diffs, sizes, structure_flags, pictures }
        })
}

/// A naive writer, the reverse of `parse`.
fn write(plain: &Plain) -> Vec<u8> {
    let mut out = vec![plain.flags];
    let has = |flag: u8| plain.flags & flag != 0;
    if has(I) {
        match plain.picture_id {
            short @ 0..0x80 => out.push(short as u8),
            long => out.extend((long | 0x8000).to_be_bytes()),
        }
    }
    if has(L) {
        let (tid, up, sid, below) = plain.layer;
        out.push(tid * 32 + u8::from(up) * 16 + sid * 2 + u8::from(below));
        if !has(F) {
            out.push(plain.tl0picidx);
        }
    }
    if has(F) && has(P) {
        for (at, diff) in plain.diffs.iter().enumerate() {
            out.push(diff * 2 + u8::from(at + 1 < plain.diffs.len()));
        }
    }
    if has(V) {
        let shape = plain.structure_flags & (SS_Y | SS_G);
        out.push((plain.sizes.len() as u8 - 1) * 32 + shape);
        if shape & SS_Y != 0 {
            for (width, height) in &plain.sizes {
                out.extend(width.to_be_bytes());
                out.extend(height.to_be_bytes());
            }
        }
        if shape & SS_G != 0 {
            out.push(plain.pictures.len() as u8);
            for (tid, up, diffs) in &plain.pictures {
                out.push(tid * 32 + u8::from(*up) * 16 + diffs.len() as u8 * 4);
                out.extend(diffs);
            }
        }
    }
    out
}

proptest! {
    #[test]
    fn reads_what_the_naive_writer_wrote(plain in any_plain(), tail in any::<[u8; 3]>()) {
        let mut payload = write(&plain);
        let len = payload.len();
        for cut in 0..len {
            prop_assert_eq!(Descriptor::parse(&payload[..cut]), None);
        }
        payload.extend(tail);
        let read = Descriptor::parse(&payload).expect("whole");
        let has = |flag: u8| plain.flags & flag != 0;
        prop_assert_eq!(read.len, len);
        prop_assert_eq!(
            (read.inter_picture_predicted, read.flexible, read.start_of_frame, read.end_of_frame),
            (has(P), has(F), has(B), has(E))
        );
        prop_assert_eq!(read.not_for_upper_layers, has(Z));
        let bits15 = plain.picture_id >= 0x80;
        prop_assert_eq!(
            read.picture_id,
            has(I).then_some(PictureId { value: plain.picture_id & 0x7fff, bits15 })
        );
        let (tid, switching_up, sid, inter_layer_predicted) = plain.layer;
        prop_assert_eq!(
            read.layer,
            has(L).then_some(Layer { tid, switching_up, sid, inter_layer_predicted })
        );
        prop_assert_eq!(read.tl0picidx, (has(L) && !has(F)).then_some(plain.tl0picidx));
        let diffs: &[u8] = if has(F) && has(P) { &plain.diffs } else { &[] };
        prop_assert_eq!(read.references.diffs(), diffs);
        prop_assert_eq!(read.structure.is_some(), has(V));
        if let Some(structure) = read.structure {
            prop_assert_eq!(usize::from(structure.spatial_layers), plain.sizes.len());
            for (sid, &(width, height)) in plain.sizes.iter().enumerate() {
                let size = (plain.structure_flags & SS_Y != 0).then_some(FrameSize { width, height });
                prop_assert_eq!(structure.size(sid as u8), size);
            }
            let pictures: Option<Vec<_>> = structure.pictures().map(|pictures| {
                pictures.map(|one| (one.tid, one.switching_up, one.diffs.to_vec())).collect()
            });
            prop_assert_eq!(pictures, (plain.structure_flags & SS_G != 0).then_some(plain.pictures));
        }
    }

    #[test]
    fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = (is_keyframe(&payload), FrameHeader::read(&payload));
        if let Some(descriptor) = Descriptor::parse(&payload) {
            prop_assert!(descriptor.len <= payload.len());
            if let Some(structure) = descriptor.structure {
                prop_assert!((0..=255).filter(|&sid| structure.size(sid).is_some()).count() <= 8);
                prop_assert!(structure.pictures().into_iter().flatten().count() <= 255);
            }
        }
    }
}
