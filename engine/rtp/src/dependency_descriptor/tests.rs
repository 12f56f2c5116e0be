#![allow(clippy::unwrap_used)]

use super::*;
use crate::limits::{DECODE_TARGETS_MAX, SPATIAL_LAYERS_MAX, TEMPLATES_MAX};
use proptest::prelude::*;

/// The bytes of a text of bits; `|` and spaces are ignored. Padded with zeros, as in the extension.
fn bits(text: &str) -> Vec<u8> {
    pack(&text.chars().filter(|bit| "01".contains(*bit)).map(|bit| bit == '1').collect::<Vec<_>>())
}

fn pack(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8)
        .map(|byte| (0..8).filter(|&at| byte.get(at) == Some(&true)).map(|at| 0x80 >> at).sum())
        .collect()
}

/// The first packet of an L1T2 stream with one chain, field by field as in A.8.2.
fn l1t2_key() -> Vec<u8> {
    bits(concat!(
        "1 0 111110 | 00000001 00000001",    // start, no end, template 62, frame 257
        "1 0 0 0 0",                         // a structure; nothing custom
        "111110 | 00001",                    // template offset 62, two decode targets
        "00 01 11",                          // templates of layers (0, 0), (0, 0), (0, 1); no more
        "10 10 | 11 10 | 00 01",             // SS, RS, -D
        "0 | 1 0001 0 | 1 0000 0",           // none, 2 back, 1 back
        "10",                                // ns(3): one chain; which then protects all
        "0000 | 0010 | 0001",                // it restarts, 2 back, 1 back
        "1",                                 // resolutions:
        "0000001001111111 0000000101100111", // 640×360
    ))
}

fn l1t2() -> Structure {
    read(&l1t2_key(), None).unwrap().1.unwrap()
}

#[test]
fn the_first_packet_contains_the_structure() {
    let (descriptor, structure) = read(&l1t2_key(), None).unwrap();
    let structure = structure.unwrap();
    assert_eq!((structure.templates(), structure.targets(), structure.chains()), (3, 2, 1));
    assert_eq!((structure.id_offset(), structure.all_targets()), (62, 0b11));
    assert_eq!(structure.target_layer(0), Some(Layer { spatial_id: 0, temporal_id: 0 }));
    assert_eq!(structure.target_layer(1), Some(Layer { spatial_id: 0, temporal_id: 1 }));
    assert_eq!(structure.target_layer(2), None);
    assert_eq!((structure.protected_by(1), structure.protected_by(2)), (Some(0), None));
    assert_eq!(structure.resolution(0), Some(Resolution { width: 640, height: 360 }));
    assert_eq!((structure.resolution(1), structure.top_spatial_id()), (None, 0));

    assert_eq!(
        descriptor.mandatory,
        Mandatory {
            start_of_frame: true,
            end_of_frame: false,
            template_id: 62,
            frame_number: FrameNumber(257)
        }
    );
    assert_eq!(descriptor.layer, Layer::default());
    assert_eq!(format!("{:?}", descriptor.dtis), "SS");
    assert_eq!((descriptor.diffs(), descriptor.chain_diffs()), (&[][..], &[0][..]));
    assert_eq!(descriptor.chain_previous(0), None, "the chain restarts");
    assert_eq!(descriptor.active_targets, Some(0b11), "all by default");
    assert_eq!(descriptor.resolution, Some(Resolution { width: 640, height: 360 }));
}

#[test]
fn three_bytes_are_enough_with_a_template() {
    let structure = l1t2();
    // Template 0 is the third: ids wrap at 64.
    let (descriptor, newer) = read(&[0b0100_0000, 0x00, 0x00], Some(&structure)).unwrap();
    assert_eq!(newer, None);
    assert!(descriptor.mandatory.end_of_frame && !descriptor.mandatory.start_of_frame);
    assert_eq!(descriptor.layer, Layer { spatial_id: 0, temporal_id: 1 });
    assert_eq!((descriptor.dtis.get(0), descriptor.dtis.get(1)), (Dti::NotPresent, Dti::Discardable));
    assert_eq!(descriptor.dtis.get(2), Dti::NotPresent, "no such target");
    assert_eq!((descriptor.diffs(), descriptor.chain_diffs()), (&[1][..], &[1][..]));
    assert_eq!(descriptor.chain_previous(0), Some(FrameNumber(0xffff)), "frame numbers wrap");
    assert_eq!((descriptor.chain_previous(1), descriptor.active_targets), (None, None));
}

