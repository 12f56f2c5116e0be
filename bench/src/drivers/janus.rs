//! Janus: its videoroom plugin, over one WebSocket. Each peer is a handle; peers and Janus agree by SDP.

use super::sdp::{self, Description};
use super::{Driver, Feed, Me, Published, Subscribed};
use crate::peer::Outgoing;
use anyhow::{Context, bail, ensure};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OnceCell, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Janus's time limit for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Interval of requests for a feed.
const FEED_PAUSE: Duration = Duration::from_millis(20);

/// A Janus.
#[derive(Debug)]
pub struct Janus {
    url: String,
    publishers_max: usize,
    session: OnceCell<Session>,
    rooms: Mutex<HashSet<usize>>,
}

impl Janus {
    /// At `url`, for example `ws://127.0.0.1:8188`, with rooms for this number of publishers.
    pub fn new(url: &str, publishers_max: usize) -> Self {
        Self {
            url: url.to_owned(),
            publishers_max,
            session: OnceCell::new(),
            rooms: Mutex::new(HashSet::new()),
        }
    }

    /// A handle of the plugin.
    async fn attach(&self) -> anyhow::Result<(&Session, Value)> {
        let session = self.session.get_or_try_init(|| Session::open(&self.url)).await?;
        let attach = json!({ "janus": "attach", "plugin": "janus.plugin.videoroom" });
        let attached = session.ask(attach).await?;
        Ok((session, attached["data"]["id"].clone()))
    }

    /// Creates the room, unless it exists.
    async fn make_room(&self, session: &Session, handle: &Value, room: usize) -> anyhow::Result<()> {
        let mut rooms = self.rooms.lock().await;
        if !rooms.insert(room) {
            return Ok(());
        }
        let body = json!({
            "request": "create", "room": number(room), "publishers": self.publishers_max, "bitrate": 0,
            "videocodec": "vp8,h264", "audiocodec": "opus", "notify_joining": false,
        });
        session.tell(handle, body, None).await.map(drop)
    }
}

impl Janus {
    /// Joins as a subscriber. A feed is available only when Janus has noticed that its DTLS is complete, a
    /// moment after the publisher.
    async fn join(&self, session: &Session, handle: &Value, body: Value) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match session.tell(handle, body.clone(), None).await {
                Err(error) if error.to_string().contains("No such feed") && Instant::now() < deadline => {
                    sleep(FEED_PAUSE).await;
                }
                result => return result,
            }
        }
    }
}

/// Janus counts rooms from 1.
fn number(room: usize) -> usize {
    room + 1
}

impl Driver for Janus {
    async fn publish(&self, room: usize, me: Me<'_>, tracks: &[Outgoing]) -> anyhow::Result<Published> {
        ensure!(!me.has_data, "this driver has no data channels for Janus");
        let (session, handle) = self.attach().await?;
        self.make_room(session, &handle, room).await?;
        let body = json!({ "request": "joinandconfigure", "room": number(room), "ptype": "publisher" });
        let event = session.tell(&handle, body, Some(("offer", &sdp::offer(me, tracks)))).await?;
        let id = event["plugindata"]["data"]["id"].clone();
        let remote = described(&event)?.remote()?;
        let feed = |track: &Outgoing| Feed {
            track: track.track.id,
            codec: track.track.codec,
            name: json!({ "feed": id, "mid": track.mid }).to_string(),
        };
        Ok(Published { remote, feeds: tracks.iter().map(feed).collect(), data: None })
    }

