//! Client-to-mixer audio level (RFC 6464 §3): the volume of this packet, and whether it contains speech.

/// One byte: the flag in the highest bit, the level below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// The sender detects speech (V). Only meaningful if negotiated (`vad=on`, the default).
    pub voice: bool,
    /// Decibels *below* overload: 0 is the loudest, 127 is silence.
    pub level_dbov: u8,
}

/// `None` unless one byte.
pub fn read(value: &[u8]) -> Option<AudioLevel> {
    let [byte]: [u8; 1] = value.try_into().ok()?;
    Some(AudioLevel { voice: byte & 0x80 != 0, level_dbov: byte & 0x7f })
}

/// One byte; a level beyond 127 is silence.
pub fn write(level: AudioLevel) -> [u8; 1] {
    [(u8::from(level.voice) << 7) | level.level_dbov.min(127)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_is_the_highest_bit_and_level_the_rest() {
        assert_eq!(read(&[0xa5]), Some(AudioLevel { voice: true, level_dbov: 0x25 }));
        for byte in 0..=255 {
            assert_eq!(write(read(&[byte]).expect("one byte")), [byte]);
        }
        assert_eq!(write(AudioLevel { voice: false, level_dbov: 200 }), [127]);
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[0, 0]), None);
    }
}
