//! A synthetic WebRTC peer without a socket: ICE, DTLS, SRTP, RTCP and SCTP of one transport, like a browser. It
//! shares no code with the engine, so that one bug cannot be in both and stay hidden. Datagrams and time are
//! arguments.

mod arrivals;
mod data;
mod dtls;
mod ice;
mod inbound;
mod publisher;
mod rtcp;
mod rtp;
mod sctp;
mod srtp;
mod subscriber;

pub use data::{DataFlow, DataRole, PRODUCER_STREAM};
pub use dtls::Identity;
pub use inbound::Incoming;
pub use publisher::{Outgoing, extension};
pub use sctp::MESSAGE_LEN_MAX;
pub use subscriber::Scrutiny;

use crate::measure::Tally;
use anyhow::Context;
use data::DataChannel;
use dtls::Handshake;
use ice::{Agent, CheckResult};
use publisher::Publisher;
use srtp::Keys;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use subscriber::{FEEDBACK_INTERVAL, Subscriber};

/// A peer's parameters for a server.
#[derive(Clone, Debug)]
pub struct Local {
    /// ICE's user name fragment.
    pub ufrag: String,
    /// ICE's password.
    pub pwd: String,
}

/// A server's parameters.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Its candidate.
    pub address: SocketAddr,
    /// ICE's user name fragment.
    pub ufrag: String,
    /// ICE's password.
    pub pwd: String,
    /// SHA-256 of its certificate, as written in SDP.
    pub fingerprint: String,
}

/// The direction of media.
#[derive(Clone, Debug)]
pub enum Media {
    /// To the server.
    Send(Vec<Outgoing>),
    /// From the server.
    Receive(Vec<Incoming>),
}

/// The wall clock, in nanoseconds since 1970.
pub fn wall_clock() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64)
}

/// The time limit for joining.
const PATIENCE: Duration = Duration::from_secs(30);

/// A peer.
#[derive(Debug)]
pub struct Peer {
    remote: Remote,
    agent: Agent,
    stage: Stage,
    media: Option<Media>,
    data: Option<DataRole>,
    deadline: Instant,
    /// Datagrams to send.
    outbox: Vec<Vec<u8>>,
}

/// In the order in which a peer passes through them.
#[derive(Debug)]
enum Stage {
    Checking,
    Handshaking(Box<Handshake>),
    Connected(Box<Connected>),
}

#[derive(Debug)]
struct Connected {
    keys: Keys,
    rtcp_index: u32,
    next_feedback: Instant,
    role: Role,
    data: Option<DataChannel>,
    /// When the data channel next has work.
    next_data: Instant,
}

#[derive(Debug)]
enum Role {
    Publisher(Publisher),
    Subscriber(Subscriber),
}

/// The common state of all peers.
#[derive(Debug)]
pub struct Surroundings {
    /// Their certificate.
    pub identity: Identity,
    /// The settings for checks of received packets.
    pub scrutiny: Scrutiny,
}

impl Peer {
    /// Starts to connect at `now`.
    pub fn new(now: Instant, local: &Local, remote: Remote, media: Media, data: Option<DataRole>) -> Self {
        let agent = Agent::new(now, local, &remote);
        Self {
            remote,
            agent,
            stage: Stage::Checking,
            media: Some(media),
            data,
            deadline: now + PATIENCE,
            outbox: Vec::new(),
        }
    }

    /// Whether media can flow.
    pub fn is_connected(&self) -> bool {
        matches!(self.stage, Stage::Connected(_))
    }

    /// Whether it sends media.
    pub fn is_publisher(&self) -> bool {
        matches!(&self.stage, Stage::Connected(connected) if matches!(connected.role, Role::Publisher(_)))
    }

    /// The arrival time of the first media packet.
    pub fn first_media(&self) -> Option<Instant> {
        self.subscriber().and_then(|subscriber| subscriber.first_media)
    }

