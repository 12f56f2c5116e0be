//! Messages between workers: small, with a fixed format. Some are followed by a packet, and one has a buffer.
//!
//! Every message may be lost. A worker that subscribes to a producer repeats its subscription, and each
//! repetition is answered with the complete state. A worker whose repetitions stop is removed.

use crate::base::slots::Slot;
use control::{DataProducerId, ProducerId};
use machine::Instant;
use rtp::ntp::NtpTime;

/// A message to another worker. `taker` is the slot of the piped producer on the subscribing worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeMessage {
    /// To the origin: this worker subscribes to a producer.
    Subscribe {
        /// Which.
        producer: ProducerId,
        /// The subscribing producer.
        taker: Slot,
        /// Bit `n`: spatial layer `n` has consumers there.
        wanted: u8,
    },
    /// To the origin: this worker ends its subscription.
    Unsubscribe {
        /// Which.
        producer: ProducerId,
        /// The subscribing producer.
        taker: Slot,
    },
    /// To the origin: a consumer needs a keyframe of this encoding.
    Keyframe {
        /// The producer.
        producer: ProducerId,
        /// The subscribing producer.
        taker: Slot,
        /// The encoding.
        stream: u8,
    },
    /// From the origin: the state of the producer.
    State {
        /// The receiving producer.
        taker: Slot,
        /// Whether it is paused.
        paused: bool,
        /// Whether resolution has priority over frame rate.
        is_detail: bool,
    },
    /// From the origin: the producer is closed.
    Gone {
        /// The receiving producer.
        taker: Slot,
    },
    /// From the origin: its publisher's clocks (RFC 3550 §6.4.1).
    Clock {
        /// The receiving producer.
        taker: Slot,
        /// The encoding.
        stream: u8,
        /// The arrival time of the report.
        received_at: Instant,
        /// The wall clock.
        ntp: NtpTime,
        /// The RTP clock at the same moment.
        rtp_timestamp: u32,
    },
    /// From the origin: a parameter set of H.264 from before the subscription; the NAL unit follows.
    ParameterSet {
        /// The receiving producer.
        taker: Slot,
        /// The encoding.
        stream: u8,
    },
    /// From the origin: a packet, whose decrypted bytes follow.
    Media {
        /// The receiving producer.
        taker: Slot,
        /// The encoding.
        stream: u8,
        /// The epoch of that encoding's stream: another one does not continue the earlier numbers.
        life: u8,
        /// When the kernel received it.
        received_at: Instant,
    },
    /// To the origin: this worker subscribes to a data producer.
    SubscribeData {
        /// Which.
        producer: DataProducerId,
        /// The subscribing data producer.
        taker: Slot,
        /// Not 0: it has consumers there. Otherwise only its end is reported.
        wanted: u8,
    },
    /// To the origin: this worker ends its subscription to a data producer.
    UnsubscribeData {
        /// Which.
        producer: DataProducerId,
        /// The subscribing data producer.
        taker: Slot,
    },
    /// From the origin: the subscription to a data producer is known.
    DataSubscribed {
        /// The receiving data producer.
        taker: Slot,
    },
    /// From the origin: the data producer is closed.
    DataGone {
        /// The receiving data producer.
        taker: Slot,
    },
    /// From the origin: a message of a data producer, whose payload is the buffer; an empty one has none.
    Data {
        /// The receiving data producer.
        taker: Slot,
        /// Whether it is text.
        is_text: bool,
    },
}

/// The bytes of the longest message, without the packet.
pub const MESSAGE_LEN_MAX: usize = 30;

/// A message as bytes.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    bytes: [u8; MESSAGE_LEN_MAX],
    len: usize,
}

impl Written {
    fn new(tag: u8) -> Self {
        let mut bytes = [0; MESSAGE_LEN_MAX];
        bytes[0] = tag;
        Self { bytes, len: 1 }
    }

    fn put<const N: usize>(mut self, value: [u8; N]) -> Self {
        self.bytes[self.len..self.len + N].copy_from_slice(&value);
        self.len += N;
        self
    }

    fn u64(self, value: u64) -> Self {
        self.put(value.to_le_bytes())
    }

    fn slot(self, slot: Slot) -> Self {
        self.u64(slot.to_bits())
    }

    fn u8(self, value: u8) -> Self {
        self.put([value])
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Bytes that are read from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn slot(&mut self) -> Option<Slot> {
        self.u64().map(Slot::from_bits)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[value]| value)
    }

    fn instant(&mut self) -> Option<Instant> {
        self.u64().map(Instant::from_nanos)
    }

    fn producer(&mut self) -> Option<ProducerId> {
        self.u64().map(ProducerId)
    }

    fn data_producer(&mut self) -> Option<DataProducerId> {
        self.u64().map(DataProducerId)
    }
}

