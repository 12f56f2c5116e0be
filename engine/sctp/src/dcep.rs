//! The messages of the Data Channel Establishment Protocol (RFC 8832 §5).

use crate::channel::{Channel, Limit, Reliability};
use crate::limits::LABEL_LEN_MAX;
use bytes::Bytes;

const OPEN: u8 = 3;
const ACK: u8 = 2;
/// Bytes of an OPEN before label and protocol.
const OPEN_LEN: usize = 12;

const RETRANSMISSIONS: u8 = 1;
const LIFETIME: u8 = 2;
const UNORDERED: u8 = 0x80;

/// A message of the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Open(Channel),
    Ack,
}

impl Message {
    /// `None` if the message is malformed, or a name is longer than [`LABEL_LEN_MAX`].
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        match *bytes.first()? {
            ACK => Some(Self::Ack),
            OPEN => read_open(bytes).map(Self::Open),
            _ => None,
        }
    }

    pub(crate) fn write(&self) -> Bytes {
        let Self::Open(channel) = self else { return Bytes::from_static(&[ACK]) };
        let (limit, value) = match channel.reliability.limit {
            Limit::Reliable => (0, 0),
            Limit::Retransmissions(count) => (RETRANSMISSIONS, count),
            Limit::LifetimeMs(ms) => (LIFETIME, ms),
        };
        let kind = if channel.reliability.is_unordered { limit | UNORDERED } else { limit };
        let names = [channel.label.as_bytes(), channel.protocol.as_bytes()];
        let mut bytes = Vec::with_capacity(OPEN_LEN + names[0].len() + names[1].len());
        bytes.extend([OPEN, kind]);
        bytes.extend(channel.priority.to_be_bytes());
        bytes.extend(value.to_be_bytes());
        names.iter().for_each(|name| bytes.extend((name.len() as u16).to_be_bytes()));
        names.iter().for_each(|name| bytes.extend(*name));
        bytes.into()
    }
}

fn read_open(bytes: &[u8]) -> Option<Channel> {
    let (&[_, kind, p0, p1, v0, v1, v2, v3, l0, l1, q0, q1], names) =
        bytes.split_first_chunk::<OPEN_LEN>()?;
    let value = u32::from_be_bytes([v0, v1, v2, v3]);
    let limit = match kind & !UNORDERED {
        0 => Limit::Reliable,
        RETRANSMISSIONS => Limit::Retransmissions(value),
        LIFETIME => Limit::LifetimeMs(value),
        _ => return None,
    };
    let (label, protocol) = names.split_at_checked(u16::from_be_bytes([l0, l1]).into())?;
    if protocol.len() != usize::from(u16::from_be_bytes([q0, q1])) {
        return None;
    }
    Some(Channel {
        label: name(label)?,
        protocol: name(protocol)?,
        reliability: Reliability { is_unordered: kind & UNORDERED != 0, limit },
        priority: u16::from_be_bytes([p0, p1]),
    })
}

fn name(bytes: &[u8]) -> Option<String> {
    let is_short = bytes.len() <= LABEL_LEN_MAX;
    is_short.then(|| std::str::from_utf8(bytes).ok().map(str::to_owned)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example values of RFC 8832 §5.1 and the types of §8.2.2.
    #[test]
    fn the_six_types_have_their_numbers() {
        let limits =
            [(0, Limit::Reliable), (1, Limit::Retransmissions(0x0102_0304)), (2, Limit::LifetimeMs(5))];
        for (number, limit) in limits {
            for (bit, is_unordered) in [(0, false), (0x80, true)] {
                let reliability = Reliability { is_unordered, limit };
                let open = Message::Open(Channel { reliability, ..Channel::reliable("a") });
                let bytes = open.write();
                assert_eq!(bytes[..4], [3, number | bit, 1, 0]);
                assert_eq!(Message::read(&bytes), Some(open));
            }
        }
        assert_eq!(Message::read(&[2]), Some(Message::Ack));
    }

    proptest! {
        #[test]
        fn any_open_reads_back_and_no_cut_one_does(
            label in "\\PC{0,40}", protocol in "\\PC{0,40}", priority: u16, unordered: bool, value: u32,
        ) {
            let reliability =
                Reliability { is_unordered: unordered, limit: Limit::Retransmissions(value) };
            let open = Message::Open(Channel { label, protocol, reliability, priority });
            let bytes = open.write();
            for len in 0..bytes.len() {
                prop_assert_eq!(Message::read(&bytes[..len]), None);
            }
            prop_assert_eq!(Message::read(&bytes), Some(open));
        }
    }

    #[test]
    fn a_name_that_is_too_long_or_not_text_is_refused() {
        let long = Message::Open(Channel::reliable("x".repeat(LABEL_LEN_MAX + 1)));
        assert_eq!(Message::read(&long.write()), None);
        let mut bytes = Message::Open(Channel::reliable("x")).write().to_vec();
        bytes[OPEN_LEN] = 0xff;
        assert_eq!(Message::read(&bytes), None);
    }
}
