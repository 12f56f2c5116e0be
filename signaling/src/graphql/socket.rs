//! GraphQL over a WebSocket: the protocol `graphql-transport-ws`
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>).
//!
//! One task serves a connection. Each operation has a task of its own, which waits while the client does not
//! read, so a slow client is noticed where its transitions are queued ([`crate::presence`]).

use super::operations::OperationPermit;
use super::requester::Requester;
use super::{Graphql, bounded, document, graphql_error};
use crate::limits;
use crate::request_error::RequestError;
use crate::token_bucket::TokenBucket;
use async_graphql::Response;
use async_graphql::futures_util::StreamExt as _;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Interval, interval, sleep, timeout};

/// The name of the protocol.
pub const PROTOCOL: &str = "graphql-transport-ws";

/// Codes of close frames, as the protocol defines them.
mod close {
    pub(super) const POLICY_VIOLATION: u16 = 1008;
    pub(super) const BAD_REQUEST: u16 = 4400;
    pub(super) const UNAUTHORIZED: u16 = 4401;
    pub(super) const FORBIDDEN: u16 = 4403;
    pub(super) const INIT_TIMEOUT: u16 = 4408;
    pub(super) const SUBSCRIBER_EXISTS: u16 = 4409;
    pub(super) const TOO_MANY_INITS: u16 = 4429;
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
enum FromClient {
    ConnectionInit {
        #[serde(default)]
        payload: Option<serde_json::Value>,
    },
    Ping {
        #[serde(default)]
        payload: Option<serde_json::Value>,
    },
    Pong {},
    Subscribe {
        id: String,
        payload: async_graphql::Request,
    },
    Complete {
        id: String,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum FromServer<'a> {
    ConnectionAck,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<serde_json::Value>,
    },
    Next {
        id: &'a str,
        payload: &'a Response,
    },
    Error {
        id: &'a str,
        payload: &'a [async_graphql::ServerError],
    },
    Complete {
        id: &'a str,
    },
}

impl FromServer<'_> {
    fn text(&self) -> String {
        serde_json::to_string(self).expect("plain data")
    }
}

/// Why the connection ends: a code and a sentence.
struct End(u16, String);

/// Why a message was not sent.
enum Unsent {
    /// The client does not read, or is gone.
    Gone,
    /// The token has ended meanwhile.
    Expired(RequestError),
}

/// A message of an operation, for the client.
struct Outgoing {
    operation: u64,
    text: String,
    is_last: bool,
}

/// A connection.
struct SocketSession {
    graphql: Arc<Graphql>,
    address: IpAddr,
    requester: Option<Requester>,
    /// By the client's id. The number distinguishes operations that had the same id one after the other.
    operations: HashMap<String, Operation>,
    started: u64,
    outgoing: mpsc::Sender<Outgoing>,
    messages: TokenBucket,
}

