//! Leat: the object flow of `signal.proto` over Socket.IO.

use super::socketio::SocketIo;
use super::{Driver, Feed, Me, Published, Subscribed};
use crate::media::Codec;
use crate::peer::{Incoming, Outgoing, PRODUCER_STREAM, Remote, extension};
use crate::proto::{self, signal::Payload};
use anyhow::{Context, bail, ensure};
use prost::Message;
use std::collections::BTreeMap;

/// The only event.
const EVENT: &str = "signal";

/// Leat's signaling process.
#[derive(Clone, Debug)]
pub struct Leat {
    url: String,
}

impl Leat {
    /// At `url`, for example `ws://127.0.0.1:7080`.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned() }
    }

    async fn join(&self, room: usize) -> anyhow::Result<(Client, proto::Joined)> {
        let mut client = Client(SocketIo::connect(&self.url).await?);
        let join = proto::JoinRoom { room: format!("bench-{room}"), ..Default::default() };
        match client.ask(Payload::JoinRoom(join)).await? {
            Payload::Joined(joined) => Ok((client, joined)),
            other => bail!("JoinRoom was answered with {other:?}"),
        }
    }
}

impl Driver for Leat {
    async fn publish(&self, room: usize, me: Me<'_>, tracks: &[Outgoing]) -> anyhow::Result<Published> {
        let (mut client, _) = self.join(room).await?;
        let (transport_id, remote) = client.transport("send", me).await?;
        let mut feeds = Vec::new();
        for track in tracks {
            let codec = track.track.codec;
            let produce = proto::ProduceMedia {
                transport_id: transport_id.clone(),
                kind: codec.kind().into(),
                rtp_parameters: Some(parameters(track)),
                source: if codec.is_video() { "camera" } else { "microphone" }.into(),
                paused: false,
                ..Default::default()
            };
            match client.ask(Payload::ProduceMedia(produce)).await? {
                Payload::ProducerCreated(created) => {
                    feeds.push(Feed { track: track.track.id, codec, name: created.id });
                }
                other => bail!("ProduceMedia was answered with {other:?}"),
            }
        }
        let data = match me.has_data {
            true => Some(client.produce_data(&transport_id).await?),
            false => None,
        };
        client.stay();
        Ok(Published { remote, feeds, data })
    }

    async fn subscribe(
        &self,
        room: usize,
        me: Me<'_>,
        feeds: &[Feed],
        data: Option<&str>,
    ) -> anyhow::Result<Subscribed> {
        let (mut client, joined) = self.join(room).await?;
        let capabilities = joined.router_capabilities.context("Joined has no capabilities")?;
        let (transport_id, remote) = client.transport("recv", me).await?;
        let mut incoming = Vec::new();
        for feed in feeds {
            let consume = proto::ConsumeMedia {
                transport_id: transport_id.clone(),
                producer_id: feed.name.clone(),
                rtp_capabilities: Some(capabilities.clone()),
                ..Default::default()
            };
            let created = match client.ask(Payload::ConsumeMedia(consume)).await? {
                Payload::ConsumerCreated(created) => created,
                other => bail!("ConsumeMedia was answered with {other:?}"),
            };
            incoming.push(received(feed, &created)?);
            let resume = proto::ResumeConsumer { consumer_id: created.id };
            client.done(Payload::ResumeConsumer(resume)).await?;
        }
        let data_stream = match data {
            Some(producer) => Some(client.consume_data(&transport_id, producer).await?),
            None => None,
        };
        client.stay();
        Ok(Subscribed { remote, incoming, data_stream })
    }
}

/// A peer's connection.
struct Client(SocketIo);

impl Client {
    async fn ask(&mut self, payload: Payload) -> anyhow::Result<Payload> {
        let signal = proto::Signal { version: "1".into(), payload: Some(payload), ..Default::default() };
        let answer = self.0.ask(EVENT, signal.encode_to_vec()).await?;
        match proto::Signal::decode(answer)?.payload.context("an answer without a payload")? {
            Payload::Error(error) => bail!("{:?}: {}", error.code(), error.message),
            payload => Ok(payload),
        }
    }

    async fn done(&mut self, payload: Payload) -> anyhow::Result<()> {
        let answer = self.ask(payload).await?;
        ensure!(matches!(answer, Payload::Ack(_)), "expected Ack, got {answer:?}");
        Ok(())
    }

    /// Creates a transport and connects it.
    async fn transport(&mut self, direction: &str, me: Me<'_>) -> anyhow::Result<(String, Remote)> {
        let create = proto::CreateTransport { direction: direction.into() };
        let created = match self.ask(Payload::CreateTransport(create)).await? {
            Payload::TransportCreated(created) => created,
            other => bail!("CreateTransport was answered with {other:?}"),
        };
        let fingerprint =
            proto::DtlsFingerprint { algorithm: "sha-256".into(), value: me.fingerprint.into() };
        let connect = proto::ConnectTransport {
            transport_id: created.id.clone(),
            dtls_parameters: Some(proto::DtlsParameters {
                role: "client".into(),
                fingerprints: vec![fingerprint],
            }),
        };
        self.done(Payload::ConnectTransport(connect)).await?;
        let candidate = created.ice_candidates.iter().find(|candidate| candidate.protocol == "udp");
        let candidate = candidate.context("the transport has no UDP candidate")?;
        let ice = created.ice_parameters.context("the transport has no ICE parameters")?;
        let dtls = created.dtls_parameters.context("the transport has no DTLS parameters")?;
        let fingerprint =
            dtls.fingerprints.into_iter().find(|fingerprint| fingerprint.algorithm == "sha-256");
        let remote = Remote {
            address: format!("{}:{}", candidate.address, candidate.port)
                .parse()
                .context("the candidate has no IPv4 address")?,
            ufrag: ice.username_fragment,
            pwd: ice.password,
            fingerprint: fingerprint.context("the transport has no SHA-256 fingerprint")?.value,
        };
        Ok((created.id, remote))
    }

