//! Dependency descriptors, read and written, compared with the reader and the writer of the simulator's
//! peers.

use leat_tests::dependency;

use crate::script::Script;

/// Dependency descriptors of one stream: the script has one after the other, each with its length. The
/// structure of one is kept for later ones, as in a receiver, and sometimes dropped.
pub fn dependency_descriptor(data: &[u8]) {
    use rtp::dependency_descriptor::{Unread, mandatory, read};
    let mut script = Script::new(data);
    let (mut known, mut known_to_them) = (None, None);
    while !script.is_over() {
        let value = script.blob();
        let fixed = mandatory(value);
        assert_eq!(fixed.is_some(), value.len() >= 3);
        let ours = read(value, known.as_ref());
        let theirs = dependency::read(value, known_to_them.as_ref());
        let Ok((descriptor, brought)) = ours else {
            // Descriptors that only the peers read exceed our bounds.
            assert!(theirs.is_err() || ours == Err(Unread::Excess), "{ours:?} and {theirs:?}");
            continue;
        };
        let theirs = theirs.unwrap_or_else(|error| panic!("they do not read {value:02x?}: {error}"));
        compare_descriptors(&descriptor, &theirs);
        assert_eq!(brought.is_some(), theirs.structure.is_some());
        if let (Some(ours), Some(theirs)) = (&brought, &theirs.structure) {
            compare_structures(ours, theirs);
        }
        known_to_them = theirs.structure.or(known_to_them);
        assert_eq!(Some(descriptor.mandatory), fixed);
        assert!(usize::from(descriptor.layer.spatial_id) < rtp::limits::SPATIAL_LAYERS_MAX);
        assert!(usize::from(descriptor.layer.temporal_id) < rtp::limits::TEMPORAL_LAYERS_MAX);
        assert!(!descriptor.dtis.is_empty() && descriptor.dtis.iter().count() == descriptor.dtis.len());
        assert!(descriptor.diffs().iter().all(|diff| (1..=4096).contains(diff)));
        for chain in 0..=descriptor.chain_diffs().len() {
            let _ = descriptor.chain_previous(chain);
        }
        assert!(
            brought.is_none() || descriptor.active_targets.is_some(),
            "a new structure has active targets"
        );
        assert!(brought.is_some() || known.is_some(), "a descriptor without a structure");
        known = brought.or(known);
    }
}

fn compare_descriptors(ours: &rtp::dependency_descriptor::Descriptor, theirs: &dependency::Descriptor) {
    let fixed = ours.mandatory;
    assert_eq!((fixed.start_of_frame, fixed.end_of_frame), (theirs.start, theirs.end));
    assert_eq!(fixed.frame_number.0, theirs.frame_number);
    let frame = &theirs.frame;
    assert_eq!((ours.layer.spatial_id, ours.layer.temporal_id), (frame.spatial, frame.temporal));
    assert_eq!(ours.diffs(), frame.diffs);
    assert_eq!(ours.chain_diffs(), frame.chain_diffs);
    assert!(ours.dtis.iter().map(indication).eq(frame.dtis.iter().copied()));
    if theirs.structure.is_none() || theirs.active.is_some() {
        assert_eq!(ours.active_targets, theirs.active);
    }
}

fn compare_structures(ours: &rtp::dependency_descriptor::Structure, theirs: &dependency::Structure) {
    assert_eq!((ours.id_offset(), ours.targets()), (theirs.id_offset, theirs.targets));
    assert_eq!((ours.templates(), ours.chains()), (theirs.templates.len(), theirs.chains));
    for target in 0..theirs.targets {
        let chain = theirs.protected_by.get(target).map(|chain| usize::from(*chain));
        assert_eq!(ours.protected_by(target), chain);
    }
    for (spatial, (width, height)) in theirs.sizes.iter().enumerate() {
        let size = ours.resolution(spatial as u8).map(|size| (size.width as u16, size.height as u16));
        assert_eq!(size, Some((*width, *height)));
    }
}

fn indication(ours: rtp::dependency_descriptor::Dti) -> dependency::Dti {
    match ours {
        rtp::dependency_descriptor::Dti::NotPresent => dependency::Dti::NotPresent,
        rtp::dependency_descriptor::Dti::Discardable => dependency::Dti::Discardable,
        rtp::dependency_descriptor::Dti::Switch => dependency::Dti::Switch,
        rtp::dependency_descriptor::Dti::Required => dependency::Dti::Required,
    }
}

