//! The dependency descriptors of a stream: the templates of its pattern, its decode targets and chains.

use super::LayeredTrack;
use super::pattern::{FramePlan, Pattern};
use crate::dependency::{Descriptor, Dti, Structure, Template};
use control::Codec;

/// Describes the frames of one stream.
#[derive(Clone, Debug)]
pub(super) struct Describer {
    spatial_layers: u8,
    temporal_layers: u8,
    only_key_pictures_are_shared: bool,
    is_vp8: bool,
    structure: Structure,
    /// The number of each chain's last frame.
    chains: Vec<u64>,
    /// Announced spatial layers.
    reported_active: u8,
    /// Whether the change is sent with every frame until a base frame has it.
    tells_active: bool,
}

impl Describer {
    /// Of streams like `track`, with this size of the largest pictures.
    pub fn new(track: &LayeredTrack, pattern: &Pattern, id_offset: u8, size: (u16, u16)) -> Self {
        let targets = usize::from(track.spatial_layers) * usize::from(track.temporal_layers);
        let sizes = (0..track.spatial_layers).map(|spatial| scaled(size, track.spatial_layers, spatial));
        let structure = Structure {
            id_offset,
            targets,
            templates: Vec::new(),
            protected_by: (0..if track.codec == Codec::Vp8 { 0 } else { targets })
                .map(|target| (target / usize::from(track.temporal_layers)) as u8)
                .collect(),
            // libwebrtc sends none for VP8.
            chains: if track.codec == Codec::Vp8 { 0 } else { usize::from(track.spatial_layers) },
            sizes: sizes.collect(),
        };
        let chains = structure.chains;
        let mut describer = Self {
            spatial_layers: track.spatial_layers,
            temporal_layers: track.temporal_layers,
            only_key_pictures_are_shared: track.only_key_pictures_are_shared,
            is_vp8: track.codec == Codec::Vp8,
            structure,
            chains: Vec::new(),
            reported_active: track.spatial_layers,
            tells_active: false,
        };
        describer.chains = vec![0; chains];
        describer.learn_templates(pattern.clone());
        describer
    }

    /// The structure in force.
    pub fn structure(&self) -> &Structure {
        &self.structure
    }

    /// The templates get other numbers, as with a new coded video sequence.
    pub fn renumber(&mut self) {
        let used = self.structure.templates.len() as u8;
        self.structure.id_offset = (self.structure.id_offset + used) % 64;
    }

    /// The descriptor of a frame's first packet; the others lack the structure.
    pub fn describe(&mut self, frame: &FramePlan, active: u8) -> Descriptor {
        let template = self.template(frame);
        let begins = frame.is_key && frame.spatial == 0;
        if begins {
            self.reported_active = self.spatial_layers;
            self.tells_active = false;
        }
        if self.reported_active != active {
            self.reported_active = active;
            self.tells_active = true;
        }
        let mask = (1u32 << (active * self.temporal_layers)) - 1;
        let descriptor = Descriptor {
            start: true,
            end: true,
            frame_number: frame.number as u16,
            structure: begins.then(|| self.structure.clone()),
            active: self.tells_active.then_some(mask),
            frame: template,
        };
        if self.tells_active && frame.temporal == 0 && frame.spatial + 1 == active && !begins {
            self.tells_active = false;
        }
        descriptor
    }

    /// The real dependencies of a frame.
    fn template(&mut self, frame: &FramePlan) -> Template {
        let begins = frame.is_key && frame.spatial == 0;
        let mut chain_diffs = Vec::new();
        for chain in &self.chains {
            chain_diffs.push(if begins { 0 } else { (frame.number - chain).min(255) as u8 });
        }
        for (spatial, chain) in self.chains.iter_mut().enumerate() {
            let is_within = if self.only_key_pictures_are_shared && !frame.is_key {
                usize::from(frame.spatial) == spatial
            } else {
                usize::from(frame.spatial) <= spatial
            };
            if frame.temporal == 0 && is_within {
                *chain = frame.number;
            }
        }
        let targets = (0..self.spatial_layers)
            .flat_map(|spatial| (0..self.temporal_layers).map(move |temporal| (spatial, temporal)));
        let (only_key, is_vp8) = (self.only_key_pictures_are_shared, self.is_vp8);
        Template {
            spatial: frame.spatial,
            temporal: frame.temporal,
            dtis: targets.map(|target| indication(frame, target, only_key, is_vp8)).collect(),
            diffs: frame.references.iter().map(|reference| (frame.number - reference) as u16).collect(),
            chain_diffs,
        }
    }

