//! What a relay is told while it runs, and what it tells.

use crate::counters::{Counter, Counters};
use crate::limits::EVENTS_MAX;
use crate::policy::Interfaces;
use crate::settings::Settings;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// What its operator may ask.
#[derive(Debug)]
pub enum Command {
    /// Other settings from now on, except the addresses of interfaces. Allocations whose credential comes from a user or secret that is
    /// not there any more end; so do permissions and channels to peers that may not be reached any more.
    Reload(Box<Settings>),
    /// The addresses of this host's interfaces, which have changed. Permissions, channels and connections to them end.
    SetInterfaces(Interfaces),
    /// Another certificate for clients that come over DTLS from now on.
    SetCertificate(dtls::Certificate),
    /// No new allocations from now on: a client that asks is sent to the alternate server, or refused.
    Drain,
}

/// What a relay tells: for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client has an allocation.
    Created {
        /// Of this user, as far as the name is text.
        user: String,
        /// Where the client is.
        client: SocketAddr,
        /// Where its peers reach it; of a dual allocation the first.
        relayed: SocketAddr,
    },
    /// An allocation is no more.
    Ended {
        /// Of this user.
        user: String,
        /// Where the client was.
        client: SocketAddr,
        /// Why.
        end: End,
        /// Payload bytes that went to peers.
        to_peers_bytes: u64,
        /// Payload bytes that came from peers.
        to_client_bytes: u64,
    },
}

/// Why an allocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client wanted so.
    Released,
    /// Nobody refreshed it.
    Expired,
    /// Its TCP connection is closed.
    Disconnected,
    /// Its user or secret is not there any more.
    Revoked,
}

impl End {
    /// For the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Disconnected => "disconnected",
            Self::Revoked => "revoked",
        }
    }
}

/// Events that the controller has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct EventQueue(VecDeque<Event>);

impl EventQueue {
    /// Beyond [`EVENTS_MAX`] an event is lost and counted.
    pub(crate) fn push(&mut self, event: Event, counters: &mut Counters) {
        if self.0.len() < EVENTS_MAX {
            self.0.push_back(event);
        } else {
            counters.count(Counter::EventsLost);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.0.pop_front()
    }
}
