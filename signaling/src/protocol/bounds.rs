//! Counts what a protobuf message would be built of, before it is built.
//!
//! Two bytes on the wire can stand for a structure of two hundred in memory, so the length of a message does not bound what decoding it
//! costs. This walks over the encoding (protobuf.dev, "Encoding") by the schema, without allocating, and counts messages and elements of
//! repeated fields. It does not check values: that is the decoder's part.

use crate::limits;

/// The fields of a message that matter here.
type Message = &'static [Field];

/// A field that holds messages or is repeated.
struct Field {
    number: u64,
    /// Where in [`MESSAGES`] the message it holds is; `None` for a scalar, a string or bytes.
    message: Option<usize>,
    is_repeated: bool,
}

/// Every message of `signal.proto`, `Signal` first.
static MESSAGES: &[Message] = include!(concat!(env!("OUT_DIR"), "/fields.rs"));

/// A message that is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BoundsError {
    /// It ends within a field, or has a field of a kind that there is none of.
    #[error("it is not a protobuf message")]
    Malformed,
    /// It would be built of too much.
    #[error("it has more than {} messages and list elements", limits::MESSAGE_ELEMENTS_MAX)]
    TooManyElements,
    /// Messages lie within messages, more deeply than those of `signal.proto`.
    #[error("its messages are nested more than {} deep", limits::MESSAGE_DEPTH_MAX)]
    TooDeep,
}

/// Checks that a `Signal` may be decoded.
pub(super) fn check(signal: &[u8]) -> Result<(), BoundsError> {
    let mut elements = 0;
    walk(signal, MESSAGES[0], &mut elements, limits::MESSAGE_DEPTH_MAX)
}

fn walk(mut rest: &[u8], message: Message, elements: &mut usize, depth: usize) -> Result<(), BoundsError> {
    let depth = depth.checked_sub(1).ok_or(BoundsError::TooDeep)?;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let field = message.iter().find(|field| field.number == tag >> 3);
        let value = match tag & 7 {
            0 => {
                varint(&mut rest)?;
                &[]
            }
            1 => take(&mut rest, 8)?,
            2 => {
                let len = varint(&mut rest)?;
                take(&mut rest, usize::try_from(len).map_err(|_| BoundsError::Malformed)?)?
            }
            5 => take(&mut rest, 4)?,
            // Groups are of protobuf's past; 6 and 7 mean nothing.
            _ => return Err(BoundsError::Malformed),
        };
        let Some(field) = field else { continue };
        // A list of scalars may be packed into one field: then a byte is an element at most.
        let packed =
            if field.message.is_none() && tag & 7 == 2 && field.is_repeated { value.len() } else { 0 };
        *elements += 1 + packed;
        if *elements > limits::MESSAGE_ELEMENTS_MAX {
            return Err(BoundsError::TooManyElements);
        }
        if let (Some(inner), 2) = (field.message, tag & 7) {
            walk(value, MESSAGES[inner], elements, depth)?;
        }
    }
    Ok(())
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], BoundsError> {
    let (value, after) = rest.split_at_checked(len).ok_or(BoundsError::Malformed)?;
    *rest = after;
    Ok(value)
}