    /// Creates a reliable data producer; returns its id.
    async fn produce_data(&mut self, transport_id: &str) -> anyhow::Result<String> {
        let stream = proto::SctpStreamParameters { stream_id: PRODUCER_STREAM.into(), ..Default::default() };
        let produce = proto::ProduceData {
            transport_id: transport_id.into(),
            sctp_stream_parameters: Some(stream),
            label: "bench".into(),
            ..Default::default()
        };
        match self.ask(Payload::ProduceData(produce)).await? {
            Payload::DataProducerCreated(created) => Ok(created.id),
            other => bail!("ProduceData was answered with {other:?}"),
        }
    }

    /// Creates a data consumer; returns its stream.
    async fn consume_data(&mut self, transport_id: &str, producer: &str) -> anyhow::Result<u16> {
        let consume =
            proto::ConsumeData { transport_id: transport_id.into(), data_producer_id: producer.into() };
        match self.ask(Payload::ConsumeData(consume)).await? {
            Payload::DataConsumerCreated(created) => {
                let stream = created.sctp_stream_parameters.context("the data consumer has no stream")?;
                Ok(stream.stream_id.try_into()?)
            }
            other => bail!("ConsumeData was answered with {other:?}"),
        }
    }

    /// Keeps the connection open, and with it the peer.
    fn stay(self) {
        tokio::task::spawn_local(self.0.linger());
    }
}

/// A publisher's parameters of a track.
fn parameters(outgoing: &Outgoing) -> proto::RtpParameters {
    let codec = outgoing.track.codec;
    let feedback = |(r#type, parameter): (&str, &str)| proto::RtcpFeedback {
        r#type: r#type.into(),
        parameter: parameter.into(),
    };
    let wanted: &[(&str, &str)] = match codec.is_video() {
        true => &[("nack", "pli"), ("ccm", "fir"), ("transport-cc", "")],
        false => &[("transport-cc", "")],
    };
    let extension = |uri: &str, id: u8| proto::RtpHeaderExtensionParameters {
        uri: uri.into(),
        id: id.into(),
        encrypt: false,
    };
    let encodings = outgoing.ssrcs.iter().enumerate().map(|(encoding, ssrc)| proto::RtpEncodingParameters {
        ssrc: Some(*ssrc),
        rid: outgoing.rid(encoding),
        ..Default::default()
    });
    proto::RtpParameters {
        mid: Some(outgoing.mid.clone()),
        codecs: vec![proto::RtpCodecParameters {
            mime_type: codec.mime_type().into(),
            payload_type: outgoing.pt.into(),
            clock_rate: codec.clock_rate(),
            channels: (!codec.is_video()).then_some(2),
            parameters: format(codec),
            rtcp_feedback: wanted.iter().copied().map(feedback).collect(),
        }],
        header_extensions: vec![
            extension("urn:ietf:params:rtp-hdrext:sdes:mid", extension::MID),
            extension(
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
                extension::TRANSPORT_CC,
            ),
            extension("urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", extension::RID),
        ],
        encodings: encodings.collect(),
        rtcp: Some(proto::RtcpParameters { cname: Some("bench".into()), reduced_size: Some(true) }),
        msid: None,
    }
}

/// H.264 needs its profile (RFC 6184 §8.1).
fn format(codec: Codec) -> BTreeMap<String, proto::ParameterValue> {
    use proto::parameter_value::Value;
    let entry = |name: &str, value| (name.to_owned(), proto::ParameterValue { value: Some(value) });
    match codec {
        Codec::H264 => BTreeMap::from([
            entry("profile-level-id", Value::Text("42e01f".into())),
            entry("packetization-mode", Value::Number(1)),
            entry("level-asymmetry-allowed", Value::Number(1)),
        ]),
        Codec::Vp8 | Codec::Opus => BTreeMap::new(),
    }
}

/// A subscriber's parameters of a consumer.
fn received(feed: &Feed, created: &proto::ConsumerCreated) -> anyhow::Result<Incoming> {
    let parameters = created.rtp_parameters.as_ref().context("the consumer has no parameters")?;
    let encoding = parameters.encodings.first().context("the consumer has no encoding")?;
    let codec = parameters.codecs.first().context("the consumer has no codec")?;
    let is_transport_cc =
        |extension: &&proto::RtpHeaderExtensionParameters| extension.uri.contains("transport-wide-cc");
    let has_nack =
        |feedback: &proto::RtcpFeedback| feedback.r#type == "nack" && feedback.parameter.is_empty();
    Ok(Incoming {
        track: feed.track,
        ssrc: encoding.ssrc.context("the consumer has no SSRC")?,
        rtx_ssrc: encoding.rtx.as_ref().map(|rtx| rtx.ssrc),
        transport_cc_id: parameters
            .header_extensions
            .iter()
            .find(is_transport_cc)
            .map(|extension| extension.id as u8),
        nack: codec.rtcp_feedback.iter().any(has_nack) && feed.codec.is_video(),
        is_video: feed.codec.is_video(),
    })
}
