//! mediasoup: a library without signaling, served by `bench/rivals/mediasoup/server.js`. One JSON object per
//! line.

use super::{Driver, Feed, Me, Published, Subscribed};
use crate::media::Codec;
use crate::peer::{Incoming, Outgoing, PRODUCER_STREAM, Remote, extension};
use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, OnceCell, oneshot};
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server beside mediasoup.
#[derive(Debug)]
pub struct Mediasoup {
    /// Host and port.
    address: String,
    connection: OnceCell<Connection>,
}

impl Mediasoup {
    /// At `url`, for example `tcp://127.0.0.1:4443`.
    pub fn new(url: &str) -> Self {
        let address = url.trim_start_matches("tcp://").to_owned();
        Self { address, connection: OnceCell::new() }
    }

    async fn ask<T: for<'de> Deserialize<'de>>(&self, request: Value) -> anyhow::Result<T> {
        let connection = self.connection.get_or_try_init(|| Connection::open(&self.address)).await?;
        Ok(serde_json::from_value(connection.ask(request).await?)?)
    }
}

impl Driver for Mediasoup {
    async fn publish(&self, room: usize, me: Me<'_>, tracks: &[Outgoing]) -> anyhow::Result<Published> {
        let parameters = tracks
            .iter()
            .map(|track| json!({ "kind": track.track.codec.kind(), "rtpParameters": parameters(track) }));
        let request = json!({
            "method": "publish", "room": room, "fingerprint": me.fingerprint,
            "tracks": parameters.collect::<Vec<_>>(),
            "dataStream": me.has_data.then_some(PRODUCER_STREAM),
        });
        let published: Answer = self.ask(request).await?;
        ensure!(published.producers.len() == tracks.len(), "not every track has a producer");
        let feed = |(track, name): (&Outgoing, &String)| Feed {
            track: track.track.id,
            codec: track.track.codec,
            name: name.clone(),
        };
        let feeds = tracks.iter().zip(&published.producers).map(feed).collect();
        ensure!(published.data_producer.is_some() == me.has_data, "there is no data producer");
        Ok(Published { remote: published.transport.remote()?, feeds, data: published.data_producer })
    }

    async fn subscribe(
        &self,
        room: usize,
        me: Me<'_>,
        feeds: &[Feed],
        data: Option<&str>,
    ) -> anyhow::Result<Subscribed> {
        let names: Vec<&str> = feeds.iter().map(|feed| feed.name.as_str()).collect();
        let request = json!({
            "method": "subscribe", "room": room, "fingerprint": me.fingerprint, "producers": names,
            "dataProducer": data,
        });
        let answer: Answer = self.ask(request).await?;
        let received = |feed: &Feed| {
            let consumer = answer.consumers.iter().find(|consumer| consumer.producer_id == feed.name);
            consumer.context("a producer has no consumer")?.rtp_parameters.incoming(feed)
        };
        let incoming = feeds.iter().map(received).collect::<anyhow::Result<_>>()?;
        let remote = answer.transport.remote()?;
        Ok(Subscribed { remote, incoming, data_stream: answer.data_stream })
    }
}

/// The answer to both requests.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(flatten)]
    transport: Transport,
    #[serde(default)]
    producers: Vec<String>,
    #[serde(default)]
    consumers: Vec<Consumer>,
    data_producer: Option<String>,
    data_stream: Option<u16>,
}