#[test]
fn custom_fields_override_the_template() {
    let value = bits(concat!(
        "1 1 111111 | 00000001 00000010",               // template 63, frame 258
        "0 1 1 1 1", // no structure; active targets, DTIs, differences, chains
        "01",        // target 0 only
        "10 00",     // S-
        "01 0000 | 10 00010000 | 11 111111111111 | 00", // 1, 17 and 4096 back
        "11111111",  // 255 back
    ));
    let (descriptor, newer) = read(&value, Some(&l1t2())).unwrap();
    assert_eq!((newer, descriptor.active_targets), (None, Some(0b01)));
    assert_eq!(format!("{:?}", descriptor.dtis), "S-");
    assert_eq!((descriptor.diffs(), descriptor.chain_diffs()), (&[1, 17, 4096][..], &[255][..]));
    assert_eq!(descriptor.chain_previous(0), Some(FrameNumber(3)));
    for len in 4..value.len() {
        assert_eq!(read(&value[..len], Some(&l1t2())), Err(Unread::Short), "{len} bytes");
    }
}

#[test]
fn without_its_structure_only_the_mandatory_fields_are_readable() {
    let value = [0b1100_0101, 0x12, 0x34];
    assert_eq!(read(&value, None), Err(Unread::NoStructure));
    assert_eq!(read(&value, Some(&l1t2())), Err(Unread::UnknownTemplate), "5 is not in 62, 63, 0");
    let fields = mandatory(&value).unwrap();
    assert_eq!((fields.template_id, fields.frame_number), (5, FrameNumber(0x1234)));
    assert!(fields.start_of_frame && fields.end_of_frame);
    assert_eq!(
        read(&[0xc5, 0x12, 0x34, 0x40], None),
        Err(Unread::NoStructure),
        "active targets, of how many?"
    );
}

#[test]
fn cut_short_at_every_length_is_not_read() {
    let value = l1t2_key();
    for len in 0..value.len() {
        let expected = if len == 3 { Unread::NoStructure } else { Unread::Short };
        assert_eq!(read(&value[..len], None), Err(expected), "{len} bytes");
        assert_eq!(mandatory(&value[..len]).is_some(), len >= 3, "{len} bytes");
    }
}

#[test]
fn a_structure_is_not_used_from_an_invalid_descriptor() {
    let mut value = l1t2_key();
    value[0] = value[0] & 0xc0 | 5;
    assert_eq!(read(&value, Some(&l1t2())), Err(Unread::UnknownTemplate));
}

#[test]
fn a_structure_beyond_the_bounds_is_refused() {
    let head = "10 000000 00000000 00000000 | 10000 | 000000 00000";
    let layers = |idcs: String| read(&bits(&format!("{head}{idcs}{}", "0".repeat(2000))), None);
    assert_eq!(layers("00".repeat(64)).unwrap_err(), Unread::Excess, "65 templates");
    assert!(layers("00".repeat(63) + "11").is_ok(), "64 templates");
    assert_eq!(layers("10".repeat(8)).unwrap_err(), Unread::Excess, "nine spatial layers");
    assert!(layers("10".repeat(7) + "11").is_ok(), "eight spatial layers");
    assert_eq!(layers("01".repeat(8)).unwrap_err(), Unread::Excess, "nine temporal layers");
    assert!(layers("01".repeat(7) + "11").is_ok(), "eight temporal layers");
    let one_template = |diffs: String| layers("11 00".to_owned() + &diffs + "0");
    assert!(one_template("1 1111".repeat(16)).is_ok());
    assert_eq!(one_template("1 1111".repeat(17)).unwrap_err(), Unread::Excess);
    let custom = |count: usize| {
        let value = bits(&format!("11 111110 {} 00010 {} 00", "0".repeat(16), "01 0000".repeat(count)));
        read(&value, Some(&l1t2())).map(|(descriptor, _)| descriptor.diffs().len())
    };
    assert_eq!((custom(16), custom(17)), (Ok(16), Err(Unread::Excess)));
}

