//! Socket.IO: one event, `signal`, whose argument is one serialised `Signal`, acknowledged with another.

use crate::failure::Failure;
use crate::hall::{Batch, Connection, Hall};
use crate::limits;
use bytes::Bytes;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::layer::SocketIoLayer;
use socketioxide::{ParserConfig, SocketIo};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{RwLock, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The only event, in both directions.
const EVENT: &str = "signal";

/// A layer that serves Socket.IO for `hall`.
pub fn layer(hall: Arc<Hall>) -> SocketIoLayer {
    let parser = ParserConfig::common()
        .max_incoming_binaries(1)
        .max_incoming_binary_buf_size(limits::PAYLOAD_BYTES_MAX as usize)
        .packet_completion_timeout(limits::ATTACHMENT_TIMEOUT);
    let (layer, io) = SocketIo::builder()
        .with_parser(parser)
        .ws_max_message_size(limits::PAYLOAD_BYTES_MAX as usize)
        .ws_max_frame_size(limits::PAYLOAD_BYTES_MAX as usize)
        .max_payload(limits::PAYLOAD_BYTES_MAX)
        .max_buffer_size(limits::OUTBOX_LEN)
        .ping_interval(limits::PING_INTERVAL)
        .ping_timeout(limits::PING_TIMEOUT)
        .build_layer();
    // A handler of the connection itself is a task that may begin when the client, told that it is connected, has spoken already: in vain.
    let before = async move |socket: SocketRef| listen(&hall, socket);
    io.ns("/", (async || {}).with(before));
    layer
}

/// Listens to what a client says once it is told that it is connected. An error is what it is told instead.
fn listen(hall: &Arc<Hall>, socket: SocketRef) -> Result<(), &'static str> {
    if hall.connection_count() >= limits::CONNECTIONS_MAX {
        tracing::warn!(connections = limits::CONNECTIONS_MAX, "turned away a client: too many connections");
        return Err("too many connections; try again later");
    }
    let (connection, queue) = hall.connect();
    let (joined, is_joined) = oneshot::channel();
    let joined = Arc::new(Mutex::new(Some(joined)));

    // A closed socket keeps its message handlers, and they keep what they use: the sending task must end first, for it
    // keeps the socket. It waits for one of two senders, and both are dropped here.
    let gone = {
        let (hall, connection, joined) = (hall.clone(), connection.clone(), joined.clone());
        move || {
            hall.disconnect(&connection);
            drop(take(&joined));
        }
    };
    tokio::spawn(send_queue(socket.clone(), queue, is_joined, gone.clone()));
    // Each message is a task of its own, and so is the end; the runtime begins with whichever it likes. What was said before the end counts
    // all the same, Leave above all: so the end waits until nobody reads this lock.
    let under_way = Arc::new(RwLock::new(()));
    let (asking, reading) = ((hall.clone(), connection), under_way.clone());
    socket.on(EVENT, move |TryData(message): TryData<Bytes>, ack: AckSender| {
        // Here still in the order of what came; none comes after the end.
        let reading = reading.try_read_owned();
        async move {
            let (hall, connection) = &asking;
            let answer = answer(hall, connection, message).await;
            // Without an acknowledgement asked for, or with the socket gone, nobody wants to know.
            let _ = ack.send(&answer);
            if hall.has_joined(connection)
                && let Some(joined) = take(&joined)
            {
                let _ = joined.send(());
            }
            drop(reading);
        }
    });
    socket.on_disconnect(async move || {
        let _all_said = under_way.write().await;
        gone();
    });
    Ok(())
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

async fn answer(
    hall: &Arc<Hall>,
    connection: &Connection,
    message: Result<Bytes, impl std::fmt::Display>,
) -> Bytes {
    match message {
        Ok(message) => hall.on_message(connection, &message).await,
        Err(_) => hall.on_nonsense(
            connection,
            Failure::bad("the event's only argument must be a binary attachment: a serialised Signal"),
        ),
    }
}

/// Sends what the hall has for the client, and closes the socket when the hall lets go of it.
async fn send_queue(
    socket: SocketRef,
    mut queue: mpsc::Receiver<Bytes>,
    joined: oneshot::Receiver<()>,
    gone: impl FnOnce(),
) {
    // News of a room must not overtake the answer that says what the room is like.
    if timeout(limits::JOIN_TIMEOUT, joined).await.is_err() {
        // One that was away before it could be told that it is connected is never said to be gone.
        gone();
        return close(&socket).await;
    }
    let mut batch = Batch::default();
    let mut may_leave_at = Instant::now();
    while let Some(signal) = queue.recv().await {
        batch.push(signal);
        // At once where nothing was said a moment ago; else with what is said until the moment is over.
        while !batch.is_full() {
            let Ok(Some(signal)) = timeout_at(may_leave_at, queue.recv()).await else { break };
            batch.push(signal);
        }
        may_leave_at = Instant::now() + limits::BATCH_INTERVAL;
        if batch.take().is_some_and(|signal| socket.emit(EVENT, &signal).is_err()) {
            break;
        }
    }
    drop(queue);
    close(&socket).await;
}

/// Closes the socket. Saying so takes a place in its buffer: where a client that does not read has left none, this
/// waits until it reads or its pings fail. One that is closed already may have a successor under the same id, which
/// another attempt would take out of the table.
async fn close(socket: &SocketRef) {
    while socket.connected() && socket.clone().disconnect().is_err() {
        sleep(limits::DISCONNECT_PAUSE).await;
    }
}
