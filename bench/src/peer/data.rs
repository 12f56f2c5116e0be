//! The data channel of a peer: messages to the server as fast as its receivers get them, or messages from it,
//! which are compared with the sent ones.

use super::dtls::Tunnel;
use super::sctp::{Happened, Sctp};
use crate::measure::Tally;
use crate::media::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The direction of a data channel, and the flow of messages that it belongs to.
#[derive(Clone, Debug)]
pub enum DataRole {
    /// To the server.
    Send(Arc<DataFlow>),
    /// From the server.
    Receive {
        /// The flow.
        flow: Arc<DataFlow>,
        /// The receiver's number in it.
        receiver: usize,
        /// The SCTP stream.
        stream: u16,
    },
}

/// The SCTP stream of every producer.
pub const PRODUCER_STREAM: u16 = 0;

/// The messages of one producer, and how far each receiver is: an SFU does not report that, so an application
/// would send it by a channel of its own.
#[derive(Debug)]
pub struct DataFlow {
    /// The producer's number.
    pub producer: u32,
    /// Bytes of a message.
    pub message_len: u32,
    /// Messages that may be on their way to the slowest receiver.
    pub window: u64,
    /// Bytes per second, if that is limited.
    pub rate: Option<f64>,
    /// Of each receiver: 0 before it is connected, then one more than the number of the message that it expects.
    progress: Vec<AtomicU64>,
}

impl DataFlow {
    /// Of a producer with these messages, to this number of receivers.
    pub fn new(producer: u32, message_len: u32, window: u64, rate: Option<f64>, receivers: usize) -> Self {
        let progress = (0..receivers).map(|_| AtomicU64::new(0)).collect();
        Self { producer, message_len, window: window.max(1), rate, progress }
    }

    /// The number of the first message that not every receiver has; `None` until all are connected.
    fn received(&self) -> Option<u64> {
        let least = self.progress.iter().map(|progress| progress.load(Ordering::Relaxed)).min();
        least.unwrap_or(0).checked_sub(1)
    }

    fn report(&self, receiver: usize, expected: u64) {
        self.progress[receiver].store(expected + 1, Ordering::Relaxed);
    }
}

/// A sender looks at the progress of its receivers this often, if nothing else happens.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// If no receiver progresses for this time, the messages on their way were lost: the sender continues.
const STALL_MAX: Duration = Duration::from_secs(2);

/// The data channel of a peer.
#[derive(Debug)]
pub struct DataChannel {
    tunnel: Tunnel,
    sctp: Sctp,
    end: End,
}

#[derive(Debug)]
enum End {
    Sender { flow: Arc<DataFlow>, sent: u64, begun: Option<Instant>, received: u64, progressed: Instant },
    Receiver { flow: Arc<DataFlow>, receiver: usize, stream: u16, expected: u64 },
}

impl DataChannel {
    /// Begins when DTLS is complete.
    pub fn new(now: Instant, tunnel: Tunnel, role: DataRole) -> Self {
        let end = match role {
            DataRole::Send(flow) => End::Sender { flow, sent: 0, begun: None, received: 0, progressed: now },
            DataRole::Receive { flow, receiver, stream } => {
                End::Receiver { flow, receiver, stream, expected: 0 }
            }
        };
        Self { tunnel, sctp: Sctp::new(now), end }
    }

    /// A datagram of DTLS.
    pub fn on_datagram(&mut self, now: Instant, datagram: &[u8], tally: &mut Tally) -> anyhow::Result<()> {
        for packet in self.tunnel.open(datagram) {
            self.sctp.on_packet(now, packet);
        }
        let end = &mut self.end;
        self.sctp.poll(|happened| end.on(happened, tally))
    }

    /// Sends what is due.
    pub fn advance(
        &mut self,
        now: Instant,
        tally: &mut Tally,
        outbox: &mut Vec<Vec<u8>>,
    ) -> anyhow::Result<()> {
        self.sctp.on_timeout(now)?;
        let end = &mut self.end;
        self.sctp.poll(|happened| end.on(happened, tally))?;
        if self.sctp.is_connected() {
            while let Some(message) = self.end.next(now) {
                tally.data_sent += 1;
                self.sctp.send(PRODUCER_STREAM, message.write().into())?;
            }
        }
        let tunnel = &mut self.tunnel;
        self.sctp.packets(now, |packet| outbox.extend(tunnel.seal(packet)));
        Ok(())
    }

    /// When to call [`advance`](Self::advance).
    pub fn next_timeout(&self, now: Instant) -> Instant {
        let look = match self.end {
            End::Sender { .. } if self.sctp.is_connected() => Some(now + LOOK_INTERVAL),
            End::Sender { .. } | End::Receiver { .. } => None,
        };
        let far = now + Duration::from_secs(1);
        self.sctp.next_timeout().into_iter().chain(look).min().unwrap_or(far)
    }
}

impl End {
    fn on(&mut self, happened: Happened, tally: &mut Tally) {
        let Self::Receiver { flow, receiver, stream, expected } = self else { return };
        let Happened::Message(from, bytes) = happened else { return flow.report(*receiver, *expected) };
        let message = Message::read(&bytes).filter(|message| {
            let is_of_flow = message.producer == flow.producer && message.len == flow.message_len;
            is_of_flow && from == *stream && message.number >= *expected
        });
        match message {
            Some(message) => {
                tally.data_lost += message.number - *expected;
                tally.data_delivered += 1;
                tally.data_bytes += bytes.len() as u64;
                *expected = message.number + 1;
                flow.report(*receiver, *expected);
            }
            None => tally.data_wrong += 1,
        }
    }

    /// The next message, if it may be sent now.
    fn next(&mut self, now: Instant) -> Option<Message> {
        let Self::Sender { flow, sent, begun, received, progressed } = self else { return None };
        let progress = flow.received()?;
        if progress > *received || begun.is_none() {
            (*received, *progressed) = (progress, now);
        }
        if now.duration_since(*progressed) > STALL_MAX {
            (*received, *progressed) = (*sent, now);
        }
        let since = now.duration_since(*begun.get_or_insert(now)).as_secs_f64();
        let bytes = sent.saturating_mul(flow.message_len.into()) as f64;
        let is_early = flow.rate.is_some_and(|rate| bytes > rate * since);
        if is_early || *sent >= *received + flow.window {
            return None;
        }
        let message = Message { producer: flow.producer, number: *sent, len: flow.message_len };
        *sent += 1;
        Some(message)
    }
}

#[cfg(test)]
mod tests;
