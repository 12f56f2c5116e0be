//! The edge: accepts connections, limits what a client can use before it shows a token, and determines its
//! address.
//!
//! Everything that is available without a token has a limit: connections and requests of one address and in
//! total, size and time of a request's head and body, and the time in which a client does not read its
//! answer. Requests are not interpreted here.

pub mod address;
mod network;
mod proxy_header;
mod quota;
mod stream;

pub use network::{InvalidNetwork, Network};
pub use quota::{Quota, QuotaExceeded, QuotaPermit};
pub use stream::StreamHandle;

use crate::limits;
use address::{TrustedProxies, forwarded_for};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use stream::ClientStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// Closed pages send their leave beacon to this path.
pub const LEAVE: &str = "/leave";

/// Pages send log entries to this path.
pub const CLIENT_LOGS: &str = "/client-logs";

/// Health check for supervisors and proxies.
pub const HEALTH: &str = "/healthz";

/// The configuration of the edge.
#[derive(Clone, Debug)]
pub struct EdgeSettings {
    /// Proxies whose report of a client's address is trusted.
    pub trusted: TrustedProxies,
    /// Maximum number of connections of one address.
    pub connections_per_address: usize,
    /// Maximum number of connections.
    pub connections: usize,
}

impl Default for EdgeSettings {
    fn default() -> Self {
        Self {
            trusted: TrustedProxies::default(),
            connections_per_address: limits::CONNECTIONS_PER_ADDRESS,
            connections: limits::CONNECTIONS_MAX,
        }
    }
}

/// The sender of a request, an extension of every request.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address, as reported by trusted proxies.
    pub address: IpAddr,
    /// Whether a trusted proxy forwarded the request, so that its `X-Forwarded-…` headers are valid.
    pub is_behind_proxy: bool,
    /// The TCP connection of the request.
    pub stream: StreamHandle,
}

struct Edge {
    trusted: TrustedProxies,
    connections: Arc<Quota>,
    /// Requests in progress of clients behind a proxy, which share its connections.
    requests: Arc<Quota>,
    router: TowerToHyperService<Router>,
    refusals: LogThrottle,
    unnamed: LogThrottle,
}

