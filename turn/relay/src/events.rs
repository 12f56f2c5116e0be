//! Commands and events of a relay.

use crate::counters::{Counter, Counters};
use crate::limits::EVENTS_MAX;
use crate::revoked::RevokedUser;
use crate::settings::Settings;
use policy::Interfaces;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// Commands of the operator.
#[derive(Debug)]
pub enum Command {
    /// New settings, except the addresses of interfaces. Allocations whose credential comes from a removed
    /// user or secret end; so do permissions and channels to peers that the policy does not admit.
    Reload(Box<Settings>),
    /// The changed addresses of this host's interfaces. Permissions, channels and connections to them end.
    SetInterfaces(Interfaces),
    /// A new certificate for new clients over DTLS.
    SetCertificate(dtls::Certificate),
    /// Users whose credentials are revoked, in addition to earlier ones. Their allocations end, and their
    /// requests are refused. The caller sends at most a thousand at once.
    Revoke(Arc<[RevokedUser]>),
    /// No new allocations: the response to a request is the alternate server, or an error.
    Drain,
}

/// Events of a relay, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client has a new allocation.
    Created {
        /// The user, as text where possible.
        user: String,
        /// The client's address.
        client: SocketAddr,
        /// The relayed address; of a dual allocation the first.
        relayed: SocketAddr,
    },
    /// An allocation has ended.
    Ended {
        /// The user.
        user: String,
        /// The client's address.
        client: SocketAddr,
        /// The reason.
        end: End,
        /// Payload bytes sent to peers.
        to_peers_bytes: u64,
        /// Payload bytes received from peers.
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
    /// Its user or secret has been removed, or its credential is revoked.
    Revoked,
}

impl End {
    /// The reason as text for the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Disconnected => "disconnected",
            Self::Revoked => "revoked",
        }
    }
}

/// Events that the controller has not read yet.
#[derive(Debug, Default)]
pub(crate) struct EventQueue(VecDeque<Event>);

impl EventQueue {
    /// If [`EVENTS_MAX`] events are queued, a new one is lost and counted.
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
