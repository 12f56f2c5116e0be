//! One attempt: a request over a connection of its own, to an address that was checked.
//!
//! There are no redirects and no proxies: each would lead to an address that was not checked. The body of a
//! response is not read.

use crate::limits::{ATTEMPT_TIMEOUT, CONNECT_TIMEOUT, RESPONSE_BYTES_MAX};
use crate::resolver::Resolver;
use crate::secret::{Secret, signatures};
use crate::target::Target;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use policy::Policy;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::SystemTime;
use stores::accounts::QueuedEvent;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Why a target has not got an event. All of them are tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("its name cannot be resolved: {0}")]
    Unresolved(io::Error),
    #[error("{0} is not a public address; --webhook-allow allows it")]
    RefusedAddress(SocketAddr),
    #[error("cannot connect: {0}")]
    Unreachable(io::Error),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("no valid response: {0}")]
    Protocol(hyper::Error),
    #[error("status {0}, where 2xx was expected")]
    Status(StatusCode),
    #[error("no response within {ATTEMPT_TIMEOUT:?}")]
    Timeout,
}

impl Failure {
    /// Their names in metrics.
    pub(crate) const LABELS: [&'static str; 7] =
        ["unresolved", "refused_address", "unreachable", "tls", "protocol", "status", "timeout"];

    pub(crate) fn index(&self) -> usize {
        match self {
            Self::Unresolved(_) => 0,
            Self::RefusedAddress(_) => 1,
            Self::Unreachable(_) => 2,
            Self::Tls(_) => 3,
            Self::Protocol(_) => 4,
            Self::Status(_) => 5,
            Self::Timeout => 6,
        }
    }
}

/// Sends requests to all targets.
#[derive(Debug)]
pub(crate) struct Client {
    policy: Policy,
    secrets: Vec<Secret>,
    tls: Arc<ClientConfig>,
}

impl Client {
    /// Reads the certificate authorities of the system.
    pub(crate) fn new(policy: Policy, secrets: Vec<Secret>) -> Self {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (_, invalid) = roots.add_parsable_certificates(found.certs);
        if roots.is_empty() || invalid > 0 || !found.errors.is_empty() {
            let count = roots.len();
            tracing::warn!(count, invalid, errors = ?found.errors, "webhooks: certificate authorities of the system");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the cipher suites of both versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { policy, secrets, tls: Arc::new(tls) }
    }

    /// Sends an event, in a bounded time. `Ok` if the target has accepted it with a status 2xx.
    pub(crate) async fn send(
        &self,
        target: &Target,
        resolver: &Resolver,
        event: &QueuedEvent,
    ) -> Result<(), Failure> {
        let sending = async {
            let stream = self.connect(target, resolver).await?;
            let request = self.request(target, event);
            match &target.tls {
                Some(name) => {
                    let tls = TlsConnector::from(self.tls.clone()).connect(name.clone(), stream);
                    exchange(tls.await.map_err(Failure::Tls)?, request).await
                }
                None => exchange(stream, request).await,
            }
        };
        let status = timeout(ATTEMPT_TIMEOUT, sending).await.unwrap_or(Err(Failure::Timeout))?;
        if status.is_success() { Ok(()) } else { Err(Failure::Status(status)) }
    }

    async fn connect(&self, target: &Target, resolver: &Resolver) -> Result<TcpStream, Failure> {
        let resolved = resolver.resolve(&target.host, target.port, &self.policy);
        let resolved = resolved.await.map_err(Failure::Unresolved)?;
        let mut failure = match resolved.refused {
            Some(refused) => Failure::RefusedAddress(refused),
            None => Failure::Unresolved(io::ErrorKind::NotFound.into()),
        };
        for address in resolved.admitted {
            match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A request is one short write; a failure only delays it.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => failure = Failure::Unreachable(error),
                Err(_) => failure = Failure::Unreachable(io::ErrorKind::TimedOut.into()),
            }
        }
        Err(failure)
    }

    fn request(&self, target: &Target, event: &QueuedEvent) -> Request<Full<Bytes>> {
        let id = format!("msg_{}", event.id);
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Request::post(target.path.clone())
            .header(HOST, &target.authority)
            .header(CONNECTION, "close")
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("leat/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &id)
            .header("webhook-timestamp", time)
            .header("webhook-signature", signatures(&self.secrets, &id, time, event.body.as_bytes()))
            .body(Full::new(Bytes::from(event.body.clone())))
            .expect("the URL was parsed, and the other values are ASCII")
    }
}

/// Sends the request and reads the head of the response.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = http1::Builder::new();
    let (mut sender, connection) = builder
        .max_buf_size(RESPONSE_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Failure::Protocol)?;
    let (mut response, mut connection) = (pin!(sender.send_request(request)), pin!(connection));
    let response = tokio::select! {
        response = &mut response => response,
        // It may end right after the response.
        _ = &mut connection => response.await,
    };
    Ok(response.map_err(Failure::Protocol)?.status())
}