    /// A subscriber with all its streams, or a connected publisher.
    pub fn has_all(&self) -> bool {
        self.is_connected() && self.subscriber().is_none_or(Subscriber::has_all)
    }

    fn subscriber(&self) -> Option<&Subscriber> {
        match &self.stage {
            Stage::Connected(connected) => match &connected.role {
                Role::Subscriber(subscriber) => Some(subscriber),
                Role::Publisher(_) => None,
            },
            _ => None,
        }
    }

    /// Adds its losses to the tally, and restarts counting.
    pub fn close_spans(&mut self, tally: &mut Tally) {
        if let Stage::Connected(connected) = &mut self.stage
            && let Role::Subscriber(subscriber) = &mut connected.role
        {
            subscriber.close_spans(tally);
        }
    }

    /// As [`close_spans`](Self::close_spans), but counting goes on.
    pub fn add_spans(&self, tally: &mut Tally) {
        if let Stage::Connected(connected) = &self.stage
            && let Role::Subscriber(subscriber) = &connected.role
        {
            subscriber.add_spans(tally);
        }
    }

    /// The next datagram to send.
    pub fn take_outgoing(&mut self) -> impl Iterator<Item = Vec<u8>> {
        self.outbox.drain(..)
    }

    /// When to call [`advance`](Self::advance).
    pub fn next_timeout(&self) -> Instant {
        let next = match &self.stage {
            Stage::Checking => self.deadline,
            Stage::Handshaking(handshake) => handshake.next_timeout(),
            Stage::Connected(connected) => connected.next_timeout(),
        };
        next.min(self.agent.next_timeout())
    }