#[test]
fn a_structure_stays_small() {
    assert!(size_of::<Structure>() <= 3500, "{} bytes", size_of::<Structure>());
    assert!(size_of::<Descriptor>() <= 128, "{} bytes", size_of::<Descriptor>());
}

/// A structure as plain arrays, like the specification's.
#[derive(Clone, Debug)]
struct Plain {
    offset: u32,
    targets: usize,
    templates: Vec<PlainTemplate>,
    protected_by: Vec<u32>,
    chains: usize,
    resolutions: Option<Vec<(u16, u16)>>,
}

#[derive(Clone, Debug)]
struct PlainTemplate {
    layer: (u8, u8),
    dtis: Vec<u8>,
    diffs: Vec<u16>,
    chain_diffs: Vec<u8>,
}

#[derive(Clone, Debug)]
struct PlainFrame {
    start: bool,
    end: bool,
    number: u16,
    template: usize,
    brings_structure: bool,
    active: Option<u32>,
    dtis: Option<Vec<u8>>,
    diffs: Option<Vec<u16>>,
    chain_diffs: Option<Vec<u8>>,
}

#[derive(Default)]
struct Writer(Vec<bool>);

impl Writer {
    fn f(&mut self, width: usize, value: u32) {
        self.0.extend((0..width).rev().map(|bit| value >> bit & 1 == 1));
    }

    fn ns(&mut self, values: u32, value: u32) {
        let floor = values.ilog2() as usize;
        let short = (2 << floor) - values;
        if value < short { self.f(floor, value) } else { self.f(floor + 1, value + short) }
    }

    fn structure(&mut self, plain: &Plain) {
        self.f(6, plain.offset);
        self.f(5, plain.targets as u32 - 1);
        for pair in plain.templates.windows(2) {
            let same_spatial = pair[0].layer.0 == pair[1].layer.0;
            let idc = if pair[0].layer == pair[1].layer {
                0
            } else if same_spatial {
                1
            } else {
                2
            };
            self.f(2, idc);
        }
        self.f(2, 3);
        for template in &plain.templates {
            template.dtis.iter().for_each(|&dti| self.f(2, dti.into()));
        }
        for template in &plain.templates {
            for &diff in &template.diffs {
                self.f(1, 1);
                self.f(4, u32::from(diff) - 1);
            }
            self.f(1, 0);
        }
        self.ns(plain.targets as u32 + 1, plain.chains as u32);
        if plain.chains > 0 {
            plain.protected_by.iter().for_each(|&chain| self.ns(plain.chains as u32, chain));
            for template in &plain.templates {
                template.chain_diffs.iter().for_each(|&diff| self.f(4, diff.into()));
            }
        }
        self.f(1, plain.resolutions.is_some().into());
        for &(width, height) in plain.resolutions.iter().flatten() {
            self.f(16, width.into());
            self.f(16, height.into());
        }
    }

    fn frame(&mut self, plain: &Plain, frame: &PlainFrame) {
        self.f(1, frame.start.into());
        self.f(1, frame.end.into());
        self.f(6, (plain.offset + frame.template as u32) % 64);
        self.f(16, frame.number.into());
        let flags = [
            frame.brings_structure,
            frame.active.is_some(),
            frame.dtis.is_some(),
            frame.diffs.is_some(),
            frame.chain_diffs.is_some(),
        ];
        if flags == [false; 5] {
            return;
        }
        flags.iter().for_each(|&flag| self.f(1, flag.into()));
        if frame.brings_structure {
            self.structure(plain);
        }
        if let Some(active) = frame.active {
            self.f(plain.targets, active);
        }
        frame.dtis.iter().flatten().for_each(|&dti| self.f(2, dti.into()));
        if let Some(diffs) = &frame.diffs {
            for &diff in diffs {
                let size = match diff - 1 {
                    0..16 => 1,
                    16..256 => 2,
                    _ => 3,
                };
                self.f(2, size);
                self.f(size as usize * 4, u32::from(diff) - 1);
            }
            self.f(2, 0);
        }
        frame.chain_diffs.iter().flatten().for_each(|&diff| self.f(8, diff.into()));
    }
}

