//! The data channels of a peer: an association over its DTLS session, by the engine's own SCTP crate. Its tests
//! compare that with another implementation.

use super::Secure;
use machine::{Instant, Rng};
use sctp::{Association, Channel, Event, Kind, Role, SendError, Settings, StreamId};
use std::collections::VecDeque;

/// A message that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// When.
    pub at: Instant,
    /// On which stream.
    pub stream: u16,
    /// The payload.
    pub payload: Vec<u8>,
}

/// The association of a peer, from the first channel on.
pub struct Channels {
    association: Option<Association>,
    /// Channels that are created when the association begins: negotiated ones with their stream.
    waiting: Vec<(Option<u16>, Channel)>,
    messages: VecDeque<(u16, Vec<u8>)>,
    received: Vec<Received>,
    /// Streams that the engine has closed.
    closed: Vec<u16>,
    /// Channels that the engine has opened by messages.
    opened: Vec<(u16, Channel)>,
    rng: Rng,
    is_due: bool,
}

impl Channels {
    pub(crate) fn new(rng: Rng) -> Self {
        Self {
            association: None,
            waiting: Vec::new(),
            messages: VecDeque::new(),
            received: Vec::new(),
            closed: Vec::new(),
            opened: Vec::new(),
            rng,
            is_due: false,
        }
    }

    /// All messages that have arrived so far.
    pub fn received(&self) -> &[Received] {
        &self.received
    }

    /// Streams that were closed by the engine, in that order.
    pub fn closed(&self) -> &[u16] {
        &self.closed
    }

    /// Channels that the engine has opened by messages, in that order.
    pub fn opened(&self) -> &[(u16, Channel)] {
        &self.opened
    }

    /// Messages that wait for space in the send buffer.
    pub fn unsent(&self) -> usize {
        self.messages.len()
    }

    /// Creates a negotiated channel.
    pub fn open(&mut self, stream: u16, channel: Channel) {
        self.is_due = true;
        match &mut self.association {
            Some(association) => {
                association.open_negotiated(StreamId(stream), channel).expect("a free stream")
            }
            None => self.waiting.push((Some(stream), channel)),
        }
    }

    /// Opens a channel by a message, on the first free stream: 0, 2, … of a DTLS client, 1, 3, … of a server.
    pub fn announce(&mut self, channel: Channel) {
        self.is_due = true;
        match &mut self.association {
            Some(association) => _ = association.open(channel).expect("a free stream"),
            None => self.waiting.push((None, channel)),
        }
    }

    /// Sends a message when there is space for it.
    pub fn send(&mut self, stream: u16, payload: Vec<u8>) {
        self.messages.push_back((stream, payload));
        self.is_due = true;
    }

    /// Closes a channel.
    pub fn close(&mut self, stream: u16) {
        let association = self.association.as_mut().expect("an association");
        association.close(StreamId(stream));
        self.is_due = true;
    }

    /// Aborts the association.
    pub fn abort(&mut self) {
        self.association.as_mut().expect("an association").abort();
        self.is_due = true;
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        if self.is_due { Some(Instant::EPOCH) } else { self.association.as_ref()?.poll_timeout() }
    }

    /// Handles what DTLS has decrypted, and gives it what is to be sent.
    pub(crate) fn drive(&mut self, now: Instant, secure: &mut Secure, is_dtls_server: bool) {
        if !secure.is_connected() || self.association.is_none() && self.waiting.is_empty() {
            return;
        }
        self.is_due = false;
        let association = self.association.get_or_insert_with(|| {
            let role = if is_dtls_server { Role::Server } else { Role::Client };
            Association::new(now, Settings::new(role), self.rng.fork())
        });
        for (stream, channel) in self.waiting.drain(..) {
            match stream {
                Some(stream) => {
                    association.open_negotiated(StreamId(stream), channel).expect("a free stream")
                }
                None => _ = association.open(channel).expect("a free stream"),
            }
        }
        for record in secure.take_records() {
            association.handle_packet(now, &record);
        }
        if association.poll_timeout().is_some_and(|at| at <= now) {
            association.handle_timeout(now);
        }
        while let Some(event) = association.poll_event() {
            match event {
                Event::Message { stream, payload, .. } => {
                    self.received.push(Received { at: now, stream: stream.0, payload: payload.to_vec() });
                }
                Event::Closed { stream } => self.closed.push(stream.0),
                Event::Opened { stream, channel } => self.opened.push((stream.0, channel)),
                Event::Connected | Event::BufferLow { .. } | Event::Failed(_) => {}
            }
        }
        while let Some((stream, payload)) = self.messages.front() {
            match association.send(now, StreamId(*stream), Kind::Binary, payload.clone().into()) {
                Err(SendError::Full) => break,
                _ => self.messages.pop_front(),
            };
        }
        while let Some(packet) = association.poll_transmit(now) {
            secure.send(now, &packet);
        }
    }
}

impl std::fmt::Debug for Channels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channels").field("received", &self.received.len()).finish_non_exhaustive()
    }
}
