use super::*;
use crate::proto::signal::Payload;
use crate::proto::{self, Signal};
use proptest::prelude::*;
use prost::Message as _;

fn signal(payload: Payload) -> Vec<u8> {
    Signal { version: "1".into(), payload: Some(payload), ..Default::default() }.encode_to_vec()
}

fn join(resume: proto::Resume) -> Vec<u8> {
    signal(Payload::JoinRoom(proto::JoinRoom {
        room: "r".into(),
        resume: Some(resume),
        ..Default::default()
    }))
}

#[test]
fn resume_with_1000_consumers_fits() {
    let id = |number: usize| format!("{number:016x}");
    let resume = proto::Resume {
        peer_id: id(0),
        secret: vec![0xa5; limits::SECRET_BYTES],
        engine_epoch: id(1),
        transports: (0..4).map(|number| proto::HeldTransport { id: id(number) }).collect(),
        producers: (0..8).map(|number| proto::HeldProducer { id: id(number) }).collect(),
        consumers: (0..1_000).map(|number| proto::HeldConsumer { id: id(number) }).collect(),
        position: None,
    };
    let message = join(resume);
    assert!(message.len() <= limits::MESSAGE_BYTES_MAX, "{} bytes", message.len());
    assert_eq!(check(&message), Ok(()));
}

#[test]
fn capabilities_of_a_browser_fit() {
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
fn small_message_that_would_become_large_is_refused() {
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
fn malformed_protobuf_is_refused() {
    // Truncated within a tag, a length or a value; groups; a varint without an end.
    for bytes in
        [&[0x80][..], &[0x0a], &[0x0a, 2, b'1'], &[0x09, 1, 2], &[0x0d, 1], &[0x0b], &[0x0c], &[0xff; 12]]
    {
        assert_eq!(check(bytes), Err(BoundsError::Malformed), "{bytes:?}");
    }
    assert_eq!(check(&[]), Ok(()));
}

#[test]
fn decoded_message_has_no_more_elements_than_were_counted() {
    let few = |count: usize| {
        join(proto::Resume { consumers: vec![proto::HeldConsumer::default(); count], ..Default::default() })
    };
    proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..60, byte: u8)| {
        // Random bytes, and valid messages with one changed byte: nothing panics, and what is malformed
        // here is malformed for the decoder.
        let mut damaged = few(10);
        let at = at % damaged.len();
        damaged[at] = byte;
        for bytes in [bytes, damaged] {
            if Signal::decode(bytes.as_slice()).is_ok() {
                prop_assert_ne!(check(&bytes), Err(BoundsError::TooManyElements));
            }
            // Only groups are skipped by the decoder and refused here.
            if check(&bytes) == Ok(()) {
                let _ = Signal::decode(bytes.as_slice());
            }
        }
    });
}

#[test]
fn descriptions_are_found_by_their_field() {
    use crate::proto::{self, Signal, signal::Payload};
    use crate::protocol::is_description;
    use prost::Message;
    let bytes = |payload| {
        Signal { version: "1".into(), payload: Some(payload), ..Default::default() }.encode_to_vec()
    };
    let sdp = || "v=0".to_owned();
    let offer = Payload::Offer(proto::Offer { sdp: sdp(), ..Default::default() });
    let answer = Payload::Answer(proto::Answer { sdp: sdp(), ..Default::default() });
    for payload in [offer, answer, Payload::Candidate(proto::Candidate::default())] {
        let bytes = bytes(payload);
        assert!(is_description(&bytes));
        assert!(!is_description(&bytes[..3]));
    }
    assert!(!is_description(&bytes(Payload::Leave(proto::Leave::default()))));
    assert!(!is_description(&[]) && !is_description(&[0xff; 64]) && !is_description(&[0x0a, 0xff]));
}