/// Serves clients until the process ends.
pub async fn serve(listener: TcpListener, router: Router, settings: EdgeSettings) {
    // Accepted sockets inherit it. The kernel's buffer for a client that does not read is counted nowhere
    // else.
    if let Err(error) =
        rustix::net::sockopt::set_socket_send_buffer_size(&listener, limits::SEND_BUFFER_BYTES)
    {
        tracing::warn!(%error, "cannot limit the send buffer of connections");
    }
    let EdgeSettings { trusted, connections_per_address, connections } = settings;
    let edge = Arc::new(Edge {
        trusted,
        connections: Quota::new(connections, connections_per_address),
        requests: Quota::new(connections, connections_per_address),
        router: TowerToHyperService::new(router),
        refusals: LogThrottle::default(),
        unnamed: LogThrottle::default(),
    });
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => edge.accept(tcp, peer),
            // The client closed the connection before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; retrying");
                sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Raises the limit of file descriptors for this number of connections, and returns the number of connections
/// that are possible.
pub fn allow_descriptors(connections: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = (connections + limits::OTHER_DESCRIPTORS) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let allowed = wanted.min(maximum.unwrap_or(u64::MAX));
    if current.is_some_and(|current| current < allowed) {
        // Only a sandbox refuses it; then the old limit remains.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum });
    }
    let granted = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if granted >= wanted {
        return connections;
    }
    let connections = (granted as usize).saturating_sub(limits::OTHER_DESCRIPTORS).max(1);
    tracing::warn!(granted, wanted, connections, "the limit of open files reduces the number of connections");
    connections
}

impl Edge {
    fn accept(self: &Arc<Self>, tcp: TcpStream, peer: SocketAddr) {
        let peer = peer.ip().to_canonical();
        // Clients behind a proxy are counted later: by the PROXY header of the connection, or by each HTTP
        // request.
        let of = Some(peer).filter(|peer| !self.trusted.contains(*peer));
        match self.connections.acquire(of) {
            Ok(permit) => drop(tokio::spawn(self.clone().serve_connection(tcp, peer, permit))),
            Err(exceeded) => self.log_refusal(peer, exceeded),
        }
    }

    fn log_refusal(&self, address: IpAddr, exceeded: QuotaExceeded) {
        if let Some(others) = self.refusals.now(Instant::now()) {
            tracing::warn!(clientAddress = %address, others, "refused a client: {exceeded}");
        }
    }

    async fn serve_connection(self: Arc<Self>, tcp: TcpStream, peer: IpAddr, mut permit: QuotaPermit) {
        // Answers are small: send them without waiting for the acknowledgement of earlier data.
        let _ = tcp.set_nodelay(true);
        let (mut address, mut first) = (peer, Vec::new());
        if self.trusted.contains(peer) {
            let header = proxy_header::read(&tcp, &mut first);
            let Ok(Ok(source)) = timeout(limits::HEAD_TIMEOUT, header).await else { return };
            address = source.unwrap_or(peer);
            if !self.trusted.contains(address) {
                match self.connections.acquire_instead(permit, address) {
                    Ok(counted) => permit = counted,
                    Err(exceeded) => return self.log_refusal(address, exceeded),
                }
            }
        }
        let is_behind_proxy = self.trusted.contains(address);
        let tcp = Arc::new(tcp);
        let stream = StreamHandle::new(&tcp);
        let edge = self.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let client = Client { address, is_behind_proxy, stream: stream.clone() };
            edge.clone().answer(request, client)
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits::HEAD_TIMEOUT)
            .max_buf_size(limits::HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(ClientStream::new(tcp, first.into(), permit)), service)
            .with_upgrades();
        if let Err(error) = served.await {
            tracing::debug!(clientAddress = %address, %error, "a connection ended");
        }
    }

    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        mut client: Client,
    ) -> Result<Response<Body>, Infallible> {
        let mut _permit = None;
        if client.is_behind_proxy {
            match forwarded_for(request.headers(), &self.trusted) {
                Some(address) => client.address = address,
                // The health check of the proxy itself.
                None if request.uri().path() == HEALTH => {}
                None => {
                    if let Some(others) = self.unnamed.now(Instant::now()) {
                        let proxy = client.address;
                        tracing::warn!(%proxy, others, "a trusted proxy sent a request without X-Forwarded-For");
                    }
                }
            }
            match self.requests.acquire(Some(client.address)) {
                Ok(permit) => _permit = Some(permit),
                Err(exceeded) => {
                    self.log_refusal(client.address, exceeded);
                    return Ok(refusal(exceeded));
                }
            }
        }
        request.extensions_mut().insert(client);
        let has_body = matches!(*request.method(), Method::POST | Method::PATCH);
        let answered = self.router.call(request.map(Body::new));
        if !has_body {
            return answered.await;
        }
        match timeout(limits::BODY_TIMEOUT, answered).await {
            Ok(answer) => answer,
            Err(_) => Ok((
                StatusCode::REQUEST_TIMEOUT,
                [(header::CONNECTION, "close")],
                "the request took too long\n",
            )
                .into_response()),
        }
    }
}

/// The answer to a request that exceeds a quota.
pub fn refusal(exceeded: QuotaExceeded) -> Response<Body> {
    let status = match exceeded {
        QuotaExceeded::All => StatusCode::SERVICE_UNAVAILABLE,
        QuotaExceeded::Address => StatusCode::TOO_MANY_REQUESTS,
    };
    let retry_after = limits::QUOTA_PAUSE.as_secs().to_string();
    (status, [(header::RETRY_AFTER, retry_after)], format!("{exceeded}; try again later\n")).into_response()
}

/// Limits log lines about frequent events: the first is logged, then one per interval.
#[derive(Debug, Default)]
struct LogThrottle(Mutex<(Option<Instant>, u64)>);

impl LogThrottle {
    /// `Some` if a line is due: the number of events since the last one.
    fn now(&self, now: Instant) -> Option<u64> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, others) = &mut *guard;
        if last.is_some_and(|last| now.saturating_duration_since(last) < limits::LOG_INTERVAL) {
            *others += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_event_is_logged_and_then_one_per_interval() {
        let (throttle, start) = (LogThrottle::default(), Instant::now());
        assert_eq!(throttle.now(start), Some(0));
        assert_eq!(throttle.now(start), None);
        assert_eq!(throttle.now(start + limits::LOG_INTERVAL / 2), None);
        assert_eq!(throttle.now(start + limits::LOG_INTERVAL), Some(2));
        assert_eq!(throttle.now(start + 2 * limits::LOG_INTERVAL), Some(0));
    }
}
