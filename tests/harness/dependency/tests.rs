use super::*;
use Dti::{Discardable, NotPresent, Switch};

fn l1t2() -> Structure {
    let template = |temporal, dtis: [Dti; 2], diffs: &[u16], chain_diff| Template {
        spatial: 0,
        temporal,
        dtis: dtis.to_vec(),
        diffs: diffs.to_vec(),
        chain_diffs: vec![chain_diff],
    };
    Structure {
        id_offset: 62,
        targets: 2,
        templates: vec![
            template(0, [Switch, Switch], &[], 0),
            template(0, [Switch, Switch], &[2], 2),
            template(1, [NotPresent, Discardable], &[1], 1),
        ],
        protected_by: vec![0, 0],
        chains: 1,
        sizes: vec![(640, 360)],
    }
}

fn frame(structure: &Structure, template: usize, number: u16) -> Descriptor {
    Descriptor {
        start: true,
        end: false,
        frame_number: number,
        structure: None,
        active: None,
        frame: structure.templates[template].clone(),
    }
}

#[test]
fn a_frame_that_matches_a_template_takes_three_bytes() {
    let structure = l1t2();
    // Template 2 is number 64, which is 0.
    assert_eq!(write(&frame(&structure, 2, 0x1234), &structure), [0x80, 0x12, 0x34]);
    assert_eq!(write(&frame(&structure, 1, 7), &structure), [0x80 | 63, 0, 7]);
}

#[test]
fn written_descriptors_are_read_back() {
    let structure = l1t2();
    let mut key = frame(&structure, 0, 1);
    key.structure = Some(structure.clone());
    let mut odd = frame(&structure, 2, 2);
    odd.frame.diffs = vec![1, 17, 4096];
    odd.frame.chain_diffs = vec![200];
    odd.frame.dtis = vec![NotPresent, Switch];
    odd.active = Some(1);
    for descriptor in [key, odd, frame(&structure, 1, 3)] {
        let bytes = write(&descriptor, &structure);
        assert_eq!(read(&bytes, Some(&structure)), Ok(descriptor.clone()));
        for len in 3.max(bytes.len() - 2)..bytes.len() {
            assert!(len == 3 || read(&bytes[..len], Some(&structure)).is_err(), "{len} bytes");
        }
    }
}

#[test]
fn without_its_structure_a_descriptor_is_refused() {
    let structure = l1t2();
    let bytes = write(&frame(&structure, 1, 3), &structure);
    assert!(read(&bytes, None).is_err());
    let other = Structure { id_offset: 10, ..structure };
    assert!(read(&bytes, Some(&other)).is_err());
}

#[test]
fn the_engine_reads_the_same() {
    let structure = l1t2();
    let mut key = frame(&structure, 0, 9);
    key.structure = Some(structure.clone());
    key.active = Some(0b01);
    let (descriptor, brought) =
        rtp::dependency_descriptor::read(&write(&key, &structure), None).expect("it is whole");
    assert_eq!(brought.expect("it brings one").templates(), 3);
    assert_eq!(descriptor.active_targets, Some(1));
    assert_eq!(descriptor.mandatory.frame_number.0, 9);
}