fn any_plain() -> impl Strategy<Value = Plain> {
    (1usize..=DECODE_TARGETS_MAX, 1usize..=TEMPLATES_MAX)
        .prop_flat_map(|(targets, templates)| (Just(targets), 0..=targets, Just(templates)))
        .prop_flat_map(|(targets, chains, templates)| {
            let template = (
                prop_oneof![4 => Just(0u8), 2 => Just(1u8), 1 => Just(2u8)],
                prop::collection::vec(0u8..4, targets),
                prop::collection::vec(1u16..=16, 0..5),
                prop::collection::vec(0u8..16, chains),
            );
            (
                Just((targets, chains)),
                0u32..64,
                prop::collection::vec(template, templates),
                prop::collection::vec(0..(chains as u32).max(1), targets),
                any::<Option<[(u16, u16); SPATIAL_LAYERS_MAX]>>(),
            )
        })
        .prop_map(|((targets, chains), offset, steps, protected_by, sizes)| {
            let mut layer = (0, 0);
            let mut templates: Vec<PlainTemplate> = Vec::new();
            for (step, dtis, diffs, chain_diffs) in steps {
                // The first template is of layer (0, 0); a step beyond the bounds has no effect.
                layer = match step {
                    1 if !templates.is_empty() && layer.1 < 7 => (layer.0, layer.1 + 1),
                    2 if !templates.is_empty() && layer.0 < 7 => (layer.0 + 1, 0),
                    _ => layer,
                };
                templates.push(PlainTemplate { layer, dtis, diffs, chain_diffs });
            }
            let resolutions = sizes.map(|sizes| sizes[..=usize::from(layer.0)].to_vec());
            Plain { offset, targets, templates, protected_by, chains, resolutions }
        })
}

fn any_frame(targets: usize, chains: usize, templates: usize) -> impl Strategy<Value = PlainFrame> {
    let maybe = prop::option::of::<BoxedStrategy<Vec<u8>>>;
    (
        any::<(bool, bool, u16, bool)>(),
        0..templates,
        prop::option::of(any::<u32>().prop_map(move |mask| mask >> (DECODE_TARGETS_MAX - targets))),
        maybe(prop::collection::vec(0u8..4, targets).boxed()),
        prop::option::of(prop::collection::vec(
            prop_oneof![1u16..=16, 1u16..=256, 1u16..=4096],
            0..=FRAME_DIFFS_MAX,
        )),
        maybe(prop::collection::vec(any::<u8>(), chains).boxed()),
    )
        .prop_map(
            |((start, end, number, brings_structure), template, active, dtis, diffs, chain_diffs)| {
                PlainFrame {
                    start,
                    end,
                    number,
                    template,
                    brings_structure,
                    active,
                    dtis,
                    diffs,
                    chain_diffs,
                }
            },
        )
}

fn any_stream() -> impl Strategy<Value = (Plain, Vec<PlainFrame>)> {
    any_plain().prop_flat_map(|plain| {
        let frame = any_frame(plain.targets, plain.chains, plain.templates.len());
        (Just(plain), prop::collection::vec(frame, 1..6))
    })
}

fn dti_number(dti: Dti) -> u8 {
    match dti {
        Dti::NotPresent => 0,
        Dti::Discardable => 1,
        Dti::Switch => 2,
        Dti::Required => 3,
    }
}

fn size(stored: (u16, u16)) -> Resolution {
    Resolution { width: u32::from(stored.0) + 1, height: u32::from(stored.1) + 1 }
}

fn check_structure(read: &Structure, plain: &Plain) -> Result<(), TestCaseError> {
    prop_assert_eq!(read.targets(), plain.targets);
    prop_assert_eq!(read.chains(), plain.chains);
    prop_assert_eq!(read.templates(), plain.templates.len());
    prop_assert_eq!(u32::from(read.id_offset()), plain.offset);
    prop_assert_eq!(read.all_targets().count_ones() as usize, plain.targets);
    for target in 0..plain.targets {
        let within = || plain.templates.iter().filter(|template| template.dtis[target] != 0);
        let layer = Layer {
            spatial_id: within().map(|template| template.layer.0).max().unwrap_or(0),
            temporal_id: within().map(|template| template.layer.1).max().unwrap_or(0),
        };
        prop_assert_eq!(read.target_layer(target), Some(layer));
        let chain = (plain.chains > 0).then_some(plain.protected_by[target] as usize);
        prop_assert_eq!(read.protected_by(target), chain);
    }
    for spatial_id in 0..=u8::MAX {
        let expected = plain.resolutions.as_ref().and_then(|sizes| sizes.get(usize::from(spatial_id)));
        prop_assert_eq!(read.resolution(spatial_id), expected.copied().map(size));
    }
    Ok(())
}

