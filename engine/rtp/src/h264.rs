//! H.264 (RTP payload RFC 6184): which NAL units a packet carries, and whether it begins a keyframe.
//!
//! The packetization modes of browsers, 0 and 1: single NAL units, STAP-A and FU-A. What is *not* here: the
//! interleaved mode (STAP-B, MTAP, FU-B), which no browser offers, and the contents of a NAL unit except the
//! id of a parameter set. The payload has no layer numbers; the dependency descriptor has them.
//!
//! ```text
//!          0 1 2 3 4 5 6 7
//!         |F|NRI|  type   |  a NAL unit of types 1 to 23: its header, and the payload is the NAL unit
//!  STAP-A |F|NRI|   24    |  then, again and again: 16 bits of length, a NAL unit
//!  FU-A   |F|NRI|   28    |  then, once:
//!         |S|E|R|  type   |  and a fragment of a NAL unit of that type, without its header
//! ```

/// The contents of a packet's payload (RFC 6184 §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// One whole NAL unit (§5.6).
    Single(Nal<'a>),
    /// Several whole NAL units of one timestamp (§5.7.1).
    Aggregate(Aggregate<'a>),
    /// A piece of one (§5.8).
    Fragment {
        /// The piece; its bytes lack the NAL unit's header.
        nal: Nal<'a>,
        /// It is the first piece (S).
        start: bool,
        /// It is the last piece (E).
        end: bool,
    },
}

/// A NAL unit or a piece of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nal<'a> {
    /// Its header byte; for a fragment, that of the whole NAL unit.
    pub header: u8,
    /// Its type.
    pub kind: NalKind,
    /// Its importance, 0 to 3 (NRI); 0: no picture references it.
    pub ref_idc: u8,
    /// The bytes after the header.
    pub bytes: &'a [u8],
}

/// The type of a NAL unit (ITU-T H.264 table 7-1), as far as a forwarder needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalKind {
    /// Slice of a picture that may reference others (1).
    Slice,
    /// Slice of an IDR picture (5): nothing after it references anything before it.
    Idr,
    /// Supplemental information (6).
    Sei,
    /// Sequence parameter set (7), which a decoder needs first.
    Sps,
    /// Picture parameter set (8).
    Pps,
    /// Access unit delimiter (9).
    Delimiter,
    /// Any other type, by its number, 0 to 31.
    Other(u8),
}

/// The NAL units of a STAP-A, all known to be complete; in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregate<'a> {
    rest: &'a [u8],
}

impl Payload<'_> {
    /// Reads a payload. `None` if it is cut short, is of a type that modes 0 and 1 do not have, or if an
    /// aggregate contains no NAL unit or an empty one.
    pub fn parse(payload: &[u8]) -> Option<Payload<'_>> {
        let (&header, rest) = payload.split_first()?;
        Some(match header & TYPE {
            1..=23 => Payload::Single(Nal::new(header, rest)),
            STAP_A => Payload::Aggregate(Aggregate::parse(rest)?),
            FU_A => {
                let (&fragment, bytes) = rest.split_first()?;
                // RFC 6184 §5.8 forbids both at once, since a NAL unit in one piece needs no fragment.
                // Hardware encoders nevertheless send it for small ones, and receivers accept it as a whole
                // NAL unit.
                let (start, end) = (fragment & S != 0, fragment & E != 0);
                Payload::Fragment { nal: Nal::new(header & !TYPE | fragment & TYPE, bytes), start, end }
            }
            _ => return None,
        })
    }

    /// Calls `each` with every NAL unit that is complete in the packet.
    pub fn whole_units<'a>(&'a self, mut each: impl FnMut(Nal<'a>)) {
        match *self {
            Payload::Single(nal) | Payload::Fragment { nal, start: true, end: true } => each(nal),
            Payload::Aggregate(aggregate) => aggregate.for_each(each),
            Payload::Fragment { .. } => {}
        }
    }

    /// Whether a NAL unit of this kind begins in the packet.
    pub fn starts(&self, kind: NalKind) -> bool {
        match *self {
            Payload::Single(nal) => nal.kind == kind,
            Payload::Aggregate(mut aggregate) => aggregate.any(|nal| nal.kind == kind),
            Payload::Fragment { nal, start, .. } => start && nal.kind == kind,
        }
    }
}

/// Whether the packet with this payload belongs to the beginning of a keyframe: an IDR slice or a sequence
/// parameter set begins in it.
///
/// Several packets of one keyframe can return `true`: its parameter sets, then each of its slices. A receiver
/// must start at the first of them; only an access unit delimiter or an SEI may come before it, and a decoder
/// needs neither.
pub fn is_keyframe(payload: &[u8]) -> bool {
    Payload::parse(payload)
        .is_some_and(|payload| payload.starts(NalKind::Sps) || payload.starts(NalKind::Idr))
}

impl<'a> Nal<'a> {
    fn new(header: u8, bytes: &'a [u8]) -> Nal<'a> {
        Nal { header, kind: NalKind::new(header & TYPE), ref_idc: header >> 5 & 0x03, bytes }
    }

    /// The id of a parameter set (ITU-T H.264 §7.3.2.1.1, §7.3.2.2): a later set of the same kind and id
    /// replaces it. `None` if it is not a parameter set, or its id is above the standard's maximum.
    pub fn parameter_set_id(&self) -> Option<u8> {
        let (at, id_max) = match self.kind {
            // After profile, constraints and level.
            NalKind::Sps => (3, 31),
            NalKind::Pps => (0, 255),
            _ => return None,
        };
        let id = exp_golomb(self.bytes.get(at..)?)?;
        u8::try_from(id).ok().filter(|id| *id <= id_max)
    }
}

/// The unsigned Exp-Golomb code at the start of the bytes (ITU-T H.264 §9.1), up to 16 bits of value.
fn exp_golomb(bytes: &[u8]) -> Option<u32> {
    let word = bytes.iter().chain([0; 4].iter()).take(4).fold(0, |word, byte| word << 8 | u32::from(*byte));
    let zeros = word.leading_zeros();
    let len = 2 * zeros + 1;
    if zeros > 15 || len as usize > 8 * bytes.len() {
        return None;
    }
    Some((word << zeros >> (31 - zeros)) - 1)
}

impl NalKind {
    fn new(number: u8) -> NalKind {
        match number {
            1 => NalKind::Slice,
            5 => NalKind::Idr,
            6 => NalKind::Sei,
            7 => NalKind::Sps,
            8 => NalKind::Pps,
            9 => NalKind::Delimiter,
            other => NalKind::Other(other),
        }
    }
}

impl<'a> Aggregate<'a> {
    fn parse(rest: &'a [u8]) -> Option<Aggregate<'a>> {
        let aggregate = Aggregate { rest };
        let mut walk = aggregate;
        walk.next()?;
        while walk.next().is_some() {}
        walk.rest.is_empty().then_some(aggregate)
    }
}

impl<'a> Iterator for Aggregate<'a> {
    type Item = Nal<'a>;

    fn next(&mut self) -> Option<Nal<'a>> {
        let (&len, rest) = self.rest.split_first_chunk()?;
        let (unit, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(len)))?;
        let (&header, bytes) = unit.split_first()?;
        self.rest = rest;
        Some(Nal::new(header, bytes))
    }
}

const TYPE: u8 = 0x1f;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const S: u8 = 0x80;
const E: u8 = 0x40;

#[cfg(test)]
mod tests;
