//! How a peer joins a room of a server: everything before ICE. One trait, one implementation per server.

mod janus;
mod leat;
mod mediasoup;
mod sdp;
mod socketio;

pub use janus::Janus;
pub use leat::Leat;
pub use mediasoup::Mediasoup;
pub use socketio::SocketIo;

use crate::media::Codec;
use crate::peer::{Incoming, Local, Outgoing, Remote};
use std::future::Future;

/// Adds peers to rooms. A peer's connections to the server stay open until the driver is dropped.
pub trait Driver: 'static {
    /// Announces a peer that will send these tracks, and messages if it [has data](Me::has_data).
    fn publish(
        &self,
        room: usize,
        me: Me<'_>,
        tracks: &[Outgoing],
    ) -> impl Future<Output = anyhow::Result<Published>>;

    /// Announces a peer that receives these feeds and the messages of this data producer, and makes the server
    /// start to send.
    fn subscribe(
        &self,
        room: usize,
        me: Me<'_>,
        feeds: &[Feed],
        data: Option<&str>,
    ) -> impl Future<Output = anyhow::Result<Subscribed>>;
}

/// The peer.
#[derive(Clone, Copy, Debug)]
pub struct Me<'a> {
    /// Its ICE credentials.
    pub local: &'a Local,
    /// SHA-256 of its certificate, as written in SDP.
    pub fingerprint: &'a str,
    /// It has a data channel.
    pub has_data: bool,
}

/// The result of publishing.
#[derive(Clone, Debug)]
pub struct Published {
    /// The server's end.
    pub remote: Remote,
    /// The tracks that others can subscribe to.
    pub feeds: Vec<Feed>,
    /// The server's name for the data producer.
    pub data: Option<String>,
}

/// The result of subscribing.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// The server's end.
    pub remote: Remote,
    /// The streams of the feeds.
    pub incoming: Vec<Incoming>,
    /// The SCTP stream of the messages.
    pub data_stream: Option<u16>,
}

/// A track to subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Its id, see [`Track::id`](crate::media::Track).
    pub track: u32,
    /// Its kind.
    pub codec: Codec,
    /// The server's name for it.
    pub name: String,
}
