//! How a peer gets into a room of a server: everything that comes before ICE. One trait, one implementation a server.

mod janus;
mod leat;
mod mediasoup;
mod sdp;
mod socketio;

pub use janus::Janus;
pub use leat::Leat;
pub use mediasoup::Mediasoup;

use crate::media::Codec;
use crate::peer::{Incoming, Local, Outgoing, Remote};
use std::future::Future;

/// Brings peers into rooms. What a peer holds open at the server stays open until the driver is dropped.
pub trait Driver: 'static {
    /// Announces a peer that will send these tracks.
    fn publish(
        &self,
        room: usize,
        me: Me<'_>,
        tracks: &[Outgoing],
    ) -> impl Future<Output = anyhow::Result<Published>>;

    /// Announces a peer that wants these feeds, and has the server begin to send.
    fn subscribe(
        &self,
        room: usize,
        me: Me<'_>,
        feeds: &[Feed],
    ) -> impl Future<Output = anyhow::Result<(Remote, Vec<Incoming>)>>;
}

/// Who announces itself.
#[derive(Clone, Copy, Debug)]
pub struct Me<'a> {
    /// Its ICE credentials.
    pub local: &'a Local,
    /// SHA-256 of its certificate, as SDP has it.
    pub fingerprint: &'a str,
}

/// What came of publishing.
#[derive(Clone, Debug)]
pub struct Published {
    /// The server's end.
    pub remote: Remote,
    /// What others can subscribe to.
    pub feeds: Vec<Feed>,
}

/// A track, as it can be subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Which one, see [`Track::id`](crate::media::Track).
    pub track: u32,
    /// What it is.
    pub codec: Codec,
    /// The server's name for it.
    pub name: String,
}