fn varint(rest: &mut &[u8]) -> Result<u64, BoundsError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte, after @ ..] = *rest else { return Err(BoundsError::Malformed) };
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(BoundsError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::signal::Payload;
    use crate::proto::{self, Signal};
    use proptest::prelude::*;
    use prost::Message as _;

    fn signal(payload: Payload) -> Vec<u8> {
        Signal { version: "1".into(), payload: Some(payload) }.encode_to_vec()
    }

    fn join(resume: proto::Resume) -> Vec<u8> {
        signal(Payload::JoinRoom(proto::JoinRoom {
            room: "r".into(),
            resume: Some(resume),
            ..Default::default()
        }))
    }

    #[test]
    fn a_resume_with_a_thousand_consumers_fits() {
        let id = |number: usize| format!("{number:016x}");
        let resume = proto::Resume {
            peer_id: id(0),
            secret: vec![0xa5; limits::SECRET_BYTES],
            engine_epoch: id(1),
            transports: (0..4).map(|number| proto::HeldTransport { id: id(number) }).collect(),
            producers: (0..8).map(|number| proto::HeldProducer { id: id(number) }).collect(),
            consumers: (0..1_000).map(|number| proto::HeldConsumer { id: id(number) }).collect(),
        };
        let message = join(resume);
        assert!(message.len() <= limits::MESSAGE_BYTES_MAX, "{} bytes", message.len());
        assert_eq!(check(&message), Ok(()));
    }

    #[test]
    fn a_browsers_capabilities_fit() {
        let codec = proto::RtpCodecCapability {
            mime_type: "video/H264".into(),
            parameters: (0..5).map(|number| (number.to_string(), proto::ParameterValue::default())).collect(),
            rtcp_feedback: vec![proto::RtcpFeedback::default(); 6],
            ..Default::default()
        };
        let capabilities = proto::RtpCapabilities {
            codecs: vec![codec; limits::PARAMETERS_LEN_MAX],
            header_extensions: vec![proto::RtpHeaderExtension::default(); 60],
        };
        let consume = proto::ConsumeMedia { rtp_capabilities: Some(capabilities), ..Default::default() };
        assert_eq!(check(&signal(Payload::ConsumeMedia(consume))), Ok(()));
    }

    #[test]
    fn small_messages_that_would_become_large_are_refused() {
        let many = limits::MESSAGE_ELEMENTS_MAX;
        let consumers = vec![proto::HeldConsumer::default(); many];
        assert_eq!(
            check(&join(proto::Resume { consumers, ..Default::default() })),
            Err(BoundsError::TooManyElements)
        );
        let codecs = vec![proto::RtpCodecCapability::default(); many];
        let capabilities = proto::RtpCapabilities { codecs, ..Default::default() };
        let consume = proto::ConsumeMedia { rtp_capabilities: Some(capabilities), ..Default::default() };
        assert_eq!(check(&signal(Payload::ConsumeMedia(consume))), Err(BoundsError::TooManyElements));
        let offer = proto::Offer { ice_ufrag: vec![String::new(); many], ..Default::default() };
        assert_eq!(check(&signal(Payload::Offer(offer))), Err(BoundsError::TooManyElements));
        let layers = proto::LayersWanted { spatial_layers: vec![0; many], ..Default::default() };
        assert_eq!(check(&signal(Payload::LayersWanted(layers))), Err(BoundsError::TooManyElements));
    }

    #[test]
    fn what_is_no_protobuf_is_refused() {
        // Cut within a tag, a length, a value; groups; a varint that does not end.
        for bytes in
            [&[0x80][..], &[0x0a], &[0x0a, 2, b'1'], &[0x09, 1, 2], &[0x0d, 1], &[0x0b], &[0x0c], &[0xff; 12]]
        {
            assert_eq!(check(bytes), Err(BoundsError::Malformed), "{bytes:?}");
        }
        assert_eq!(check(&[]), Ok(()));
    }

    #[test]
    fn what_the_decoder_takes_has_no_more_elements_than_were_counted() {
        let few = |count: usize| {
            join(proto::Resume {
                consumers: vec![proto::HeldConsumer::default(); count],
                ..Default::default()
            })
        };
        proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..60, byte: u8)| {
            // Random bytes, and sound messages with one byte changed: no panic, and what is malformed here is malformed there.
            let mut damaged = few(10);
            let at = at % damaged.len();
            damaged[at] = byte;
            for bytes in [bytes, damaged] {
                if Signal::decode(bytes.as_slice()).is_ok() {
                    prop_assert_ne!(check(&bytes), Err(BoundsError::TooManyElements));
                }
                // Groups are the one thing that the decoder skips and this refuses.
                if check(&bytes) == Ok(()) {
                    let _ = Signal::decode(bytes.as_slice());
                }
            }
        });
    }
}