    /// A datagram arrived in the kernel at `at`, nanoseconds of the wall clock. An error ends the peer.
    pub fn on_datagram(
        &mut self,
        now: Instant,
        at: u64,
        datagram: &mut [u8],
        surroundings: &Surroundings,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        // RFC 7983, RFC 5761 §4.
        match (datagram.first(), datagram.get(1)) {
            (Some(128..=191), Some(192..=223)) => self.on_rtcp(datagram, at, tally),
            (Some(128..=191), _) => self.on_rtp(datagram, at, surroundings.scrutiny, tally),
            (Some(20..=63), _) => match &mut self.stage {
                Stage::Handshaking(handshake) => {
                    handshake.on_datagram(datagram);
                    self.shake(now)?;
                }
                Stage::Connected(connected) => {
                    if let Some(data) = &mut connected.data {
                        data.on_datagram(now, datagram, tally)?;
                        connected.next_data = now;
                    }
                }
                Stage::Checking => {}
            },
            (Some(0..=3), _) => match self.agent.on_message(datagram, self.remote.address) {
                CheckResult::Answer(answer) => self.outbox.push(answer),
                CheckResult::Connected if matches!(self.stage, Stage::Checking) => {
                    self.stage = Stage::Handshaking(Box::new(Handshake::new(&surroundings.identity, now)?));
                    self.shake(now)?;
                }
                CheckResult::Connected | CheckResult::Nothing => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn on_rtp(&mut self, packet: &mut [u8], at: u64, scrutiny: Scrutiny, tally: &mut Tally) {
        let Stage::Connected(connected) = &mut self.stage else { return };
        if let Role::Subscriber(subscriber) = &mut connected.role {
            subscriber.on_rtp(packet, at, &connected.keys.receiver, scrutiny, tally);
        }
    }

    fn on_rtcp(&mut self, packet: &mut [u8], at: u64, tally: &mut Tally) {
        let Stage::Connected(connected) = &mut self.stage else { return };
        let receiver = &connected.keys.receiver;
        match &mut connected.role {
            Role::Publisher(publisher) => publisher.on_rtcp(packet, receiver, tally),
            Role::Subscriber(subscriber) => subscriber.on_rtcp(packet, at, receiver, tally),
        }
    }

    /// A batch of datagrams has ended: requests the packets missing in it.
    pub fn on_batch_end(&mut self) {
        let Stage::Connected(connected) = &mut self.stage else { return };
        let Role::Subscriber(subscriber) = &mut connected.role else { return };
        let mut packet = Vec::new();
        subscriber.ask(&mut packet, false);
        self.outbox.extend(connected.protect_rtcp(packet));
    }

    fn shake(&mut self, now: Instant) -> anyhow::Result<()> {
        let Stage::Handshaking(handshake) = &mut self.stage else { return Ok(()) };
        let keys = handshake.advance(now, &self.remote.fingerprint, &mut self.outbox)?;
        let Some(keys) = keys else { return Ok(()) };
        let Stage::Handshaking(handshake) = std::mem::replace(&mut self.stage, Stage::Checking) else {
            return Ok(());
        };
        let data = self.data.take().map(|role| DataChannel::new(now, handshake.into_tunnel(), role));
        let role = match self.media.take().context("media is taken once")? {
            Media::Send(outgoing) => Role::Publisher(Publisher::new(outgoing, now)),
            Media::Receive(incoming) => Role::Subscriber(Subscriber::new(incoming)),
        };
        let connected = Connected { keys, rtcp_index: 0, next_feedback: now, role, data, next_data: now };
        self.stage = Stage::Connected(Box::new(connected));
        Ok(())
    }

    /// Performs due work. Media is passed directly to `send`, other datagrams go to the outbox. An error ends
    /// the peer.
    pub fn advance(
        &mut self,
        now: Instant,
        tally: &mut Tally,
        send: impl FnMut(&[u8]),
    ) -> anyhow::Result<()> {
        if self.agent.next_timeout() <= now {
            self.outbox.push(self.agent.check(now));
        }
        match &mut self.stage {
            Stage::Checking | Stage::Handshaking(_) if now >= self.deadline => {
                anyhow::bail!("not connected within {} s", PATIENCE.as_secs());
            }
            Stage::Checking => {}
            Stage::Handshaking(handshake) if handshake.next_timeout() <= now => self.shake(now)?,
            Stage::Handshaking(_) => {}
            Stage::Connected(connected) => {
                let reports = connected.advance(now, tally, send);
                self.outbox.extend(reports);
                connected.advance_data(now, tally, &mut self.outbox)?;
            }
        }
        Ok(())
    }
}

impl Connected {
    fn next_timeout(&self) -> Instant {
        let of_media = match &self.role {
            Role::Publisher(publisher) => publisher.next_timeout(),
            Role::Subscriber(_) => self.next_feedback,
        };
        if self.data.is_some() { of_media.min(self.next_data) } else { of_media }
    }

    fn advance_data(
        &mut self,
        now: Instant,
        tally: &mut Tally,
        outbox: &mut Vec<Vec<u8>>,
    ) -> anyhow::Result<()> {
        if let Some(data) = self.data.as_mut().filter(|_| self.next_data <= now) {
            data.advance(now, tally, outbox)?;
            self.next_data = data.next_timeout(now);
        }
        Ok(())
    }

    fn advance(&mut self, now: Instant, tally: &mut Tally, send: impl FnMut(&[u8])) -> Option<Vec<u8>> {
        let mut packet = Vec::new();
        match &mut self.role {
            Role::Publisher(publisher) => {
                tally.sent += publisher.advance(now, wall_clock, &self.keys.sender, send);
                publisher.report(now, wall_clock(), &mut packet);
            }
            Role::Subscriber(subscriber) if self.next_feedback <= now => {
                self.next_feedback = now + FEEDBACK_INTERVAL;
                subscriber.feed_back(&mut packet, wall_clock() / 1000);
            }
            Role::Subscriber(_) => {}
        }
        self.protect_rtcp(packet)
    }

    /// Encrypts a compound packet, unless it is empty.
    fn protect_rtcp(&mut self, mut packet: Vec<u8>) -> Option<Vec<u8>> {
        if packet.is_empty() {
            return None;
        }
        self.keys.sender.protect_rtcp(&mut packet, self.rtcp_index);
        self.rtcp_index += 1;
        Some(packet)
    }
}
