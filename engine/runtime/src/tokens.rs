//! The table of mio tokens: which number stands for which descriptor of a worker. The ranges do not overlap.

use crate::limits::{ON_DEMAND_SOCKETS_MAX, SOCKETS_MAX};
use machine::LocalId;
use mio::Token;

/// TCP listeners for clients, by their index. Below are the UDP sockets, by theirs.
pub(crate) const LISTENER_TOKEN: usize = SOCKETS_MAX;

/// Sockets that the machine has ordered, by their number.
pub(crate) const ON_DEMAND_TOKEN: usize = LocalId::ON_DEMAND.0 as usize;

/// The token under which a [`Control`](crate::Control) registers its descriptors.
pub const CONTROL_TOKEN: Token = Token(1 << 16);

/// The waker of the worker.
pub(crate) const WAKE_TOKEN: Token = Token(CONTROL_TOKEN.0 + 1);

/// TCP connections of clients, by their index.
pub(crate) const CONNECTION_TOKEN: usize = 1 << 20;

/// TCP connections with peers of TURN clients, by their number.
pub(crate) const PEER_STREAM_TOKEN: usize = CONNECTION_TOKEN << 1;

/// TCP listeners for peers of TURN clients, by the number of their socket.
pub(crate) const PEER_LISTENER_TOKEN: usize = PEER_STREAM_TOKEN << 1;

const _: () = assert!(LISTENER_TOKEN + SOCKETS_MAX <= ON_DEMAND_TOKEN);
const _: () = assert!(ON_DEMAND_TOKEN + ON_DEMAND_SOCKETS_MAX < CONTROL_TOKEN.0);
const _: () = assert!(WAKE_TOKEN.0 < CONNECTION_TOKEN);
