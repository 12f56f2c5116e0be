//! The dependency descriptor (AV1 RTP specification, appendix A), written and read by the peers themselves:
//! plain lists and a vector of bits, independent of the engine's reader, so that a misreading there does not
//! cancel itself out.
//!
//! Only the bounds of the format are checked: exceeding them is an error of the test, and panics.

/// The role of a frame in a decode target (table A.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dti {
    /// Not part of it.
    NotPresent,
    /// Part of it, but not referenced in it.
    Discardable,
    /// A receiver that can decode this can decode the target from here on.
    Switch,
    /// Part of it, and referenced.
    Required,
}

/// The dependencies of a frame: from a template, or after the descriptor's own changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Spatial layer.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// The frame's role in each decode target.
    pub dtis: Vec<Dti>,
    /// The distances, in frames, to its references.
    pub diffs: Vec<u16>,
    /// The distance to the last frame of each chain; 0: the chain starts here.
    pub chain_diffs: Vec<u8>,
}

/// The templates of a coded video sequence (A.8.2, `template_dependency_structure`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// The number of the first template.
    pub id_offset: u8,
    /// The number of decode targets.
    pub targets: usize,
    /// By spatial layer, then by temporal layer, without a gap.
    pub templates: Vec<Template>,
    /// The chain that protects each decode target; empty without chains.
    pub protected_by: Vec<u8>,
    /// The number of chains.
    pub chains: usize,
    /// Width and height of each spatial layer; may be empty.
    pub sizes: Vec<(u16, u16)>,
}

/// A whole descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Begins a frame.
    pub start: bool,
    /// Ends a frame.
    pub end: bool,
    /// Number of the frame.
    pub frame_number: u16,
    /// The structure from here on.
    pub structure: Option<Structure>,
    /// The decode targets that can be decoded from here on, target 0 the lowest bit.
    pub active: Option<u32>,
    /// The dependencies of the frame.
    pub frame: Template,
}

/// Writes a descriptor. It uses the structure it contains, or else `known`; if no template matches the frame
/// exactly, the best one is amended.
pub fn write(descriptor: &Descriptor, known: &Structure) -> Vec<u8> {
    let structure = descriptor.structure.as_ref().unwrap_or(known);
    let frame = &descriptor.frame;
    let amended = |template: &Template| {
        [
            template.dtis != frame.dtis,
            template.diffs != frame.diffs,
            template.chain_diffs != frame.chain_diffs,
        ]
    };
    let of_layer =
        |template: &Template| (template.spatial, template.temporal) == (frame.spatial, frame.temporal);
    let candidates = structure.templates.iter().enumerate().filter(|(_, template)| of_layer(template));
    let (index, template) = candidates
        .min_by_key(|(_, template)| amended(template).into_iter().filter(|differs| *differs).count())
        .expect("the structure has a template for every layer");
    let mut bits = BitWriter::default();
    bits.flag(descriptor.start);
    bits.flag(descriptor.end);
    bits.number(6, (u32::from(structure.id_offset) + index as u32) % 64);
    bits.number(16, descriptor.frame_number.into());
    let [dtis, diffs, chains] = amended(template);
    let flags = [descriptor.structure.is_some(), descriptor.active.is_some(), dtis, diffs, chains];
    if flags == [false; 5] {
        return bits.into_bytes();
    }
    flags.into_iter().for_each(|flag| bits.flag(flag));
    if let Some(structure) = &descriptor.structure {
        bits.structure(structure);
    }
    if let Some(active) = descriptor.active {
        bits.number(structure.targets, active);
    }
    if dtis {
        frame.dtis.iter().for_each(|dti| bits.number(2, *dti as u32));
    }
    if diffs {
        for diff in &frame.diffs {
            let nibbles = match diff {
                1..=16 => 1,
                17..=256 => 2,
                257..=4096 => 3,
                _ => panic!("a frame cannot refer {diff} frames back"),
            };
            bits.number(2, nibbles);
            bits.number(4 * nibbles as usize, u32::from(*diff) - 1);
        }
        bits.number(2, 0);
    }
    if chains {
        frame.chain_diffs.iter().for_each(|diff| bits.number(8, (*diff).into()));
    }
    bits.into_bytes()
}

/// Reads a descriptor, which uses the structure it contains, or else `known`.
pub fn read(bytes: &[u8], known: Option<&Structure>) -> Result<Descriptor, String> {
    let mut bits = BitReader { bytes, at: 0 };
    let (start, end) = (bits.flag()?, bits.flag()?);
    let (id, frame_number) = (bits.number(6)? as u8, bits.number(16)? as u16);
    let mut flags = [false; 5];
    if bytes.len() > 3 {
        for flag in &mut flags {
            *flag = bits.flag()?;
        }
    }
    let [brings_structure, has_active, dtis, diffs, chains] = flags;
    let brought = if brings_structure { Some(bits.structure()?) } else { None };
    let structure = brought.as_ref().or(known).ok_or("no structure is known")?;
    let active = if has_active { Some(bits.number(structure.targets)?) } else { None };
    let index = usize::from((id + 64 - structure.id_offset) % 64);
    let template = structure.templates.get(index).ok_or_else(|| format!("there is no template {id}"))?;
    let mut frame = template.clone();
    if dtis {
        frame.dtis = (0..structure.targets).map(|_| bits.dti()).collect::<Result<_, _>>()?;
    }
    if diffs {
        frame.diffs.clear();
        loop {
            match bits.number(2)? as usize {
                0 => break,
                nibbles => frame.diffs.push(bits.number(4 * nibbles)? as u16 + 1),
            }
        }
    }
    if chains {
        frame.chain_diffs =
            (0..structure.chains).map(|_| bits.number(8).map(|diff| diff as u8)).collect::<Result<_, _>>()?;
    }
    Ok(Descriptor { start, end, frame_number, structure: brought, active, frame })
}

