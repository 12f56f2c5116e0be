//! The input of a shard: its configuration, and the controller's requests.

use control::{Candidate, DecodeError, Request, RequestId};
use machine::WorkerId;
use std::net::IpAddr;
use std::time::Duration;

/// The configuration of a shard.
#[derive(Clone, Debug)]
pub struct Config {
    /// Host candidates to offer, the preferred first: the worker's listening addresses, or the announced
    /// addresses if the host is behind a 1:1 NAT.
    pub candidates: Vec<Candidate>,
    /// The addresses of plain transports, for their peers: the first of a family is used for it. A family
    /// without an address has no plain transports.
    pub plain_ips: Vec<IpAddr>,
    /// The worker's number, if the workers share their UDP ports: the username fragments begin with its
    /// [character](WorkerId::ice_char), and the driver learns the [paths](machine::PathClaim) of peers.
    pub shares_port_as: Option<WorkerId>,
    /// The engine's certificate.
    pub certificate: dtls::Certificate,
    /// The DTLS settings.
    pub dtls: dtls::Settings,
    /// How long a router is kept without a controller that claims it.
    pub grace_period: Duration,
    /// A transport without a check and without authentic media for this time is closed; `None`: never. The
    /// default is [`ICE_CONSENT_TIMEOUT`](crate::limits::ICE_CONSENT_TIMEOUT).
    pub consent_timeout: Option<Duration>,
}

/// An input from the controller.
#[derive(Clone, Debug)]
pub enum Input {
    /// A request.
    Request(Request),
    /// A record that could not be decoded; answered, without other effects.
    BadRecord {
        /// The request, if its number could be read.
        request: Option<RequestId>,
        /// The decoding error.
        error: DecodeError,
    },
    /// The controller has gone. Media continues; routers are closed after the grace period unless claimed.
    ControllerLost,
}