    /// Runs the pattern, and collects common values of its frames.
    fn learn_templates(&mut self, mut pattern: Pattern) {
        let mut number = 1000;
        let mut templates: Vec<Template> = Vec::new();
        for nth in 0..=2 * pattern.len() {
            for frame in pattern.picture(nth == 0, &mut number) {
                let template = self.template(&frame);
                if !templates.contains(&template) {
                    templates.push(template);
                }
            }
        }
        templates.sort_by_key(|template| (template.spatial, template.temporal));
        self.structure.templates = templates;
    }
}

/// The size of a spatial layer: each is half as wide and high as the next.
pub(super) fn scaled((width, height): (u16, u16), layers: u8, spatial: u8) -> (u16, u16) {
    let halvings = layers - 1 - spatial;
    (width >> halvings, height >> halvings)
}

/// Table A.1, for the patterns that we have.
fn indication(frame: &FramePlan, (spatial, temporal): (u8, u8), only_key: bool, is_vp8: bool) -> Dti {
    if spatial < frame.spatial || temporal < frame.temporal {
        return Dti::NotPresent;
    }
    if frame.is_key {
        return Dti::Switch;
    }
    // VP8's patterns are longer, and the upper layers can be switched to at their beginnings only.
    if is_vp8 && temporal > frame.temporal && frame.temporal == 0 {
        return if frame.begins_group { Dti::Switch } else { Dti::Required };
    }
    if is_vp8 && temporal == frame.temporal && frame.temporal == 1 && frame.is_sync {
        return Dti::Switch;
    }
    if spatial > frame.spatial {
        return if only_key { Dti::NotPresent } else { Dti::Required };
    }
    if temporal == frame.temporal && temporal > 0 { Dti::Discardable } else { Dti::Switch }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn l3t3(only_key: bool) -> Describer {
        let track = LayeredTrack { only_key_pictures_are_shared: only_key, ..LayeredTrack::av1_svc() };
        Describer::new(&track, &Pattern::new(false, 3, 3, only_key), 0, (1280, 720))
    }

    #[test]
    fn a_pattern_has_five_templates_for_each_spatial_layer() {
        for only_key in [false, true] {
            let describer = l3t3(only_key);
            let structure = describer.structure();
            assert_eq!((structure.templates.len(), structure.targets, structure.chains), (15, 9, 3));
            assert_eq!(structure.protected_by, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
            assert_eq!(structure.sizes, [(320, 180), (640, 360), (1280, 720)]);
        }
    }

    #[test]
    fn every_frame_of_a_whole_stream_matches_a_template() {
        for only_key in [false, true] {
            let mut describer = l3t3(only_key);
            let mut pattern = Pattern::new(false, 3, 3, only_key);
            let mut number = 7;
            for nth in 0..40 {
                for frame in pattern.picture(nth % 21 == 0, &mut number) {
                    let descriptor = describer.describe(&frame, 3);
                    assert!(describer.structure().templates.contains(&descriptor.frame), "{descriptor:?}");
                }
            }
        }
    }

    #[test]
    fn a_layer_that_ends_is_announced_with_one_picture() {
        let mut describer = l3t3(false);
        let mut pattern = Pattern::new(false, 3, 3, false);
        let mut number = 0;
        let mut described = Vec::new();
        for nth in 0..12 {
            if nth == 5 {
                pattern.set_active(2);
            }
            let frames = pattern.picture(nth == 0, &mut number);
            let active = pattern.active();
            described.push(
                frames.iter().map(|frame| describer.describe(frame, active).active).collect::<Vec<_>>(),
            );
        }
        assert_eq!(described[4], [None; 3]);
        assert_eq!(described[5], [Some(0b11_1111); 2]);
        assert_eq!(described[8], [Some(0b11_1111); 2], "the next base picture");
        assert_eq!(described[9], [None; 2]);
    }
}
