//! The content of a message of a data channel: its producer, its number, its length, and a filling that follows
//! from these, so that a changed, cut or exchanged message is detected.

use super::stamp::NOISE;

/// Bytes before the filling.
pub const MESSAGE_HEAD_LEN: usize = 16;

/// The identity of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its producer.
    pub producer: u32,
    /// Counts the messages of the producer from 0.
    pub number: u64,
    /// Its bytes, at least [`MESSAGE_HEAD_LEN`].
    pub len: u32,
}

impl Message {
    /// Its bytes.
    pub fn write(&self) -> Vec<u8> {
        let len = self.len as usize;
        let mut bytes = Vec::with_capacity(len);
        bytes.extend(self.producer.to_be_bytes());
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.len.to_be_bytes());
        let mut noise = self.noise();
        while bytes.len() < len {
            let part = noise.len().min(len - bytes.len());
            bytes.extend(&noise[..part]);
            noise = &NOISE;
        }
        bytes
    }

    /// Reads a message. `None` if it does not have its length, or any byte of the filling is another one.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (head, mut filling) = bytes.split_at_checked(MESSAGE_HEAD_LEN)?;
        let message = Self {
            producer: u32::from_be_bytes(*head.first_chunk()?),
            number: u64::from_be_bytes(*head[4..].first_chunk()?),
            len: u32::from_be_bytes(*head[12..].first_chunk()?),
        };
        if message.len as usize != bytes.len() {
            return None;
        }
        let mut noise = message.noise();
        while !filling.is_empty() {
            let (part, rest) = filling.split_at(noise.len().min(filling.len()));
            if *part != noise[..part.len()] {
                return None;
            }
            (filling, noise) = (rest, &NOISE);
        }
        Some(message)
    }

    /// The beginning of the filling: different for each message of a producer, and for each producer.
    fn noise(&self) -> &'static [u8] {
        let identity = self.number ^ u64::from(self.producer).rotate_left(32);
        // The upper bits of the product depend on all bits of the identity.
        let start = identity.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50;
        &NOISE[start as usize..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_every_length_are_read_back() {
        for len in [16, 17, 1_000, 16_384, 65_536, 262_144] {
            let message = Message { producer: 7, number: 123_456, len };
            assert_eq!(Message::read(&message.write()), Some(message), "{len}");
        }
    }

    #[test]
    fn a_changed_cut_or_longer_message_is_refused() {
        let bytes = Message { producer: 7, number: 3, len: 20_000 }.write();
        for at in (0..bytes.len()).step_by(7) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Message::read(&changed), None, "byte {at}");
        }
        assert_eq!(Message::read(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Message::read(&[&bytes[..], &[0]].concat()), None);
    }
}