fn check_frame(read: &Descriptor, plain: &Plain, frame: &PlainFrame) -> Result<(), TestCaseError> {
    let template = &plain.templates[frame.template];
    let fields = read.mandatory;
    prop_assert_eq!((fields.start_of_frame, fields.end_of_frame), (frame.start, frame.end));
    prop_assert_eq!(fields.frame_number, FrameNumber(frame.number));
    prop_assert_eq!((read.layer.spatial_id, read.layer.temporal_id), template.layer);
    let dtis: Vec<_> = read.dtis.iter().map(dti_number).collect();
    prop_assert_eq!(&dtis, frame.dtis.as_ref().unwrap_or(&template.dtis));
    prop_assert_eq!(read.diffs(), frame.diffs.as_ref().unwrap_or(&template.diffs));
    prop_assert_eq!(read.chain_diffs(), frame.chain_diffs.as_ref().unwrap_or(&template.chain_diffs));
    let all = (1u64 << plain.targets) as u32;
    let active = frame.active.or(frame.brings_structure.then_some(all.wrapping_sub(1)));
    prop_assert_eq!(read.active_targets, active);
    let expected = plain.resolutions.as_ref().map(|sizes| size(sizes[usize::from(template.layer.0)]));
    prop_assert_eq!(read.resolution, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A stream in order: the first frame contains the structure, the later ones need it.
    #[test]
    fn reads_what_the_naive_writer_wrote((plain, mut frames) in any_stream(), padding in 0usize..3) {
        frames[0].brings_structure = true;
        let mut known: Option<Structure> = None;
        for frame in &frames {
            let mut writer = Writer::default();
            writer.frame(&plain, frame);
            let mut value = pack(&writer.0);
            for len in (0..value.len()).filter(|&len| len != MANDATORY_LEN) {
                prop_assert_eq!(read(&value[..len], known.as_ref()), Err(Unread::Short));
            }
            if value.len() > MANDATORY_LEN {
                value.extend(vec![0; padding]);
            }
            let (descriptor, newer) = read(&value, known.as_ref()).unwrap();
            prop_assert_eq!(newer.is_some(), frame.brings_structure);
            known = newer.or(known);
            check_structure(known.as_ref().unwrap(), &plain)?;
            check_frame(&descriptor, &plain, frame)?;
        }
    }

    /// Random streams, with any structures they contain; and a valid stream with inverted bits.
    #[test]
    fn no_stream_panics(
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..8),
        structured in any::<[bool; 8]>(),
        (plain, frames) in any_stream(),
        flips in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut values = noise;
        for (value, structured) in values.iter_mut().zip(structured) {
            if let Some(flags) = value.get_mut(3).filter(|_| structured) {
                *flags |= 0x80;
            }
        }
        for frame in &frames {
            let mut writer = Writer::default();
            writer.frame(&plain, frame);
            for flip in &flips {
                let at = flip.index(writer.0.len());
                writer.0[at] ^= true;
            }
            values.push(pack(&writer.0));
        }
        let mut known: Option<Structure> = None;
        for value in &values {
            let Ok((descriptor, newer)) = read(value, known.as_ref()) else { continue };
            known = newer.or(known);
            let structure = known.as_ref().unwrap();
            prop_assert_eq!(descriptor.dtis.len(), structure.targets());
            prop_assert_eq!(descriptor.chain_diffs().len(), structure.chains());
            prop_assert!(descriptor.layer.spatial_id <= structure.top_spatial_id());
            prop_assert_eq!(descriptor.active_targets.unwrap_or(0) & !structure.all_targets(), 0);
            for target in 0..structure.targets() {
                let chain = structure.protected_by(target);
                prop_assert!(chain.is_none_or(|chain| chain < structure.chains()));
            }
        }
    }
}