/// A running operation. Dropping it ends the operation.
struct Operation {
    number: u64,
    task: JoinHandle<()>,
    _permit: OperationPermit,
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves a connection until it ends.
pub async fn serve(graphql: Arc<Graphql>, address: IpAddr, mut socket: WebSocket) {
    let (outgoing, mut queue) = mpsc::channel(limits::GRAPHQL_OUTGOING_LEN);
    let messages =
        TokenBucket::new(limits::GRAPHQL_MESSAGES_PER_SECOND, limits::GRAPHQL_MESSAGES_BURST, Instant::now());
    let mut session = SocketSession {
        graphql,
        address,
        requester: None,
        operations: HashMap::new(),
        started: 0,
        outgoing,
        messages,
    };
    let end = session.run(&mut socket, &mut queue).await;
    drop(session);
    if let Some(End(code, reason)) = end {
        tracing::debug!(code, reason, "closed a GraphQL connection");
        let frame = CloseFrame { code, reason: reason.into() };
        let _ = timeout(limits::CLOSE_TIMEOUT, socket.send(Message::Close(Some(frame)))).await;
        // The answer to the close frame; the client reads the frame before the connection ends.
        let answered = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = timeout(limits::CLOSE_TIMEOUT, answered).await;
    }
}

impl SocketSession {
    /// Returns the reason to send to the client; `None` if there is no client to send it to.
    async fn run(&mut self, socket: &mut WebSocket, queue: &mut mpsc::Receiver<Outgoing>) -> Option<End> {
        let init_timeout = sleep(limits::GRAPHQL_INIT_TIMEOUT);
        tokio::pin!(init_timeout);
        let mut check = interval(limits::GRAPHQL_CHECK_INTERVAL);
        let mut ping = interval(limits::GRAPHQL_PING_INTERVAL);
        let mut is_alive = true;
        loop {
            let message = tokio::select! {
                message = socket.recv() => {
                    is_alive = true;
                    let result = match message? {
                        Ok(Message::Text(text)) => self.on_message(text.as_str()),
                        Ok(Message::Binary(_)) => Err(bad_request("a message must be text")),
                        Ok(Message::Close(_)) | Err(_) => return None,
                        // Answered below this.
                        Ok(Message::Ping(_) | Message::Pong(_)) => Ok(None),
                    };
                    match result {
                        Ok(text) => text.map(|text| Message::Text(text.into())),
                        Err(end) => return Some(end),
                    }
                }
                // The other sender is in `self`.
                Some(outgoing) = queue.recv() => {
                    self.on_outgoing(outgoing).map(|text| Message::Text(text.into()))
                }
                () = &mut init_timeout, if self.requester.is_none() => {
                    return Some(End(close::INIT_TIMEOUT, "Connection initialisation timeout".to_owned()));
                }
                _ = check.tick() => match self.check() {
                    Ok(()) => None,
                    Err(error) => return self.expire(socket, &error).await,
                },
                _ = ping.tick() => {
                    if !std::mem::take(&mut is_alive) {
                        return None;
                    }
                    Some(Message::Ping(Default::default()))
                }
            };
            let Some(message) = message else { continue };
            match self.send(socket, message, &mut check).await {
                Ok(()) => {}
                Err(Unsent::Gone) => return None,
                Err(Unsent::Expired(error)) => return self.expire(socket, &error).await,
            }
        }
    }

    /// Sends a message. The token is checked in the meantime, because a client that does not read delays
    /// this.
    async fn send(
        &self,
        socket: &mut WebSocket,
        message: Message,
        check: &mut Interval,
    ) -> Result<(), Unsent> {
        let sent = timeout(limits::STALL_TIMEOUT, socket.send(message));
        tokio::pin!(sent);
        loop {
            tokio::select! {
                sent = &mut sent => return sent.ok().and_then(Result::ok).ok_or(Unsent::Gone),
                _ = check.tick() => self.check().map_err(Unsent::Expired)?,
            }
        }
    }

    /// Handles a message of the client, and returns the answer.
    fn on_message(&mut self, text: &str) -> Result<Option<String>, End> {
        if self.messages.take(Instant::now()).is_err() {
            return Err(End(close::POLICY_VIOLATION, "Too many messages".to_owned()));
        }
        let message = serde_json::from_str(text).map_err(|error| bad_request(&error.to_string()))?;
        match message {
            FromClient::ConnectionInit { payload } => self.on_init(payload).map(Some),
            FromClient::Ping { payload } => Ok(Some(FromServer::Pong { payload }.text())),
            FromClient::Pong {} => Ok(None),
            FromClient::Subscribe { id, payload } => self.on_subscribe(id, payload),
            FromClient::Complete { id } => {
                self.operations.remove(&id);
                Ok(None)
            }
        }
    }

    fn on_init(&mut self, payload: Option<serde_json::Value>) -> Result<String, End> {
        if self.requester.is_some() {
            return Err(End(close::TOO_MANY_INITS, "Too many initialisation requests".to_owned()));
        }
        let payload = payload.unwrap_or_default();
        let found =
            ["Authorization", "authorization", "token"].iter().find_map(|name| payload.get(name)?.as_str());
        let token = found.map(|token| token.strip_prefix("Bearer ").unwrap_or(token));
        match Requester::authenticate(&self.graphql.rooms, token) {
            Ok(requester) => self.requester = Some(requester),
            Err(error) => return Err(forbidden(&error)),
        }
        Ok(FromServer::ConnectionAck.text())
    }

