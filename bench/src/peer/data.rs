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
mod tests {
    use super::*;

    fn sender(flow: &Arc<DataFlow>, now: Instant) -> End {
        End::Sender { flow: flow.clone(), sent: 0, begun: None, received: 0, progressed: now }
    }

    fn receiver(flow: &Arc<DataFlow>, receiver: usize) -> End {
        End::Receiver { flow: flow.clone(), receiver, stream: 4, expected: 0 }
    }

    fn all(end: &mut End, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| end.next(now)).map(|message| message.number).collect()
    }

    #[test]
    fn a_sender_waits_for_all_receivers_and_then_for_the_slowest() {
        let flow = Arc::new(DataFlow::new(7, 100, 3, None, 2));
        let now = Instant::now();
        let (mut sender, mut tally) = (sender(&flow, now), Tally::default());
        let mut receivers = [receiver(&flow, 0), receiver(&flow, 1)];
        receivers[0].on(Happened::Connected, &mut tally);
        assert_eq!(all(&mut sender, now), [0; 0], "one is not connected");
        receivers[1].on(Happened::Connected, &mut tally);
        assert_eq!(all(&mut sender, now), [0, 1, 2]);
        let message = |number| Happened::Message(4, Message { producer: 7, number, len: 100 }.write());
        receivers[0].on(message(0), &mut tally);
        assert_eq!(all(&mut sender, now), [0; 0]);
        receivers[1].on(message(0), &mut tally);
        assert_eq!(all(&mut sender, now), [3]);
        assert_eq!((tally.data_delivered, tally.data_lost, tally.data_wrong), (2, 0, 0));
        // If all of them are lost, it continues later.
        assert_eq!(all(&mut sender, now + 2 * STALL_MAX), [4, 5, 6]);
    }

    #[test]
    fn a_rate_limits_a_sender() {
        let flow = Arc::new(DataFlow::new(7, 100, 1_000, Some(1_000.0), 1));
        let now = Instant::now();
        receiver(&flow, 0).on(Happened::Connected, &mut Tally::default());
        let mut sender = sender(&flow, now);
        assert_eq!(all(&mut sender, now).len(), 1);
        assert_eq!(all(&mut sender, now + Duration::from_secs(1)).len(), 10);
    }

    #[test]
    fn missing_repeated_and_changed_messages_are_counted() {
        let flow = Arc::new(DataFlow::new(7, 100, 3, None, 1));
        let (mut receiver, mut tally) = (receiver(&flow, 0), Tally::default());
        let message = |number| Message { producer: 7, number, len: 100 }.write();
        let mut changed = message(4);
        changed[50] ^= 1;
        let other = Message { producer: 8, number: 4, len: 100 }.write();
        let arriving = [(4, message(0)), (4, message(3)), (4, message(3)), (4, changed), (4, other)];
        for (stream, bytes) in arriving.into_iter().chain([(5, message(4))]) {
            receiver.on(Happened::Message(stream, bytes), &mut tally);
        }
        assert_eq!((tally.data_delivered, tally.data_lost, tally.data_wrong), (2, 2, 4));
    }
}
