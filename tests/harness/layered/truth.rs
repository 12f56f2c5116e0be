//! The real properties of a packet, in its last bytes: its frame, its layer, and the references. The engine
//! does not read them; a receiver's model is checked against them.

use machine::Instant;

/// The maximum of stored references.
const REFERENCES_MAX: usize = 4;

/// Its length in bytes.
pub const TRUTH_LEN: usize = 4 + 4 + 2 + 2 + 8 + 1 + 4 * REFERENCES_MAX + 4;

/// The truth about a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Which stream of simulcast.
    pub encoding: u8,
    /// Spatial layer within the stream.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// Belongs to a key picture.
    pub is_key: bool,
    /// Number of the frame, over all streams and layers of the track.
    pub frame: u32,
    /// Index among the frame's packets.
    pub index: u16,
    /// Number of the frame's packets.
    pub count: u16,
    /// When the picture was captured.
    pub captured_at: Instant,
    /// The frames it refers to.
    pub references: Vec<u32>,
}

impl Truth {
    /// Appends the truth to a payload, whose first `descriptor_len` bytes may be rewritten on the way.
    pub fn append(&self, payload: &mut Vec<u8>, descriptor_len: usize) {
        let start = payload.len();
        payload.extend([self.encoding, self.spatial, self.temporal, self.is_key.into()]);
        payload.extend(self.frame.to_be_bytes());
        payload.extend(self.index.to_be_bytes());
        payload.extend(self.count.to_be_bytes());
        payload.extend(self.captured_at.as_nanos().to_be_bytes());
        assert!(self.references.len() <= REFERENCES_MAX, "{self:?}");
        payload.push(self.references.len() as u8);
        for slot in 0..REFERENCES_MAX {
            payload.extend(self.references.get(slot).copied().unwrap_or(0).to_be_bytes());
        }
        payload.extend(checksum(&payload[descriptor_len..]).to_be_bytes());
        debug_assert_eq!(payload.len() - start, TRUTH_LEN);
    }

    /// Reads it from the end of a payload. `Err` if anything after the descriptor has been changed.
    pub fn read(payload: &[u8], descriptor_len: usize) -> Result<Self, String> {
        let body = payload.get(descriptor_len..).filter(|body| body.len() >= TRUTH_LEN);
        let (checked, sum) = body.and_then(<[u8]>::split_last_chunk::<4>).ok_or("a payload is cut short")?;
        if checksum(checked) != u32::from_be_bytes(*sum) {
            return Err("a payload has been changed".to_owned());
        }
        let fields = &checked[checked.len() + 4 - TRUTH_LEN..];
        let number = |at: usize, len: usize| {
            fields[at..at + len].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        Ok(Self {
            encoding: fields[0],
            spatial: fields[1],
            temporal: fields[2],
            is_key: fields[3] == 1,
            frame: number(4, 4) as u32,
            index: number(8, 2) as u16,
            count: number(10, 2) as u16,
            captured_at: Instant::from_nanos(number(12, 8)),
            references: (0..number(20, 1) as usize).map(|slot| number(21 + 4 * slot, 4) as u32).collect(),
        })
    }
}

/// FNV-1a, four bytes at a time.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, word: u32| (sum ^ word).wrapping_mul(16_777_619);
    let (words, rest) = bytes.as_chunks::<4>();
    let sum = words.iter().fold(2_166_136_261, |sum, word| step(sum, u32::from_be_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| step(sum, u32::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_is_read_and_a_changed_byte_is_detected() {
        let truth = Truth {
            encoding: 2,
            spatial: 1,
            temporal: 2,
            is_key: true,
            frame: 70_000,
            index: 3,
            count: 9,
            captured_at: Instant::from_nanos(1 << 40),
            references: vec![69_999, 69_990],
        };
        let mut payload = vec![1, 2, 3, 4, 5, 6, 7];
        truth.append(&mut payload, 3);
        assert_eq!(Truth::read(&payload, 3), Ok(truth.clone()));
        payload[2] ^= 0xff;
        assert_eq!(Truth::read(&payload, 3), Ok(truth), "the descriptor may change");
        payload[4] ^= 1;
        assert!(Truth::read(&payload, 3).is_err());
        assert!(Truth::read(&payload[..20], 3).is_err());
    }
}