    async fn subscribe(
        &self,
        room: usize,
        me: Me<'_>,
        feeds: &[Feed],
        _data: Option<&str>,
    ) -> anyhow::Result<Subscribed> {
        let (session, handle) = self.attach().await?;
        let streams = feeds.iter().map(|feed| serde_json::from_str(&feed.name));
        let streams: Vec<Value> = streams.collect::<Result<_, _>>()?;
        let body =
            json!({ "request": "join", "room": number(room), "ptype": "subscriber", "streams": streams });
        let event = self.join(session, &handle, body).await?;
        let offer = described(&event)?;
        let offered = event["plugindata"]["data"]["streams"].as_array().context("no streams are offered")?;
        let mut incoming = Vec::new();
        for feed in feeds {
            let wanted: Value = serde_json::from_str(&feed.name)?;
            let is_it =
                |stream: &&Value| stream["feed_id"] == wanted["feed"] && stream["feed_mid"] == wanted["mid"];
            let stream = offered.iter().find(is_it).context("Janus does not offer a feed")?;
            let mid = stream["mid"].as_str().context("a stream has no mid")?;
            incoming.push(offer.incoming(mid, feed)?);
        }
        session.tell(&handle, json!({ "request": "start" }), Some(("answer", &offer.answer(me)))).await?;
        Ok(Subscribed { remote: offer.remote()?, incoming, data_stream: None })
    }
}

fn described(event: &Value) -> anyhow::Result<Description> {
    Ok(Description::read(event["jsep"]["sdp"].as_str().context("Janus has sent no SDP")?))
}

/// The WebSocket, and its requests.
#[derive(Debug)]
struct Session {
    out: Mutex<SplitSink<Stream, Message>>,
    id: Value,
    asked: Rc<Asked>,
    next: Cell<u64>,
}

/// The waiting requests by transaction.
#[derive(Debug, Default)]
struct Asked(RefCell<HashMap<String, oneshot::Sender<Value>>>);

impl Session {
    async fn open(url: &str) -> anyhow::Result<Self> {
        let mut request = url.into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("janus-protocol"));
        let (stream, _) = connect_async(request).await.with_context(|| format!("cannot connect to {url}"))?;
        let (out, incoming) = stream.split();
        let asked = Rc::new(Asked::default());
        tokio::task::spawn_local(listen(incoming, asked.clone()));
        let mut session = Self { out: Mutex::new(out), id: Value::Null, asked, next: Cell::new(0) };
        session.id = session.ask(json!({ "janus": "create" })).await?["data"]["id"].clone();
        Ok(session)
    }

    /// Sends a message to a plugin's handle, and waits for its answer.
    async fn tell(&self, handle: &Value, body: Value, jsep: Option<(&str, &str)>) -> anyhow::Result<Value> {
        let mut message = json!({ "janus": "message", "handle_id": handle, "body": body });
        if let Some((kind, sdp)) = jsep {
            message["jsep"] = json!({ "type": kind, "sdp": sdp, "trickle": false });
        }
        let answer = self.ask(message).await?;
        match answer["plugindata"]["data"]["error"].as_str() {
            Some(error) => bail!("the videoroom refuses: {error}"),
            None => Ok(answer),
        }
    }

    async fn ask(&self, mut message: Value) -> anyhow::Result<Value> {
        let transaction = self.next.get().to_string();
        self.next.set(self.next.get() + 1);
        message["transaction"] = transaction.clone().into();
        if !self.id.is_null() {
            message["session_id"] = self.id.clone();
        }
        let (answer, answered) = oneshot::channel();
        self.asked.0.borrow_mut().insert(transaction, answer);
        self.out.lock().await.send(Message::text(message.to_string())).await?;
        let answer = timeout(PATIENCE, answered).await.context("Janus does not answer in time")?;
        let answer = answer.context("Janus has closed the connection")?;
        match answer["janus"].as_str() {
            Some("error") => bail!("Janus refuses: {}", answer["error"]),
            _ => Ok(answer),
        }
    }
}

/// Passes answers to the waiting requests. An "ack" announces that the answer itself comes later.
async fn listen(mut incoming: SplitStream<Stream>, asked: Rc<Asked>) {
    while let Some(Ok(message)) = incoming.next().await {
        let Message::Text(text) = message else { continue };
        let Ok(answer) = serde_json::from_str::<Value>(&text) else { continue };
        if answer["janus"] == "ack" {
            continue;
        }
        let waiting = answer["transaction"].as_str().and_then(|id| asked.0.borrow_mut().remove(id));
        if let Some(waiting) = waiting {
            // The waiting request may have been given up.
            let _ = waiting.send(answer);
        }
    }
    asked.0.borrow_mut().clear();
}
