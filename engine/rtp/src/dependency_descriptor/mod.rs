//! The dependency descriptor (AV1 RTP specification, appendix A): which frame a packet is of, which layers it
//! belongs to, what it refers to, and who needs it. A header extension, so it is readable where the payload is
//! encrypted end to end; VP8, VP9 and H.264 senders can write it too.
//!
//! Most descriptors are three bytes: flags, the number of a template, the number of the frame. What the
//! templates mean is told once, by a [`Structure`] at the beginning of a coded video sequence. The caller keeps
//! it and hands it to [`read`] with every later descriptor. What is *not* here: remembering — whether a chain is
//! whole, which frames were decodable, which of two structures is newer.

mod bits;
mod structure;
#[cfg(test)]
mod tests;

use crate::limits::{CHAINS_MAX, FRAME_DIFFS_MAX};
use bits::Bits;
pub use structure::Structure;

/// What every descriptor has, readable without any [`Structure`] (A.8.2, `mandatory_descriptor_fields`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mandatory {
    /// The packet begins a frame.
    pub start_of_frame: bool,
    /// The packet ends a frame; more spatial layers of the same time may follow.
    pub end_of_frame: bool,
    /// Which template the frame follows, 0 to 63, counted from the structure's offset.
    pub template_id: u8,
    /// Running number of the frame over all layers, in decoding order.
    pub frame_number: FrameNumber,
}

/// Number of a frame; wraps at 2¹⁶.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameNumber(pub u16);

/// A descriptor with all that follows from its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What every descriptor has.
    pub mandatory: Mandatory,
    /// Where the frame is among the layers.
    pub layer: Layer,
    /// What the frame is to each decode target.
    pub dtis: Dtis,
    /// The decode targets that can be decoded from here on, target 0 the lowest bit; `None` when that has not
    /// changed. With a new structure it is always there.
    pub active_targets: Option<u32>,
    /// The largest size frames of this layer have.
    pub resolution: Option<Resolution>,
    diffs: [u16; FRAME_DIFFS_MAX],
    diff_count: u8,
    chain_diffs: [u8; CHAINS_MAX],
    chain_count: u8,
}

/// A place among the layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// 0 to [`SPATIAL_LAYERS_MAX`](crate::limits::SPATIAL_LAYERS_MAX) - 1.
    pub spatial_id: u8,
    /// 0 to [`TEMPORAL_LAYERS_MAX`](crate::limits::TEMPORAL_LAYERS_MAX) - 1.
    pub temporal_id: u8,
}

/// Width and height in pixels, 1 to 65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// What a frame is to a decode target (table A.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dti {
    /// Not part of it: not to be forwarded.
    NotPresent,
    /// Part of it, and nothing in it refers to the frame.
    Discardable,
    /// Part of it, and whoever can decode this frame can decode all of the target from here on.
    Switch,
    /// Part of it, and needed.
    Required,
}

/// The indications of a frame for all decode targets.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Dtis {
    /// Two bits for each target, target 0 the lowest.
    packed: u64,
    count: u8,
}

/// Why a descriptor was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It ends before its fields do. Noise, or read with a structure it does not belong to.
    Short,
    /// It needs a structure, and none is known: the first packet of the stream is missing. [`mandatory`] still
    /// reads it.
    NoStructure,
    /// The structure has no such template: the packet that brought a newer one is missing, or this one is
    /// older than the structure. [`mandatory`] still reads it.
    UnknownTemplate,
    /// More templates, layers or references than [`limits`](crate::limits) allow.
    Excess,
}

/// Reads the fields every descriptor has. `None` below three bytes.
pub fn mandatory(value: &[u8]) -> Option<Mandatory> {
    let &[first, high, low] = value.first_chunk()?;
    Some(Mandatory {
        start_of_frame: first & 0x80 != 0,
        end_of_frame: first & 0x40 != 0,
        template_id: first & 0x3f,
        frame_number: FrameNumber(u16::from_be_bytes([high, low])),
    })
}

/// Whether a descriptor says that it brings a structure, the first bit behind what every descriptor has.
pub fn has_structure(value: &[u8]) -> bool {
    value.get(MANDATORY_LEN).is_some_and(|extended| extended & 0x80 != 0)
}

/// Reads a descriptor, which follows the structure it brings or else `known`. A structure it brings is
/// returned beside it, for the caller to keep; nothing is when the descriptor cannot be read whole.
///
/// A packet that comes late can bring a structure that is older than `known`: the caller tells by the
/// packet's sequence number.
pub fn read(value: &[u8], known: Option<&Structure>) -> Result<(Descriptor, Option<Structure>), Unread> {
    let mandatory = mandatory(value).ok_or(Unread::Short)?;
    let mut bits = Bits::new(&value[MANDATORY_LEN..]);
    let extended = if value.len() > MANDATORY_LEN { Extended::read(&mut bits)? } else { Extended::default() };
    if !extended.has_structure {
        let structure = known.ok_or(Unread::NoStructure)?;
        let active = if extended.has_active { Some(bits.number(structure.targets())?) } else { None };
        let descriptor = Descriptor::read(&mut bits, mandatory, extended, structure, active)?;
        return Ok((descriptor, None));
    }
    let structure = Structure::read(&mut bits)?;
    let active =
        if extended.has_active { bits.number(structure.targets())? } else { structure.all_targets() };
    let descriptor = Descriptor::read(&mut bits, mandatory, extended, &structure, Some(active))?;
    Ok((descriptor, Some(structure)))
}

