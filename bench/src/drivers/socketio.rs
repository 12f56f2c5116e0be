//! A client of Socket.IO (protocol 5 over Engine.IO 4) with only Leat's features: over a WebSocket, one event
//! with one binary attachment, acknowledged with another.

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// The read buffer of a connection. The library's default of 128 KiB is zeroed for each connection, which
/// takes a sixth of the time of joining.
const READ_BUFFER_LEN: usize = 8 * 1024;

/// A connection.
#[derive(Debug)]
pub struct SocketIo {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u32,
    /// The attachment of a packet that has arrived: of an acknowledgement with this id, or of an event.
    expected: Option<Option<u32>>,
}

/// A packet of Socket.IO, as far as needed.
enum Packet {
    /// The server accepts the connection.
    Connected,
    /// The attachment of the acknowledgement with this id.
    Acknowledged(u32, Bytes),
    /// The attachment of an event.
    Event(Bytes),
}

impl SocketIo {
    /// Connects to the server at `url`, for example `ws://127.0.0.1:7080`.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let address = format!("{}/socket.io/?EIO=4&transport=websocket", url.trim_end_matches('/'));
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_LEN);
        // A request waits for its answer: no delay, so that its second message does not wait for the first
        // one's acknowledgement.
        let connecting = connect_async_with_config(&address, Some(config), true).await;
        let (stream, _) = connecting.with_context(|| format!("cannot connect to {address}"))?;
        let mut socket = Self { stream, next_id: 0, expected: None };
        socket.send("40").await?;
        while !matches!(socket.receive().await?, Packet::Connected) {}
        Ok(socket)
    }

    /// Emits `event` with an attachment, and waits for the acknowledgement's attachment.
    pub async fn ask(&mut self, event: &str, attachment: Vec<u8>) -> anyhow::Result<Bytes> {
        self.ask_with(event, attachment, |_| {}).await
    }

    /// The same; `on_event` gets the attachments of the events that arrive in the meantime.
    pub async fn ask_with(
        &mut self,
        event: &str,
        attachment: Vec<u8>,
        mut on_event: impl FnMut(Bytes),
    ) -> anyhow::Result<Bytes> {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&format!(r#"451-{id}["{event}",{{"_placeholder":true,"num":0}}]"#)).await?;
        self.stream.send(Message::Binary(attachment.into())).await?;
        loop {
            match self.receive().await? {
                Packet::Acknowledged(of, attachment) if of == id => return Ok(attachment),
                Packet::Event(attachment) => on_event(attachment),
                Packet::Acknowledged(..) | Packet::Connected => {}
            }
        }
    }

    /// The attachment of the next event. Dropping the future loses nothing.
    pub async fn event(&mut self) -> anyhow::Result<Bytes> {
        loop {
            if let Packet::Event(attachment) = self.receive().await? {
                return Ok(attachment);
            }
        }
    }

    /// Answers pings and drops events until the server closes.
    pub async fn linger(mut self) {
        while self.receive().await.is_ok() {}
    }

    async fn send(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.stream.send(Message::text(text)).await?)
    }

    /// The next packet. Dropping the future loses nothing.
    async fn receive(&mut self) -> anyhow::Result<Packet> {
        loop {
            let text = match self.next().await? {
                Message::Text(text) => text,
                Message::Binary(attachment) => match self.expected.take() {
                    Some(Some(id)) => return Ok(Packet::Acknowledged(id, attachment)),
                    Some(None) => return Ok(Packet::Event(attachment)),
                    None => bail!("the server sends an attachment without its packet"),
                },
                _ => continue,
            };
            let text = text.as_str();
            if text == "2" {
                self.send("3").await?;
                continue;
            }
            ensure!(!text.starts_with("44"), "the server refuses the connection: {text}");
            ensure!(!text.starts_with("41"), "the server closes the connection");
            if text.starts_with("40") {
                return Ok(Packet::Connected);
            }
            // A packet with one attachment: "451-" or "461-", an event or an acknowledgement.
            if text.starts_with("451-") || text.starts_with("461-") {
                let id = text[4..].split('[').next().and_then(|id| id.parse().ok());
                self.expected = Some(id.filter(|_| text.starts_with("46")));
            }
        }
    }

    async fn next(&mut self) -> anyhow::Result<Message> {
        match self.stream.next().await {
            Some(Ok(Message::Close(_))) | None => bail!("the server has closed the connection"),
            Some(message) => Ok(message?),
        }
    }
}
