//! The relay's counters. Plain fields; a report of absolute values is copied out periodically.

macro_rules! counted {
    ($($variant:ident => $name:literal, $doc:literal;)*) => {
        /// A counter, since the start.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter {
            $(#[doc = $doc] $variant,)*
        }

        impl Counter {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// A description for operators.
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => $doc,)*
                }
            }
        }
    };
}

counted! {
    Allocations => "allocations", "Allocations that exist.";
    Sockets => "relay_sockets", "Relay sockets that are open, reserved ones too.";
    AllocationsCreated => "allocations_created", "Allocations made.";
    AllocationsExpired => "allocations_expired", "Allocations that ended because their client did not refresh them.";
    AllocationsRevoked => "allocations_revoked", "Allocations that ended because their credential, user or secret was revoked.";
    PeerConnections => "peer_connections", "TCP connections with peers that exist.";
    PeerConnectionsMade => "peer_connections_made", "TCP connections made with peers, by either side.";
    Bindings => "bindings", "Binding requests answered.";
    Challenges => "challenges", "Requests answered with 401: without a credential, or with a wrong one.";
    StaleNonces => "stale_nonces", "Requests answered with 438.";
    BadRequests => "bad_requests", "Requests answered with 400 or 420.";
    WrongCredentials => "wrong_credentials", "Requests answered with 441: another user's allocation.";
    Mismatches => "mismatches", "Requests answered with 437: an allocation where there should be none, or none where there should be one.";
    ForbiddenPeers => "forbidden_peers", "Requests answered with 403: peers that the policy refuses, or a server that drains, and revoked credentials.";
    QuotaReached => "quota_reached", "Allocations answered with 486.";
    NoCapacity => "no_capacity", "Requests answered with 508: no port, no permission or no channel left.";
    Unsupported => "unsupported", "Requests answered with 440, 442 or 443: an address family or transport that the server does not have.";
    ConnectionExists => "connection_exists", "Requests answered with 446: a second TCP connection with the same peer.";
    ConnectionFailed => "connection_failed", "Requests answered with 447: a peer that could not be reached over TCP.";
    Redirected => "redirected", "Allocations answered with 300.";
    Throttled => "throttled", "Responses to unauthenticated clients not sent, since their source had used up its bytes.";
    ToPeersPackets => "to_peers_packets", "Datagrams relayed to peers.";
    ToPeersBytes => "to_peers_bytes", "Payload bytes relayed to peers.";
    ToClientsPackets => "to_clients_packets", "Datagrams relayed to clients.";
    ToClientsBytes => "to_clients_bytes", "Payload bytes relayed to clients.";
    OverBitrate => "over_bitrate", "Datagrams not relayed, since their allocation exceeded its bitrate.";
    NoPermission => "no_permission", "Datagrams from or to peers without a permission.";
    NoChannel => "no_channel", "ChannelData for a channel that is not bound.";
    NoAllocation => "no_allocation", "ChannelData and Send indications from clients without an allocation.";
    NoDontFragment => "no_dont_fragment", "Send indications with DONT-FRAGMENT of allocations made without it.";
    Malformed => "malformed", "Datagrams that are neither STUN nor ChannelData, or malformed.";
    Unexpected => "unexpected", "Well-formed messages that no client sends to a server.";
    TxFull => "tx_full", "Datagrams not written because the send batch was full.";
    RevocationsLost => "revocations_lost", "Users with revoked credentials that found no place in the table.";
    EventsLost => "events_lost", "Events lost because the queue was full.";
}

/// All counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; Counter::ALL.len()])
    }
}

impl Counters {
    /// The value of a counter.
    pub fn value(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Adds another worker's counters.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, part)| *sum += part);
    }

    pub(crate) fn add(&mut self, counter: Counter, by: u64) {
        self.0[counter as usize] += by;
    }

    pub(crate) fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    pub(crate) fn set(&mut self, counter: Counter, value: usize) {
        self.0[counter as usize] = value as u64;
    }
}