#[derive(Debug, Deserialize)]
struct Transport {
    ice: Ice,
    candidates: Vec<Candidate>,
    dtls: Dtls,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ice {
    username_fragment: String,
    password: String,
}

#[derive(Debug, Deserialize)]
struct Candidate {
    address: String,
    port: u16,
    protocol: String,
}

#[derive(Debug, Deserialize)]
struct Dtls {
    fingerprints: Vec<Fingerprint>,
}

#[derive(Debug, Deserialize)]
struct Fingerprint {
    algorithm: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consumer {
    producer_id: String,
    rtp_parameters: RtpParameters,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RtpParameters {
    codecs: Vec<CodecParameters>,
    header_extensions: Vec<HeaderExtension>,
    encodings: Vec<Encoding>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CodecParameters {
    rtcp_feedback: Vec<Feedback>,
}

#[derive(Debug, Deserialize)]
struct Feedback {
    r#type: String,
    #[serde(default)]
    parameter: String,
}

#[derive(Debug, Deserialize)]
struct HeaderExtension {
    uri: String,
    id: u8,
}

#[derive(Debug, Deserialize)]
struct Encoding {
    ssrc: u32,
    rtx: Option<Rtx>,
}

#[derive(Debug, Deserialize)]
struct Rtx {
    ssrc: u32,
}

impl Transport {
    fn remote(&self) -> anyhow::Result<Remote> {
        let candidate = self.candidates.iter().find(|candidate| candidate.protocol == "udp");
        let candidate = candidate.context("the transport has no UDP candidate")?;
        let fingerprint =
            self.dtls.fingerprints.iter().find(|fingerprint| fingerprint.algorithm == "sha-256");
        Ok(Remote {
            address: format!("{}:{}", candidate.address, candidate.port).parse()?,
            ufrag: self.ice.username_fragment.clone(),
            pwd: self.ice.password.clone(),
            fingerprint: fingerprint.context("the transport has no SHA-256 fingerprint")?.value.clone(),
        })
    }
}

impl RtpParameters {
    fn incoming(&self, feed: &Feed) -> anyhow::Result<Incoming> {
        let encoding = self.encodings.first().context("a consumer has no encoding")?;
        let codec = self.codecs.first().context("a consumer has no codec")?;
        let transport_cc =
            self.header_extensions.iter().find(|found| found.uri.contains("transport-wide-cc"));
        let is_nack = |feedback: &Feedback| feedback.r#type == "nack" && feedback.parameter.is_empty();
        Ok(Incoming {
            track: feed.track,
            ssrc: encoding.ssrc,
            rtx_ssrc: encoding.rtx.as_ref().map(|rtx| rtx.ssrc),
            transport_cc_id: transport_cc.map(|extension| extension.id),
            nack: codec.rtcp_feedback.iter().any(is_nack) && feed.codec.is_video(),
            is_video: feed.codec.is_video(),
        })
    }
}

/// A publisher's parameters of a track.
fn parameters(outgoing: &Outgoing) -> Value {
    let codec = outgoing.track.codec;
    let feedback = match codec.is_video() {
        true => json!([
            { "type": "nack", "parameter": "" }, { "type": "nack", "parameter": "pli" },
            { "type": "ccm", "parameter": "fir" }, { "type": "transport-cc", "parameter": "" },
        ]),
        false => json!([{ "type": "transport-cc", "parameter": "" }]),
    };
    let format = match codec {
        Codec::H264 => {
            json!({ "packetization-mode": 1, "profile-level-id": "42e01f", "level-asymmetry-allowed": 1 })
        }
        Codec::Vp8 | Codec::Opus => json!({}),
    };
    let mut codec_parameters = json!({
        "mimeType": codec.mime_type(), "payloadType": outgoing.pt, "clockRate": codec.clock_rate(),
        "parameters": format, "rtcpFeedback": feedback,
    });
    if !codec.is_video() {
        codec_parameters["channels"] = 2.into();
    }
    let encodings = outgoing.ssrcs.iter().enumerate().map(|(encoding, ssrc)| match outgoing.rid(encoding) {
        Some(rid) => json!({ "ssrc": ssrc, "rid": rid }),
        None => json!({ "ssrc": ssrc }),
    });
    json!({
        "mid": outgoing.mid,
        "codecs": [codec_parameters],
        "headerExtensions": [
            { "uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": extension::MID },
            {
                "uri": "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
                "id": extension::TRANSPORT_CC,
            },
            { "uri": "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "id": extension::RID },
        ],
        "encodings": encodings.collect::<Vec<_>>(),
        "rtcp": { "cname": "bench" },
    })
}

/// The connection, and its requests.
#[derive(Debug)]
struct Connection {
    out: Mutex<OwnedWriteHalf>,
    asked: Rc<Asked>,
    next: Cell<u64>,
}

/// The waiting requests by id.
type Asked = RefCell<HashMap<u64, oneshot::Sender<Value>>>;

impl Connection {
    async fn open(address: &str) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        let (incoming, out) = stream.into_split();
        let asked = Rc::new(Asked::default());
        tokio::task::spawn_local(listen(incoming, asked.clone()));
        Ok(Self { out: Mutex::new(out), asked, next: Cell::new(0) })
    }

    async fn ask(&self, mut request: Value) -> anyhow::Result<Value> {
        let id = self.next.get();
        self.next.set(id + 1);
        request["id"] = id.into();
        let (answer, answered) = oneshot::channel();
        self.asked.borrow_mut().insert(id, answer);
        self.out.lock().await.write_all(format!("{request}\n").as_bytes()).await?;
        let answer = timeout(PATIENCE, answered).await.context("mediasoup does not answer in time")?;
        let mut answer = answer.context("mediasoup's server has closed the connection")?;
        match answer["error"].as_str() {
            Some(error) => bail!("mediasoup refuses: {error}"),
            None => Ok(answer["result"].take()),
        }
    }
}

async fn listen(incoming: OwnedReadHalf, asked: Rc<Asked>) {
    let mut lines = BufReader::new(incoming).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(answer) = serde_json::from_str::<Value>(&line) else { continue };
        let waiting = answer["id"].as_u64().and_then(|id| asked.borrow_mut().remove(&id));
        if let Some(waiting) = waiting {
            // The waiting request may have been given up.
            let _ = waiting.send(answer);
        }
    }
    asked.borrow_mut().clear();
}