    fn on_subscribe(
        &mut self,
        id: String,
        mut request: async_graphql::Request,
    ) -> Result<Option<String>, End> {
        let Some(requester) = self.requester.clone() else {
            return Err(End(close::UNAUTHORIZED, "Unauthorized".to_owned()));
        };
        if id.is_empty() || id.len() > limits::GRAPHQL_ID_BYTES_MAX {
            let text = format!("id must have 1 to {} bytes", limits::GRAPHQL_ID_BYTES_MAX);
            return Err(bad_request(&text));
        }
        if self.operations.contains_key(&id) {
            return Err(End(close::SUBSCRIBER_EXISTS, format!("Subscriber for {id} already exists")));
        }
        // The rate first: what is refused above it costs nothing.
        let counted = self.graphql.count_request(self.address);
        let prepared = counted.and_then(|()| document::prepare(&mut request));
        let permit = match prepared.and_then(|()| self.count_operation(&requester)) {
            Ok(permit) => permit,
            Err(error) => {
                let errors = [graphql_error(&error).into_server_error(Default::default())];
                return Ok(Some(FromServer::Error { id: &id, payload: &errors }.text()));
            }
        };
        self.started += 1;
        let number = self.started;
        let (schema, outgoing) = (self.graphql.schema.clone(), self.outgoing.clone());
        let name = id.clone();
        let task = tokio::spawn(async move {
            let mut responses = schema.execute_stream(request.data(requester));
            while let Some(response) = responses.next().await {
                let response = bounded(response);
                // Nothing was executed, or the subscription cannot continue.
                let is_error = response.is_err() && response.data == async_graphql::Value::Null;
                let text = if is_error {
                    FromServer::Error { id: &name, payload: &response.errors }.text()
                } else {
                    FromServer::Next { id: &name, payload: &response }.text()
                };
                let sent = outgoing.send(Outgoing { operation: number, text, is_last: is_error }).await;
                if is_error || sent.is_err() {
                    return;
                }
            }
            let text = FromServer::Complete { id: &name }.text();
            // Without a receiver the connection has ended.
            let _ = outgoing.send(Outgoing { operation: number, text, is_last: true }).await;
        });
        self.operations.insert(id, Operation { number, task, _permit: permit });
        Ok(None)
    }

    /// Counts one more operation: of this connection, of the user, and of all.
    fn count_operation(&self, requester: &Requester) -> Result<OperationPermit, RequestError> {
        if self.operations.len() >= limits::GRAPHQL_OPERATIONS_PER_SOCKET {
            return Err(RequestError::limit(format!(
                "this connection has {} operations, which is the limit",
                limits::GRAPHQL_OPERATIONS_PER_SOCKET
            )));
        }
        self.graphql.operations.acquire(requester)
    }

    /// A message of an operation; `None` if the client has ended the operation meanwhile.
    fn on_outgoing(&mut self, outgoing: Outgoing) -> Option<String> {
        let Outgoing { operation, text, is_last } = outgoing;
        let running = self.operations.iter().find(|(_, running)| running.number == operation);
        let id = running.map(|(id, _)| id.clone())?;
        if is_last {
            self.operations.remove(&id);
        }
        Some(text)
    }

    /// Whether the token is still valid.
    fn check(&self) -> Result<(), RequestError> {
        self.requester.as_ref().map_or(Ok(()), |requester| requester.check(&self.graphql.rooms))
    }

    /// Ends all operations at once, then sends the reason of each, and ends the connection. A client that
    /// does not read loses the connection without a reason.
    async fn expire(&mut self, socket: &mut WebSocket, error: &RequestError) -> Option<End> {
        let ids: Vec<String> = std::mem::take(&mut self.operations).into_keys().collect();
        let errors = [graphql_error(error).into_server_error(Default::default())];
        let notify = async {
            for id in ids {
                let text = FromServer::Error { id: &id, payload: &errors }.text();
                socket.send(Message::Text(text.into())).await.ok()?;
            }
            Some(forbidden(error))
        };
        timeout(limits::CLOSE_TIMEOUT, notify).await.ok()?
    }
}

fn bad_request(reason: &str) -> End {
    // A close frame has at most 123 bytes of text (RFC 6455 §5.5).
    End(close::BAD_REQUEST, clip(&format!("Invalid message: {reason}")))
}

fn forbidden(error: &RequestError) -> End {
    End(close::FORBIDDEN, clip(&error.message))
}

fn clip(text: &str) -> String {
    let end = (0..=text.len().min(123)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}
