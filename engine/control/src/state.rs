//! The state of a transport.

use crate::codec::{wire_enum, wire_struct};
use std::net::SocketAddr;

/// ICE, as mediasoup names its states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceState {
    /// No valid check yet.
    New,
    /// A pair is valid; the peer has not nominated it.
    Connected,
    /// A pair is nominated.
    Completed,
    /// Checks have stopped; consent has not expired yet.
    Disconnected,
}
wire_enum!(IceState, "ICE state" { 0 => New, 1 => Connected, 2 => Completed, 3 => Disconnected });

/// DTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsState {
    /// No ClientHello yet.
    New,
    /// Handshaking.
    Connecting,
    /// The keys are available; media flows.
    Connected,
}
wire_enum!(DtlsState, "DTLS state" { 0 => New, 1 => Connecting, 2 => Connected });

/// The state of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportState {
    /// ICE.
    pub ice: IceState,
    /// DTLS.
    pub dtls: DtlsState,
    /// The peer's address in the selected pair.
    pub remote: Option<SocketAddr>,
}
wire_struct!(TransportState { ice, dtls, remote });
