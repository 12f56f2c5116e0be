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
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As Chrome begins a keyframe: SPS and PPS in one STAP-A.
    const PARAMETER_SETS: [u8; 13] = [
        0x78, // NRI 3, type 24
        0x00, 0x04, 0x67, 0x42, 0xc0, 0x1f, // SPS: NRI 3, type 7, three bytes
        0x00, 0x04, 0x68, 0xce, 0x3c, 0x80, // PPS: NRI 3, type 8, three bytes
    ];

    #[test]
    fn a_stap_a_is_walked() {
        let Some(Payload::Aggregate(units)) = Payload::parse(&PARAMETER_SETS) else {
            panic!("an aggregate");
        };
        let units: Vec<_> = units.collect();
        assert_eq!(
            units,
            [
                Nal { header: 0x67, kind: NalKind::Sps, ref_idc: 3, bytes: &[0x42, 0xc0, 0x1f] },
                Nal { header: 0x68, kind: NalKind::Pps, ref_idc: 3, bytes: &[0xce, 0x3c, 0x80] },
            ]
        );
        assert!(is_keyframe(&PARAMETER_SETS));
        let without_sps = [0x78, 0x00, 0x02, 0x68, 0xce, 0x00, 0x01, 0x06];
        assert!(Payload::parse(&without_sps).expect("whole").starts(NalKind::Pps));
        assert!(!is_keyframe(&without_sps));
        let with_idr = [0x78, 0x00, 0x02, 0x68, 0xce, 0x00, 0x02, 0x65, 0x88];
        assert!(is_keyframe(&with_idr));
    }

    #[test]
    fn a_fragment_counts_only_at_its_start() {
        let start = [0x7c, 0x85, 0x88, 0x84]; // NRI 3, FU-A; S, type 5
        assert_eq!(
            Payload::parse(&start),
            Some(Payload::Fragment {
                nal: Nal { header: 0x65, kind: NalKind::Idr, ref_idc: 3, bytes: &[0x88, 0x84] },
                start: true,
                end: false,
            })
        );
        assert!(is_keyframe(&start));
        assert!(is_keyframe(&[0x7c, 0x87, 0x42]), "a fragmented SPS");
        assert!(!is_keyframe(&[0x7c, 0x05, 0x88]), "in the middle");
        assert!(!is_keyframe(&[0x7c, 0x45, 0x88]), "the end");
        assert!(!is_keyframe(&[0x7c, 0x81, 0x88]), "no IDR");
    }

    #[test]
    fn fragment_with_start_and_end_is_a_whole_unit() {
        assert!(is_keyframe(&[0x7c, 0xc5, 0x88]) && is_keyframe(&[0x7c, 0xc7, 0x42]));
        assert!(!is_keyframe(&[0x7c, 0xc8, 0xce]) && !is_keyframe(&[0x7c, 0xc1, 0x9a]));
        let units = |payload: &[u8]| {
            let mut units = Vec::new();
            Payload::parse(payload)
                .expect("whole")
                .whole_units(|nal| units.push((nal.header, nal.bytes.to_vec())));
            units
        };
        assert_eq!(units(&[0x7c, 0xc7, 0x42, 0xc0]), [(0x67, vec![0x42, 0xc0])]);
        assert_eq!(units(&[0x67, 0x42, 0xc0]), [(0x67, vec![0x42, 0xc0])]);
        assert_eq!(units(&[0x7c, 0x87, 0x42, 0xc0]), [], "its end is missing");
        let headers: Vec<u8> = units(&PARAMETER_SETS).iter().map(|(header, _)| *header).collect();
        assert_eq!(headers, [0x67, 0x68]);
    }

    #[test]
    fn parameter_sets_have_ids() {
        let id = |unit: &[u8]| Nal::new(unit[0], &unit[1..]).parameter_set_id();
        assert_eq!(id(&[0x67, 0x42, 0xc0, 0x1f, 0x8c]), Some(0), "as x264 writes it");
        assert_eq!(id(&[0x67, 0x42, 0xc0, 0x1f, 0b0110_0000]), Some(2));
        assert_eq!(id(&[0x67, 0x42, 0xc0, 0x1f, 0b0000_0100, 0b0000_0000]), Some(31));
        assert_eq!(id(&[0x67, 0x42, 0xc0, 0x1f, 0b0000_0100, 0b0010_0000]), None, "32");
        assert_eq!(id(&[0x67, 0x42, 0xc0, 0x1f]), None, "cut");
        assert_eq!(id(&[0x68, 0xce, 0x3c, 0x80]), Some(0));
        assert_eq!(id(&[0x68, 0x00, 0x80, 0x00]), Some(255));
        assert_eq!(id(&[0x68, 0x00, 0x80]), None, "cut");
        assert_eq!(id(&[0x68, 0x00, 0x80, 0x80]), None, "256");
        assert_eq!(id(&[0x68, 0, 0, 0, 0, 0x80]), None);
        assert_eq!(id(&[0x65, 0x88]), None, "a slice");
    }

    #[test]
    fn a_single_nal_unit_is_the_payload() {
        assert!(is_keyframe(&[0x65, 0x88]) && is_keyframe(&[0x67, 0x42]));
        for header in [0x41, 0x61, 0x06, 0x68, 0x09, 0x0c, 0x74] {
            assert!(!is_keyframe(&[header, 0x9a]), "type {}", header & TYPE);
            assert!(matches!(Payload::parse(&[header, 0x9a]), Some(Payload::Single(_))));
        }
        assert_eq!(
            Payload::parse(&[0x01, 0xa5]),
            Some(Payload::Single(Nal { header: 0x01, kind: NalKind::Slice, ref_idc: 0, bytes: &[0xa5] }))
        );
    }

    #[test]
    fn types_of_the_interleaved_mode_are_not_read() {
        for kind in [0, 25, 26, 27, 29, 30, 31] {
            assert_eq!(Payload::parse(&[0x60 | kind, 0x80, 0x00, 0x01, 0x65]), None, "type {kind}");
        }
    }

    #[test]
    fn cut_short_at_every_length_is_refused() {
        let boundaries = [7, 13];
        for len in 0..PARAMETER_SETS.len() {
            let whole = Payload::parse(&PARAMETER_SETS[..len]).is_some();
            assert_eq!(whole, boundaries.contains(&len), "{len} bytes");
        }
        assert_eq!(Payload::parse(&[0x7c]), None, "FU-A without its header");
        assert_eq!(Payload::parse(&[0x78, 0x00, 0x00]), None, "an empty NAL unit");
    }

    proptest! {
        #[test]
        fn walks_what_the_naive_writer_aggregated(
            units in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..6),
        ) {
            let mut payload = vec![STAP_A];
            for unit in &units {
                payload.extend((unit.len() as u16).to_be_bytes());
                payload.extend(unit);
            }
            let Some(Payload::Aggregate(walk)) = Payload::parse(&payload) else {
                return Err(TestCaseError::fail("an aggregate"));
            };
            let read: Vec<_> = walk.map(|nal| nal.bytes).collect();
            let written: Vec<_> = units.iter().map(|unit| &unit[1..]).collect();
            prop_assert_eq!(read, written);
            let begins = units.iter().any(|unit| [5, 7].contains(&(unit[0] & TYPE)));
            prop_assert_eq!(is_keyframe(&payload), begins);
            prop_assert_eq!(Payload::parse(&payload[..payload.len() - 1]), None);
        }

        #[test]
        fn no_payload_panics(kind in 0u8..32, tail in prop::collection::vec(any::<u8>(), 0..40)) {
            let payload = [&[kind][..], &tail].concat();
            for len in 0..=payload.len() {
                let _ = is_keyframe(&payload[..len]);
                if let Some(Payload::Aggregate(walk)) = Payload::parse(&payload[..len]) {
                    prop_assert!(walk.count() > 0);
                }
            }
        }
    }
}
