//! Commands and events of a relay.

use crate::counters::{Counter, Counters};
use crate::limits::EVENTS_MAX;
use crate::policy::Interfaces;
use crate::settings::Settings;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Commands of the operator.
#[derive(Debug)]
pub enum Command {
    /// Other settings from now on, except the addresses of interfaces. Allocations whose credential comes from a user or secret that is
    /// not there any more end; so do permissions and channels to peers that the policy does not admit.
    Reload(Box<Settings>),
    /// The addresses of this host's interfaces, which have changed. Permissions, channels and connections to them end.
    SetInterfaces(Interfaces),
    /// Another certificate for clients that come over DTLS from now on.
    SetCertificate(dtls::Certificate),
    /// No new allocations from now on: the response to a request is the alternate server, or an error.
    Drain,
}

/// Events of a relay, for the log.
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
    /// An allocation has ended.
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
    /// The client released it.
    Released,
    /// The client did not refresh it in time.
    Expired,
    /// Its TCP connection is closed.
    Disconnected,
    /// Its user or secret does not exist any more.
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
