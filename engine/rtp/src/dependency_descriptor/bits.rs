//! Numbers of any width from bytes, the highest bit first (AV1 RTP appendix A.8.2).

use super::Unread;

/// Reads bit by bit; past the end every read is [`Unread::Short`].
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8]) -> Bits<'a> {
        Bits { bytes, at: 0 }
    }

    /// `f(1)`.
    pub fn flag(&mut self) -> Result<bool, Unread> {
        Ok(self.number(1)? != 0)
    }

    /// `f(width)`; at most 32 bits.
    pub fn number(&mut self, width: usize) -> Result<u32, Unread> {
        debug_assert!(width <= 32, "no field is wider");
        let end = self.at + width;
        if end > self.bytes.len() * 8 {
            return Err(Unread::Short);
        }
        let mut value = 0u64;
        while self.at < end {
            let used = self.at % 8;
            let taken = (8 - used).min(end - self.at);
            let byte = self.bytes[self.at / 8] << used >> (8 - taken);
            value = value << taken | u64::from(byte);
            self.at += taken;
        }
        Ok(value as u32)
    }

    /// `ns(values)`: one of 0 to `values` - 1; the lower ones are one bit shorter if `values` is not a power
    /// of two.
    pub fn one_of(&mut self, values: u32) -> Result<u32, Unread> {
        let width = (u32::BITS - values.leading_zeros()) as usize;
        let short = (1 << width) - values;
        let value = self.number(width.saturating_sub(1))?;
        if value < short {
            return Ok(value);
        }
        Ok((value << 1) - short + self.number(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_cross_bytes() {
        let mut bits = Bits::new(&[0b1010_0101, 0b1100_0011, 0xff, 0x00, 0x80]);
        assert_eq!(bits.flag(), Ok(true));
        assert_eq!(bits.number(9), Ok(0b0_1001_0111));
        assert_eq!(bits.number(0), Ok(0));
        assert_eq!(bits.number(30), Ok(0b00_0011_1111_1111_0000_0000_1000_0000));
        assert_eq!(bits.number(0), Ok(0));
        assert_eq!(bits.number(1), Err(Unread::Short));
        assert_eq!(Bits::new(&[0xff; 4]).number(32), Ok(u32::MAX));
        assert_eq!(Bits::new(&[]).flag(), Err(Unread::Short));
    }

    /// The table of appendix A.8.2: five values are 00, 01, 10, 110, 111.
    #[test]
    fn one_of_five_takes_two_or_three_bits() {
        let mut bits = Bits::new(&[0b0001_1011, 0b0111_0000]);
        let values: Vec<_> = (0..5).map(|_| bits.one_of(5)).collect();
        assert_eq!(values, [Ok(0), Ok(1), Ok(2), Ok(3), Ok(4)]);
        assert_eq!(bits.at, 12);
        let mut bits = Bits::new(&[]);
        assert_eq!((bits.one_of(1), bits.one_of(2)), (Ok(0), Err(Unread::Short)), "one value needs no bit");
    }
}