/// The number of layers that other descriptions can hold.
const LAYERS_MAX: u8 = 100;

#[derive(Default)]
struct BitWriter(Vec<bool>);

impl BitWriter {
    fn flag(&mut self, flag: bool) {
        self.0.push(flag);
    }

    fn number(&mut self, width: usize, value: u32) {
        assert!(width == 32 || value >> width == 0, "{value} does not fit into {width} bits");
        self.0.extend((0..width).rev().map(|bit| value >> bit & 1 == 1));
    }

    /// `ns(n)` of A.8.1: one of `values` numbers.
    fn one_of(&mut self, values: u32, value: u32) {
        let width = values.ilog2() as usize + 1;
        let short = (1 << width) - values;
        if value < short { self.number(width - 1, value) } else { self.number(width, value + short) }
    }

    fn structure(&mut self, structure: &Structure) {
        self.number(6, structure.id_offset.into());
        self.number(5, structure.targets as u32 - 1);
        for pair in structure.templates.windows(2) {
            let step = (pair[1].spatial - pair[0].spatial, pair[1].temporal);
            self.number(
                2,
                match step {
                    (0, temporal) if temporal == pair[0].temporal => 0,
                    (0, temporal) if temporal == pair[0].temporal + 1 => 1,
                    (1, 0) => 2,
                    _ => panic!("templates are not in the order of layers: {:?}", structure.templates),
                },
            );
        }
        self.number(2, 3);
        for template in &structure.templates {
            template.dtis.iter().for_each(|dti| self.number(2, *dti as u32));
        }
        for template in &structure.templates {
            for diff in &template.diffs {
                self.flag(true);
                self.number(4, u32::from(*diff) - 1);
            }
            self.flag(false);
        }
        self.one_of(structure.targets as u32 + 1, structure.chains as u32);
        if structure.chains > 0 {
            for chain in &structure.protected_by {
                self.one_of(structure.chains as u32, (*chain).into());
            }
            for template in &structure.templates {
                template.chain_diffs.iter().for_each(|diff| self.number(4, (*diff).into()));
            }
        }
        self.flag(!structure.sizes.is_empty());
        for (width, height) in &structure.sizes {
            self.number(16, u32::from(*width) - 1);
            self.number(16, u32::from(*height) - 1);
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at))
        };
        self.0.chunks(8).map(byte).collect()
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl BitReader<'_> {
    fn flag(&mut self) -> Result<bool, String> {
        let byte = self.bytes.get(self.at / 8).ok_or("the descriptor is cut short")?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(bit == 1)
    }

    fn number(&mut self, width: usize) -> Result<u32, String> {
        (0..width).try_fold(0, |value, _| Ok(value << 1 | u32::from(self.flag()?)))
    }

    fn one_of(&mut self, values: u32) -> Result<u32, String> {
        let width = values.ilog2() as usize + 1;
        let short = (1 << width) - values;
        let value = self.number(width - 1)?;
        if value < short { Ok(value) } else { Ok((value << 1 | u32::from(self.flag()?)) - short) }
    }

    fn dti(&mut self) -> Result<Dti, String> {
        Ok([Dti::NotPresent, Dti::Discardable, Dti::Switch, Dti::Required][self.number(2)? as usize])
    }

    fn structure(&mut self) -> Result<Structure, String> {
        let id_offset = self.number(6)? as u8;
        let targets = self.number(5)? as usize + 1;
        let mut templates = Vec::new();
        let (mut spatial, mut temporal) = (0, 0);
        loop {
            let (dtis, diffs, chain_diffs) = (Vec::new(), Vec::new(), Vec::new());
            templates.push(Template { spatial, temporal, dtis, diffs, chain_diffs });
            match self.number(2)? {
                0 => {}
                1 => temporal += 1,
                2 => (spatial, temporal) = (spatial + 1, 0),
                _ => break,
            }
            if spatial.max(temporal) > LAYERS_MAX {
                return Err("more layers than any codec has".to_owned());
            }
        }
        for template in &mut templates {
            template.dtis = (0..targets).map(|_| self.dti()).collect::<Result<_, _>>()?;
        }
        for template in &mut templates {
            while self.flag()? {
                template.diffs.push(self.number(4)? as u16 + 1);
            }
        }
        let chains = self.one_of(targets as u32 + 1)? as usize;
        let mut protected_by = Vec::new();
        if chains > 0 {
            for _ in 0..targets {
                protected_by.push(self.one_of(chains as u32)? as u8);
            }
            for template in &mut templates {
                for _ in 0..chains {
                    template.chain_diffs.push(self.number(4)? as u8);
                }
            }
        }
        let mut sizes = Vec::new();
        if self.flag()? {
            for _ in 0..=spatial {
                let size = (self.number(16)?, self.number(16)?);
                sizes.push(((size.0 + 1) as u16, (size.1 + 1) as u16));
            }
        }
        Ok(Structure { id_offset, targets, templates, protected_by, chains, sizes })
    }
}

#[cfg(test)]
mod tests;
