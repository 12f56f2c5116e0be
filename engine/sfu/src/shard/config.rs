//! What a shard is given: its configuration, and the input of its controller.

use control::{Candidate, DecodeError, Request, RequestId};
use std::net::IpAddr;
use std::time::Duration;

/// The configuration of a shard.
#[derive(Clone, Debug)]
pub struct Config {
    /// Host candidates to offer, the preferred first: the worker's listening addresses, or the addresses announced
    /// for them where a 1:1 NAT stands before the host.
    pub candidates: Vec<Candidate>,
    /// The addresses of plain transports, for their peers: the first of a family is used for it. None of a family: there
    /// are no plain transports in it.
    pub plain_ips: Vec<IpAddr>,
    /// The engine's certificate.
    pub certificate: dtls::Certificate,
    /// How DTLS is spoken.
    pub dtls: dtls::Settings,
    /// How long a router lives on without a controller that claims it.
    pub grace_period: Duration,
    /// A transport is closed when neither a check nor authentic media comes from its peer for so long; `None`: never. The default is
    /// [`ICE_CONSENT_TIMEOUT`](crate::limits::ICE_CONSENT_TIMEOUT).
    pub consent_timeout: Option<Duration>,
}

/// What a controller gives a shard.
#[derive(Clone, Debug)]
pub enum Input {
    /// A request.
    Request(Request),
    /// A record that did not decode; answered, and otherwise without effect.
    BadRecord {
        /// The request, if its number could be read.
        request: Option<RequestId>,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// The controller has gone. Media flows on; routers are closed after the grace period unless claimed.
    ControllerLost,
}