impl PipeMessage {
    /// As bytes.
    pub fn write(&self) -> Written {
        match *self {
            Self::Subscribe { producer, taker, wanted } => {
                Written::new(0).u64(producer.0).slot(taker).u8(wanted)
            }
            Self::Unsubscribe { producer, taker } => Written::new(1).u64(producer.0).slot(taker),
            Self::Keyframe { producer, taker, stream } => {
                Written::new(2).u64(producer.0).slot(taker).u8(stream)
            }
            Self::State { taker, paused, is_detail } => {
                Written::new(3).slot(taker).u8(u8::from(paused) | u8::from(is_detail) << 1)
            }
            Self::Gone { taker } => Written::new(4).slot(taker),
            Self::Clock { taker, stream, received_at, ntp, rtp_timestamp } => Written::new(5)
                .slot(taker)
                .u8(stream)
                .u64(received_at.as_nanos())
                .u64(ntp.0)
                .put(rtp_timestamp.to_le_bytes()),
            Self::Media { taker, stream, life, received_at } => {
                Written::new(6).slot(taker).u8(stream).u8(life).u64(received_at.as_nanos())
            }
            Self::ParameterSet { taker, stream } => Written::new(7).slot(taker).u8(stream),
            Self::SubscribeData { producer, taker, wanted } => {
                Written::new(8).u64(producer.0).slot(taker).u8(wanted)
            }
            Self::UnsubscribeData { producer, taker } => Written::new(9).u64(producer.0).slot(taker),
            Self::DataSubscribed { taker } => Written::new(10).slot(taker),
            Self::DataGone { taker } => Written::new(11).slot(taker),
            Self::Data { taker, is_text } => Written::new(12).slot(taker).u8(is_text.into()),
        }
    }

    /// From bytes; returns also the packet or NAL unit after it, if its type has one. `None` if invalid.
    pub fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut reader = Reader(bytes);
        let message = match reader.u8()? {
            0 => {
                let (producer, taker) = (reader.producer()?, reader.slot()?);
                Self::Subscribe { producer, taker, wanted: reader.u8()? }
            }
            1 => Self::Unsubscribe { producer: reader.producer()?, taker: reader.slot()? },
            2 => {
                let (producer, taker) = (reader.producer()?, reader.slot()?);
                Self::Keyframe { producer, taker, stream: reader.u8()? }
            }
            3 => {
                let (taker, flags) = (reader.slot()?, reader.u8()?);
                Self::State { taker, paused: flags & 1 != 0, is_detail: flags & 2 != 0 }
            }
            4 => Self::Gone { taker: reader.slot()? },
            5 => {
                let (taker, stream, received_at) = (reader.slot()?, reader.u8()?, reader.instant()?);
                let (ntp, rtp_timestamp) = (NtpTime(reader.u64()?), u32::from_le_bytes(reader.take()?));
                Self::Clock { taker, stream, received_at, ntp, rtp_timestamp }
            }
            6 => {
                let (taker, stream, life) = (reader.slot()?, reader.u8()?, reader.u8()?);
                Self::Media { taker, stream, life, received_at: reader.instant()? }
            }
            7 => Self::ParameterSet { taker: reader.slot()?, stream: reader.u8()? },
            8 => {
                let (producer, taker) = (reader.data_producer()?, reader.slot()?);
                Self::SubscribeData { producer, taker, wanted: reader.u8()? }
            }
            9 => Self::UnsubscribeData { producer: reader.data_producer()?, taker: reader.slot()? },
            10 => Self::DataSubscribed { taker: reader.slot()? },
            11 => Self::DataGone { taker: reader.slot()? },
            12 => Self::Data { taker: reader.slot()?, is_text: reader.u8()? & 1 != 0 },
            _ => return None,
        };
        let has_packet = matches!(message, Self::Media { .. } | Self::ParameterSet { .. });
        (reader.0.is_empty() != has_packet).then_some((message, reader.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_messages_are_read_and_other_lengths_are_refused() {
        let (producer, taker) = (ProducerId(u64::MAX - 1), Slot::from_bits(0x0123_4567_89ab_cdef));
        let received_at = Instant::from_nanos(77);
        let messages = [
            PipeMessage::Subscribe { producer, taker, wanted: 5 },
            PipeMessage::Unsubscribe { producer, taker },
            PipeMessage::Keyframe { producer, taker, stream: 2 },
            PipeMessage::State { taker, paused: true, is_detail: false },
            PipeMessage::State { taker, paused: false, is_detail: true },
            PipeMessage::Gone { taker },
            PipeMessage::Clock { taker, stream: 1, received_at, ntp: NtpTime(9 << 32), rtp_timestamp: 3 },
            PipeMessage::Media { taker, stream: 3, life: 200, received_at },
            PipeMessage::ParameterSet { taker, stream: 1 },
            PipeMessage::SubscribeData { producer: DataProducerId(7), taker, wanted: 1 },
            PipeMessage::UnsubscribeData { producer: DataProducerId(7), taker },
            PipeMessage::DataSubscribed { taker },
            PipeMessage::DataGone { taker },
            PipeMessage::Data { taker, is_text: true },
        ];
        for message in messages {
            let written = message.write();
            let bytes = written.as_bytes();
            let longer = [bytes, b"x"].concat();
            let (whole, other): (&[u8], &[u8]) = match message {
                PipeMessage::Media { .. } | PipeMessage::ParameterSet { .. } => (&longer, bytes),
                _ => (bytes, &longer),
            };
            assert_eq!(PipeMessage::read(whole), Some((message, &longer[bytes.len()..whole.len()])));
            assert_eq!(PipeMessage::read(other), None, "{message:?}");
            for len in 0..bytes.len() {
                assert_eq!(PipeMessage::read(&bytes[..len]), None, "{len} bytes of {message:?}");
            }
        }
        assert_eq!(PipeMessage::read(&[99; 40]), None);
    }
}
