//! The content of a payload after the codec's part: its source, its number, its send time, and a filling that
//! follows from these, so that a changed byte is detected.

/// Bytes before the filling.
pub const STAMP_LEN: usize = 20;

/// The source of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The track and its encoding.
    pub track: u32,
    /// Counts the packets of this encoding from 0.
    pub number: u64,
    /// Nanoseconds of the wall clock.
    pub sent_at: u64,
}

impl Stamp {
    /// Writes itself and the filling over the whole `body`, which has at least [`STAMP_LEN`] bytes.
    pub fn write(&self, body: &mut [u8]) {
        let (stamp, filling) = body.split_at_mut(STAMP_LEN);
        stamp[..4].copy_from_slice(&self.track.to_be_bytes());
        stamp[4..12].copy_from_slice(&self.number.to_be_bytes());
        stamp[12..].copy_from_slice(&self.sent_at.to_be_bytes());
        filling.copy_from_slice(self.filling(filling.len()));
    }

    /// Reads a stamp. `None` if the filling is not its own, or there is no room for one.
    pub fn read(body: &[u8]) -> Option<Self> {
        let (stamp, filling) = body.split_at_checked(STAMP_LEN)?;
        let number = |at: usize| u64::from_be_bytes(stamp[at..at + 8].try_into().expect("eight bytes"));
        let track = u32::from_be_bytes([stamp[0], stamp[1], stamp[2], stamp[3]]);
        let stamp = Self { track, number: number(4), sent_at: number(12) };
        (filling.len() <= FILLING_LEN_MAX && filling == stamp.filling(filling.len())).then_some(stamp)
    }

    /// A part of the noise: different for each packet of a track, and for each track.
    fn filling(&self, len: usize) -> &'static [u8] {
        let start = (self.number.wrapping_mul(31) ^ u64::from(self.track).wrapping_mul(1_000_003)) as usize
            % (NOISE.len() - FILLING_LEN_MAX);
        &NOISE[start..start + len]
    }
}

/// More than fits into a datagram of this load.
const FILLING_LEN_MAX: usize = 1500;

/// Of all fillings.
pub(super) static NOISE: [u8; 16 << 10] = noise();

/// A linear congruential generator's upper byte.
const fn noise() -> [u8; 16 << 10] {
    let mut noise = [0; 16 << 10];
    let (mut state, mut at) = (0x2545_f491_u32, 0);
    while at < noise.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise[at] = (state >> 24) as u8;
        at += 1;
    }
    noise
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { track: 0x120, number: 77, sent_at: 1_795_000_000_123_456_789 };

    fn body(stamp: Stamp) -> Vec<u8> {
        let mut body = vec![0xa5; 1100];
        stamp.write(&mut body);
        body
    }

    #[test]
    fn written_values_are_read_back() {
        assert_eq!(Stamp::read(&body(STAMP)), Some(STAMP));
        assert_eq!(Stamp::read(&body(STAMP)[..STAMP_LEN]), Some(STAMP), "without a filling");
    }

    #[test]
    fn one_changed_bit_is_detected_anywhere() {
        let body = body(STAMP);
        // A changed time does not affect the filling: these eight bytes are protected by the cipher's tag
        // only.
        for at in (0..12).chain(STAMP_LEN..body.len()) {
            let mut changed = body.clone();
            changed[at] ^= 0x01;
            assert_eq!(Stamp::read(&changed), None, "byte {at}");
        }
    }

    #[test]
    fn every_length_cut_short_is_read_or_refused() {
        let body = body(STAMP);
        for len in 0..body.len() {
            assert_eq!(Stamp::read(&body[..len]).is_some(), len >= STAMP_LEN, "{len}");
        }
        assert_eq!(Stamp::read(&[0; 4000]), None, "longer than anything sent");
    }
}
