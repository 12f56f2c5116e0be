//! Where clients connect: accepting them, what a connection may cost before a token is shown, and which address a client has.
//!
//! Everything that can be had without a token has a bound here: connections and requests of an address and of all, the bytes and the time
//! that a head and a body take, and the time that a client may leave an answer unread. What a request means is not known here.

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

/// Where a page that is closed sends its LEAVE.
pub const LEAVE: &str = "/leave";

/// Where a supervisor or a proxy asks whether this process serves.
pub const HEALTH: &str = "/healthz";

/// What an operator may choose.
#[derive(Clone, Debug)]
pub struct EdgeSettings {
    /// Proxies that are believed when they tell a client's address.
    pub trusted: TrustedProxies,
    /// Connections of one address.
    pub connections_per_address: usize,
    /// Connections of all.
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

/// Who sent a request: an extension of every request.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address, as its proxies tell it.
    pub address: IpAddr,
    /// Whether a trusted proxy stands between, whose `X-Forwarded-…` are true.
    pub is_behind_proxy: bool,
    /// The TCP connection that the request came on.
    pub stream: StreamHandle,
}

struct Edge {
    trusted: TrustedProxies,
    connections: Arc<Quota>,
    /// Of clients behind a proxy, whose connections it shares: requests that are being answered.
    requests: Arc<Quota>,
    router: TowerToHyperService<Router>,
    refusals: LogThrottle,
    unnamed: LogThrottle,
}

/// Serves clients until the process ends.
pub async fn serve(listener: TcpListener, router: Router, settings: EdgeSettings) {
    // Accepted sockets inherit it. What the kernel holds for a client that does not read counts nowhere else.
    if let Err(error) =
        rustix::net::sockopt::set_socket_send_buffer_size(&listener, limits::SEND_BUFFER_BYTES)
    {
        tracing::warn!(%error, "cannot bound the send buffer of connections");
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
            // One client's connection failed before it was taken.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again");
                sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Raises the limit of descriptors as far as this many connections need, and returns how many connections it is enough for.
pub fn allow_descriptors(connections: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = (connections + limits::OTHER_DESCRIPTORS) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let allowed = wanted.min(maximum.unwrap_or(u64::MAX));
    if current.is_some_and(|current| current < allowed) {
        // Refused only by a sandbox; then the old limit holds.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum });
    }
    let granted = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if granted >= wanted {
        return connections;
    }
    let connections = (granted as usize).saturating_sub(limits::OTHER_DESCRIPTORS).max(1);
    tracing::warn!(granted, wanted, connections, "the limit of open files bounds the connections of clients");
    connections
}

impl Edge {
    fn accept(self: &Arc<Self>, tcp: TcpStream, peer: SocketAddr) {
        let peer = peer.ip().to_canonical();
        // Clients behind a proxy that uses PROXY are counted when its header is read, those behind one that uses HTTP by request.
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
        // An answer is small and waited for: it must not wait itself for the client to acknowledge what was sent before.
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
                // A proxy's own health checks are for no client.
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
        let has_body = request.method() == Method::POST;
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

/// The answer to a request for which there is no place.
pub fn refusal(exceeded: QuotaExceeded) -> Response<Body> {
    let status = match exceeded {
        QuotaExceeded::All => StatusCode::SERVICE_UNAVAILABLE,
        QuotaExceeded::Address => StatusCode::TOO_MANY_REQUESTS,
    };
    let retry_after = limits::QUOTA_PAUSE.as_secs().to_string();
    (status, [(header::RETRY_AFTER, retry_after)], format!("{exceeded}; try again later\n")).into_response()
}

/// Says when something that may happen often is worth a line in the log: the first time, and once a minute.
#[derive(Debug, Default)]
struct LogThrottle(Mutex<(Option<Instant>, u64)>);

impl LogThrottle {
    /// How often it happened since the last line, if there is to be another.
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
    fn a_line_is_logged_at_first_and_then_once_an_interval() {
        let (throttle, start) = (LogThrottle::default(), Instant::now());
        assert_eq!(throttle.now(start), Some(0));
        assert_eq!(throttle.now(start), None);
        assert_eq!(throttle.now(start + limits::LOG_INTERVAL / 2), None);
        assert_eq!(throttle.now(start + limits::LOG_INTERVAL), Some(2));
        assert_eq!(throttle.now(start + 2 * limits::LOG_INTERVAL), Some(0));
    }
}
