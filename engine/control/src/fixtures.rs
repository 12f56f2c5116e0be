//! Commands with default values, for tests and benchmarks: a caller writes only the fields that it is about.
//!
//! ```
//! use control::{Codec, ConsumerId, Consume, ProducerId, Text, TransportId, fixtures};
//!
//! let opus = fixtures::codec(Codec::Opus, 111);
//! let consume = Consume {
//!     mid: Some(Text::new("0")),
//!     ..fixtures::consume(TransportId(2), ProducerId(1), ConsumerId(1), opus, 1234)
//! };
//! assert!(!consume.paused);
//! ```

use crate::command::{Consume, Produce};
use crate::ids::{ConsumerId, ProducerId, TransportId};
use crate::media::{Codec, CodecParameters, Encoding, Kind, Text};

/// A codec with its usual clock rate, without retransmission stream and without RTCP feedback.
pub fn codec(codec: Codec, pt: u8) -> CodecParameters {
    let clock_rate_hz = match kind(codec) {
        Kind::Audio => 48_000,
        Kind::Video => 90_000,
    };
    CodecParameters {
        codec,
        pt,
        rtx_pt: None,
        clock_rate_hz,
        nack: false,
        pli: false,
        fir: false,
        transport_cc: false,
    }
}

/// VP8 as a browser negotiates it: with a retransmission stream and with every kind of RTCP feedback.
pub fn vp8(pt: u8, rtx_pt: u8) -> CodecParameters {
    CodecParameters {
        rtx_pt: Some(rtx_pt),
        nack: true,
        pli: true,
        fir: true,
        transport_cc: true,
        ..codec(Codec::Vp8, pt)
    }
}

/// A track of one codec and one stream, without MID, SSRC and header extensions. The kind is that of the
/// codec.
pub fn produce(transport: TransportId, producer: ProducerId, codec: CodecParameters) -> Produce {
    Produce {
        transport,
        producer,
        kind: kind(codec.codec),
        mid: None,
        codecs: vec![codec],
        encodings: vec![Encoding::SINGLE],
        extensions: Vec::new(),
        paused: false,
        app_data: Default::default(),
    }
}

/// The stream of a track whose SSRC is signaled.
pub fn with_ssrc(ssrc: u32) -> Encoding {
    Encoding { ssrc: Some(ssrc), ..Encoding::SINGLE }
}

/// A consumer of one codec with the lowest priority, without MID, retransmission stream and header
/// extensions.
pub fn consume(
    transport: TransportId,
    producer: ProducerId,
    consumer: ConsumerId,
    codec: CodecParameters,
    ssrc: u32,
) -> Consume {
    Consume {
        transport,
        producer,
        consumer,
        mid: None,
        codecs: vec![codec],
        ssrc,
        rtx_ssrc: None,
        cname: Text::new("publisher"),
        extensions: Vec::new(),
        preferred_layers: None,
        priority: 1,
        paused: false,
        app_data: Default::default(),
    }
}

fn kind(codec: Codec) -> Kind {
    match codec {
        Codec::Opus | Codec::Red => Kind::Audio,
        Codec::Vp8 | Codec::H264 | Codec::Vp9 | Codec::Av1 => Kind::Video,
    }
}