impl Descriptor {
    /// How far back the frames are that this one refers to, 1 to 4096 each; none for a frame that refers to
    /// nothing.
    pub fn diffs(&self) -> &[u16] {
        &self.diffs[..usize::from(self.diff_count)]
    }

    /// For each chain how far back its last frame is, 0 to 255; 0: the chain begins anew and needs no frame
    /// before this one.
    pub fn chain_diffs(&self) -> &[u8] {
        &self.chain_diffs[..usize::from(self.chain_count)]
    }

    /// The number of the last frame of a chain before this one. `None` when the chain begins anew here, or
    /// does not exist.
    pub fn chain_previous(&self, chain: usize) -> Option<FrameNumber> {
        let &diff = self.chain_diffs().get(chain).filter(|diff| **diff != 0)?;
        Some(self.mandatory.frame_number.back(u16::from(diff)))
    }

    /// `frame_dependency_definition()`.
    fn read(
        bits: &mut Bits,
        mandatory: Mandatory,
        extended: Extended,
        structure: &Structure,
        active_targets: Option<u32>,
    ) -> Result<Descriptor, Unread> {
        let template = structure.template(mandatory.template_id).ok_or(Unread::UnknownTemplate)?;
        let layer = structure.template_layer(template);
        let mut descriptor = Descriptor {
            mandatory,
            layer,
            dtis: structure.template_dtis(template),
            active_targets,
            resolution: structure.resolution(layer.spatial_id),
            diffs: [0; FRAME_DIFFS_MAX],
            diff_count: 0,
            chain_diffs: [0; CHAINS_MAX],
            chain_count: structure.chains() as u8,
        };
        if extended.custom_dtis {
            descriptor.dtis = Dtis::read(bits, structure.targets() as u8)?;
        }
        if extended.custom_diffs {
            loop {
                let width = bits.number(2)? as usize * 4;
                if width == 0 {
                    break;
                }
                descriptor.push_diff(bits.number(width)? as u16 + 1)?;
            }
        } else {
            structure.template_diffs(template).try_for_each(|diff| descriptor.push_diff(diff))?;
        }
        for chain in 0..structure.chains() {
            descriptor.chain_diffs[chain] = if extended.custom_chains {
                bits.number(8)? as u8
            } else {
                structure.template_chain_diff(template, chain)
            };
        }
        Ok(descriptor)
    }

    fn push_diff(&mut self, diff: u16) -> Result<(), Unread> {
        *self.diffs.get_mut(usize::from(self.diff_count)).ok_or(Unread::Excess)? = diff;
        self.diff_count += 1;
        Ok(())
    }
}

impl FrameNumber {
    /// The number `diff` frames before.
    pub fn back(self, diff: u16) -> FrameNumber {
        FrameNumber(self.0.wrapping_sub(diff))
    }
}

impl Dtis {
    /// How many decode targets there are.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Never: a structure has at least one decode target.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What the frame is to a decode target; not present in one that does not exist.
    pub fn get(&self, target: usize) -> Dti {
        if target >= self.len() {
            return Dti::NotPresent;
        }
        match self.packed >> (2 * target) & 0x03 {
            0 => Dti::NotPresent,
            1 => Dti::Discardable,
            2 => Dti::Switch,
            _ => Dti::Required,
        }
    }

    /// What the frame is to each decode target, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Dti> {
        let dtis = *self;
        (0..dtis.len()).map(move |target| dtis.get(target))
    }

    fn read(bits: &mut Bits, count: u8) -> Result<Dtis, Unread> {
        let mut packed = 0;
        for target in 0..count {
            packed |= u64::from(bits.number(2)?) << (2 * target);
        }
        Ok(Dtis { packed, count })
    }
}

/// In the letters of table A.1, as specifications and other implementations write them.
impl std::fmt::Debug for Dtis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.iter().try_for_each(|dti| {
            f.write_str(match dti {
                Dti::NotPresent => "-",
                Dti::Discardable => "D",
                Dti::Switch => "S",
                Dti::Required => "R",
            })
        })
    }
}

/// The flags in front of what a longer descriptor has.
#[derive(Clone, Copy, Default)]
struct Extended {
    has_structure: bool,
    has_active: bool,
    custom_dtis: bool,
    custom_diffs: bool,
    custom_chains: bool,
}

impl Extended {
    fn read(bits: &mut Bits) -> Result<Extended, Unread> {
        Ok(Extended {
            has_structure: bits.flag()?,
            has_active: bits.flag()?,
            custom_dtis: bits.flag()?,
            custom_diffs: bits.flag()?,
            custom_chains: bits.flag()?,
        })
    }
}

const MANDATORY_LEN: usize = 3;