/// A stream of dependency descriptors as written by a sender, structure by structure: we read them back. The
/// script determines their content.
pub fn dependency_stream(data: &[u8]) {
    let mut script = Script::new(data);
    let (mut known, mut written) = (None, None);
    for _ in 0..DESCRIPTORS_MAX {
        if script.is_over() {
            break;
        }
        let brings = written.is_none() || script.u8().is_multiple_of(8);
        if brings {
            written = Some(structure(&mut script));
        }
        let Some(structure) = &written else { continue };
        let descriptor = frame(&mut script, structure, brings);
        let value = dependency::write(&descriptor, structure);
        let read = rtp::dependency_descriptor::read(&value, known.as_ref());
        let (ours, brought) =
            read.unwrap_or_else(|error| panic!("{error:?}: {descriptor:?} as {value:02x?}"));
        compare_descriptors(&ours, &descriptor);
        assert_eq!(brought.is_some(), brings);
        if let Some(brought) = brought {
            compare_structures(&brought, structure);
            known = Some(brought);
        }
        assert_eq!(dependency::read(&value, Some(structure)), Ok(descriptor));
    }
}

/// Descriptors of one stream.
const DESCRIPTORS_MAX: usize = 50;

/// A structure within our bounds.
fn structure(script: &mut Script<'_>) -> dependency::Structure {
    let targets = usize::from(script.u8() % 32) + 1;
    let chains = usize::from(script.u8()) % (targets + 1);
    let (mut spatial, mut temporal) = (0, 0);
    let mut templates = Vec::new();
    for nth in 0..usize::from(script.u8() % 20) + 1 {
        let step = script.u8() % 4;
        match step {
            1 if nth > 0 && temporal < 7 => temporal += 1,
            2 if nth > 0 && spatial < 7 => (spatial, temporal) = (spatial + 1, 0),
            _ => {}
        }
        templates.push(dependency::Template {
            spatial,
            temporal,
            dtis: dtis(script, targets),
            diffs: (0..script.u8() % 4).map(|_| u16::from(script.u8() % 16) + 1).collect(),
            chain_diffs: (0..chains).map(|_| script.u8() % 16).collect(),
        });
    }
    let has_sizes = script.bool();
    let size = |script: &mut Script<'_>| (script.u16().max(1), script.u16().max(1));
    dependency::Structure {
        id_offset: script.u8() % 64,
        targets,
        templates,
        protected_by: (0..if chains > 0 { targets } else { 0 }).map(|_| script.u8() % chains as u8).collect(),
        chains,
        sizes: (0..if has_sizes { spatial + 1 } else { 0 }).map(|_| size(script)).collect(),
    }
}

fn dtis(script: &mut Script<'_>, targets: usize) -> Vec<dependency::Dti> {
    use dependency::Dti::{Discardable, NotPresent, Required, Switch};
    (0..targets).map(|_| script.choice(&[NotPresent, Discardable, Switch, Required])).collect()
}

/// A frame that matches a template, or not.
fn frame(script: &mut Script<'_>, structure: &dependency::Structure, brings: bool) -> dependency::Descriptor {
    let template = usize::from(script.u8()) % structure.templates.len();
    let mut frame = structure.templates[template].clone();
    let flags = script.u8();
    if flags & 1 != 0 {
        frame.dtis = dtis(script, structure.targets);
    }
    if flags & 2 != 0 {
        frame.diffs = (0..script.u8() % 17).map(|_| script.u16() % 4096 + 1).collect();
    }
    if flags & 4 != 0 {
        frame.chain_diffs = (0..structure.chains).map(|_| script.u8()).collect();
    }
    let all = (1u64 << structure.targets) - 1;
    dependency::Descriptor {
        start: flags & 16 != 0,
        end: flags & 32 != 0,
        frame_number: script.u16(),
        structure: brings.then(|| structure.clone()),
        active: (flags & 8 != 0).then(|| script.u32() & all as u32),
        frame,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A corpus without readable structures would not test most of the reader.
    #[test]
    fn the_corpus_brings_structures_and_layers() {
        let mut script = Script::new(include_bytes!("../../corpus/dependency_descriptor/l1t2"));
        let (key, structure) =
            rtp::dependency_descriptor::read(script.blob(), None).expect("it brings its own structure");
        let structure = structure.expect("it brings one");
        assert_eq!((structure.templates(), structure.targets(), structure.chains()), (3, 2, 1));
        assert_eq!((key.diffs().len(), key.resolution.map(|size| size.width)), (0, Some(640)));
        let (upper, _) =
            rtp::dependency_descriptor::read(script.blob(), Some(&structure)).expect("a template it has");
        assert_eq!((upper.layer.temporal_id, upper.diffs()), (1, &[1][..]));
    }
}
