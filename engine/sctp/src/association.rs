//! One association and its channels.

use crate::channel::{Channel, Kind, Reliability, Role, StreamId};
use crate::dcep::Message;
use crate::discard::{Discard, Discarded};
use crate::failed::{Failed, OpenError, SendError};
use crate::guard::{self, Guard, SINK, Verdict, rebuilt_reconfig};
use crate::handshake::{Handshake, Init, Step};
use crate::lane::{Lane, State, kind_of};
use crate::limits::{
    EVENT_BYTES_MAX, EVENTS_MAX, FEED_TARGET, IN_FLIGHT_MAX, LABEL_LEN_MAX, PACKETS_TARGET, SEND_BUFFER_MAX,
    SEND_BUFFER_SHARED, SEND_MESSAGES_MAX, START_DELAY, STREAMS_MAX,
};
use crate::link::Link;
use crate::packet::{Chunk, Packet, Writer, kind};
use crate::round_trip::{RoundTripSamples, RoundTrips};
use crate::schedule::{self, Schedule};
use crate::settings::Settings;
use bytes::Bytes;
use machine::{Instant, Rng};
use sctp_proto::{AssociationError, Chunks, PayloadProtocolIdentifier as Protocol, StreamEvent};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The association is established. Once.
    Connected,
    /// The peer has opened a channel.
    Opened {
        /// Its number.
        stream: StreamId,
        /// Its description.
        channel: Channel,
    },
    /// A message has arrived.
    Message {
        /// Its channel.
        stream: StreamId,
        /// Its kind.
        kind: Kind,
        /// May be empty.
        payload: Bytes,
    },
    /// A channel is closed in both directions, and its number may be used again.
    Closed {
        /// Its number.
        stream: StreamId,
    },
    /// Fewer bytes of a channel are buffered than [its threshold](Association::set_low_threshold), or as many.
    BufferLow {
        /// The channel.
        stream: StreamId,
    },
    /// The association has ended, and all channels with it. The last event.
    Failed(Failed),
}

impl Event {
    fn stream(&self) -> Option<StreamId> {
        match self {
            Self::Opened { stream, .. }
            | Self::Message { stream, .. }
            | Self::Closed { stream }
            | Self::BufferLow { stream } => Some(*stream),
            Self::Connected | Self::Failed(_) => None,
        }
    }
}

/// One end of an association. After each call, call [`poll_transmit`](Self::poll_transmit) and
/// [`poll_event`](Self::poll_event) until they yield `None`, and then read
/// [`poll_timeout`](Self::poll_timeout). An event that is not polled pauses the peer in the end: see
/// [`EVENT_BYTES_MAX`].
pub struct Association {
    settings: Settings,
    handshake: Handshake,
    /// From the end of the handshake to that of the association.
    established: Option<Established>,
    failed: Option<Failed>,
    lanes: BTreeMap<u16, Lane>,
    schedule: Schedule,
    /// Sum of the priorities of all lanes.
    weights: u64,
    /// Messages and bytes in the queues of all lanes.
    queued_len: usize,
    queued_bytes: usize,
    packets: VecDeque<Bytes>,
    /// Answers to the peer's HEARTBEATs and to its handshake. They do not wait for DATA that the caller delays.
    replies: VecDeque<Bytes>,
    /// Something has happened since the library was asked for packets: asking costs it a look at all chunks
    /// in flight.
    has_changed: bool,
    events: VecDeque<Event>,
    event_bytes: usize,
    discarded: Discarded,
    in_flight_max: u32,
    /// Whether the packet that is being handled has been answered by one of ours.
    has_replied: bool,
    now: Instant,
}

/// What exists while the association is established.
struct Established {
    link: Link,
    guard: Guard,
    /// Streams below this number exist in both directions.
    streams: u16,
    /// Streams that may have a complete message.
    readable: BTreeSet<u16>,
    /// Streams with messages in the library.
    sending: BTreeSet<u16>,
    /// Bytes of all of them.
    in_library: usize,
    /// Bytes of messages that the peer has acknowledged, or that have expired.
    acknowledged: u64,
    round_trips: RoundTrips,
    /// Streams whose reset is complete, unless the library has begun another one.
    draining: BTreeSet<u16>,
    /// Streams whose reset has failed, and which cannot be used again.
    broken: BTreeSet<u16>,
}

impl Association {
    /// An association whose handshake begins: at once as DTLS client, as server when the peer begins or after
    /// [`START_DELAY`]. Verification tag, TSN and cookie are from `rng`.
    pub fn new(now: Instant, settings: Settings, mut rng: Rng) -> Self {
        let begin_at = match settings.role {
            Role::Client => now,
            Role::Server => now + START_DELAY,
        };
        let mut association = Self {
            settings,
            handshake: Handshake::new(settings.ports(), begin_at, &mut rng),
            established: None,
            failed: None,
            lanes: BTreeMap::new(),
            schedule: Schedule::default(),
            weights: 0,
            queued_len: 0,
            queued_bytes: 0,
            packets: VecDeque::new(),
            replies: VecDeque::new(),
            has_changed: true,
            events: VecDeque::new(),
            event_bytes: 0,
            discarded: Discarded::default(),
            in_flight_max: IN_FLIGHT_MAX,
            has_replied: false,
            now,
        };
        association.handle_timeout(now);
        association
    }

    /// A packet has arrived: the content of one DTLS record. What is malformed is [counted](Self::discarded).
    pub fn handle_packet(&mut self, now: Instant, packet: &[u8]) {
        self.now = self.now.max(now);
        if self.failed.is_some() {
            return;
        }
        let Some(view) = Packet::new(packet) else { return self.discarded.add(Discard::Malformed) };
        if view.ports != self.settings.ports() {
            return self.discarded.add(Discard::WrongAssociation);
        }
        self.has_changed = true;
        self.handle_chunks(packet, &view);
        self.settle();
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has been reached.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.failed.is_some() {
            return;
        }
        self.has_changed = true;
        match self.handshake.on_timeout(self.now) {
            Ok(packet) => self.packets.extend(packet),
            Err(()) => return self.fail(Failed::HandshakeTimedOut),
        }
        if let Some(established) = &mut self.established
            && established.link.next_timeout().is_some_and(|at| at <= self.now)
        {
            established.link.on_timeout(self.now);
        }
        self.settle();
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        self.now = self.now.max(now);
        if let Some(reply) = self.replies.pop_front() {
            return Some(reply);
        }
        if self.packets.is_empty() && self.has_changed {
            self.pump();
        }
        let packet = self.packets.pop_front()?;
        if let Some(established) = &mut self.established {
            let chunks = Packet::unchecked(&packet).into_iter();
            for tsn in
                chunks.flat_map(|packet| packet.chunks().filter_map(|chunk| chunk.tsn_of_data()).last())
            {
                established.round_trips.on_sent(self.now, tsn);
            }
        }
        Some(packet)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        let of_link = self.established.as_ref().and_then(|established| established.link.next_timeout());
        let of_handshake = self.handshake.next_timeout().filter(|_| self.failed.is_none());
        of_link.into_iter().chain(of_handshake).min()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        let was_paused = self.is_paused();
        let event = self.events.pop_front();
        if let Some(Event::Message { payload, .. }) = &event {
            self.event_bytes -= payload.len();
        }
        if was_paused && !self.is_paused() {
            self.resume();
        }
        event
    }

    /// Opens a channel, also before the association is established. Messages may be sent at once; the peer
    /// sees the channel with, or before, the first one (RFC 8832 §6).
    pub fn open(&mut self, channel: Channel) -> Result<StreamId, OpenError> {
        self.check_open(&channel)?;
        let first = if self.settings.role == Role::Client { 0 } else { 1 };
        let streams = self.streams();
        let free = (first..streams).step_by(2).find(|id| self.is_free(*id)).ok_or(OpenError::NoFreeId)?;
        self.insert_lane(free, Lane::new(channel, State::Opening, false));
        self.announce(free);
        Ok(StreamId(free))
    }

    /// The same for a given stream, which must be one of ours (RFC 8832 §6).
    pub fn open_on(&mut self, stream: StreamId, channel: Channel) -> Result<(), OpenError> {
        self.check_open(&channel)?;
        if stream.0 >= self.streams() || !self.settings.role.is_ours(stream) {
            return Err(OpenError::InvalidId);
        }
        self.insert_free(stream, Lane::new(channel, State::Opening, false))
    }

    /// Creates a channel that both sides know by other means, without messages to the peer. If the peer opens it
    /// with a message nevertheless, that is confirmed, without an event.
    pub fn open_negotiated(&mut self, stream: StreamId, channel: Channel) -> Result<(), OpenError> {
        self.check_open(&channel)?;
        if stream.0 >= self.streams() {
            return Err(OpenError::InvalidId);
        }
        self.insert_free(stream, Lane::new(channel, State::Open, true))
    }

    fn insert_free(&mut self, stream: StreamId, lane: Lane) -> Result<(), OpenError> {
        if !self.is_free(stream.0) {
            return Err(OpenError::InUse);
        }
        self.insert_lane(stream.0, lane);
        self.announce(stream.0);
        Ok(())
    }

    /// Replaces [`Settings::peer_message_len_max`].
    pub fn set_peer_message_len_max(&mut self, len: usize) {
        self.settings.peer_message_len_max = len;
    }

    fn check_open(&self, channel: &Channel) -> Result<(), OpenError> {
        if let Some(failed) = self.failed {
            return Err(failed.into());
        }
        let is_long = channel.label.len() > LABEL_LEN_MAX || channel.protocol.len() > LABEL_LEN_MAX;
        if is_long { Err(OpenError::LabelTooLong) } else { Ok(()) }
    }

    /// Streams that exist in both directions.
    fn streams(&self) -> u16 {
        self.established.as_ref().map_or(STREAMS_MAX, |established| established.streams)
    }

    fn is_free(&self, id: u16) -> bool {
        let is_busy = |it: &Established| it.broken.contains(&id) || it.guard.is_resetting(id);
        // Events of the channel before would be taken for those of the next one.
        let has_events = self.events.iter().any(|event| event.stream() == Some(StreamId(id)));
        !has_events && !self.lanes.contains_key(&id) && !self.established.as_ref().is_some_and(is_busy)
    }

    /// Sends a message on an open channel. It is not copied.
    pub fn send(
        &mut self,
        now: Instant,
        stream: StreamId,
        kind: Kind,
        payload: Bytes,
    ) -> Result<(), SendError> {
        self.now = self.now.max(now);
        if let Some(failed) = self.failed {
            return Err(failed.into());
        }
        let Some(lane) = self.lanes.get_mut(&stream.0).filter(|lane| lane.is_open()) else {
            return Err(SendError::NotOpen);
        };
        let (len, max) = (payload.len(), self.settings.message_len_max());
        if len > max {
            return Err(SendError::TooLong { len, max });
        }
        let in_library = self.established.as_ref().map_or(0, |established| established.in_library);
        let buffered = self.queued_bytes + in_library;
        let is_full = buffered + len > SEND_BUFFER_MAX || self.queued_len >= SEND_MESSAGES_MAX;
        let is_beyond_share =
            buffered + len > SEND_BUFFER_SHARED && lane.buffered() + len > lane.share(self.weights);
        if is_full || is_beyond_share {
            return Err(SendError::Full);
        }
        let (was_idle, before) = (lane.is_idle(), lane.queued_bytes());
        lane.push(self.now, kind, payload);
        lane.is_above_low |= lane.buffered() > lane.low;
        self.queued_bytes += lane.queued_bytes() - before;
        self.queued_len += 1;
        self.has_changed = true;
        if was_idle {
            self.schedule.insert(stream.0, &mut lane.next);
        }
        Ok(())
    }

    /// Closes a channel (RFC 8831 §6.7): what is buffered is still sent; messages that arrive are dropped.
    /// [`Closed`](Event::Closed) follows when the peer has closed it too.
    pub fn close(&mut self, stream: StreamId) {
        if let Some(lane) = self.lanes.get_mut(&stream.0).filter(|lane| lane.is_open()) {
            lane.state = State::Flushing;
            self.has_changed = true;
            self.finish_flushing(stream.0);
        }
    }

    /// Ends the association with an ABORT, which is ready to be polled (RFC 9260 §9.1).
    pub fn abort(&mut self) {
        self.fail(Failed::Closed);
    }

    /// Bytes of a channel that the peer has not acknowledged.
    pub fn buffered(&self, stream: StreamId) -> usize {
        self.lanes.get(&stream.0).map_or(0, Lane::buffered)
    }

    /// The number of buffered bytes at which [`BufferLow`](Event::BufferLow) is reported; 0 at first.
    pub fn set_low_threshold(&mut self, stream: StreamId, bytes: usize) {
        if let Some(lane) = self.lanes.get_mut(&stream.0) {
            lane.low = bytes;
            lane.is_above_low = lane.buffered() > bytes;
        }
    }

    /// Whether something waits to be sent, or for space in the congestion window.
    pub fn has_backlog(&self) -> bool {
        let unsent = self.established.as_ref().map_or(0, |established| established.link.unsent());
        !self.packets.is_empty() || self.queued_len > 0 || unsent > 0
    }

    /// Bytes of messages that the peer has acknowledged, or that have expired, since the beginning.
    pub fn acknowledged(&self) -> u64 {
        self.established.as_ref().map_or(0, |established| established.acknowledged)
    }

    /// The round trips of DATA since the last call, from when it was polled.
    pub fn take_round_trips(&mut self) -> Option<RoundTripSamples> {
        self.established.as_mut()?.round_trips.take()
    }

    /// For a caller that delays packets: as many DATA chunks as fill its path. Beyond, messages stay in the queues
    /// of their channels, where a channel of higher priority can overtake them. At most [`IN_FLIGHT_MAX`].
    pub fn set_in_flight_max(&mut self, chunks: u32) {
        let before = std::mem::replace(&mut self.in_flight_max, chunks.clamp(1, IN_FLIGHT_MAX));
        self.has_changed |= self.in_flight_max > before;
    }

    /// Whether the association is established.
    pub fn is_connected(&self) -> bool {
        self.established.is_some()
    }

    /// Why the association has ended, if it has.
    pub fn failed(&self) -> Option<Failed> {
        self.failed
    }

    /// How often something was discarded for this reason.
    pub fn discarded(&self, discard: Discard) -> u64 {
        self.discarded.count(discard)
    }

    /// What was discarded since the last call, and how often.
    pub fn take_discarded(&mut self) -> impl Iterator<Item = (Discard, u64)> {
        self.discarded.take()
    }

    /// Bytes of all messages that wait: for sending, and as events.
    pub fn memory(&self) -> usize {
        let in_library = self.established.as_ref().map_or(0, |established| established.in_library);
        let packets: usize = self.packets.iter().chain(&self.replies).map(Bytes::len).sum();
        self.queued_bytes + in_library + self.event_bytes + packets
    }

    // Packets in.

    /// Passes the admitted chunks to the library, and those of the handshake to [`Handshake`].
    fn handle_chunks(&mut self, packet: &[u8], view: &Packet<'_>) {
        let is_ours = self.established.as_mut().is_none_or(|it| it.guard.begin_packet(view.tag));
        let is_alone = view.chunks().nth(1).is_none();
        let mut admitted = Writer::like(packet);
        let mut is_whole = true;
        self.has_replied = false;
        for chunk in view.chunks() {
            if self.failed.is_some() {
                return;
            }
            if matches!(chunk.kind, kind::INIT | kind::INIT_ACK | kind::COOKIE_ECHO | kind::COOKIE_ACK) {
                is_whole = false;
                self.handle_handshake(view.tag, &chunk, is_alone);
                continue;
            }
            let is_paused = self.is_paused();
            let Some(established) = &mut self.established else {
                self.handle_early(view.tag, &chunk);
                continue;
            };
            if !is_ours {
                self.discarded.add(Discard::WrongAssociation);
                continue;
            }
            if chunk.kind == kind::HEARTBEAT {
                is_whole = false;
                let answer = established.guard.heartbeat_ack(chunk.value);
                self.reply(answer);
                continue;
            }
            match established.guard.admit(&chunk, is_paused) {
                Verdict::Pass if chunk.kind == kind::RECONFIG => {
                    admitted.push(&rebuilt_reconfig(chunk.value));
                    is_whole = false;
                }
                Verdict::Pass => {
                    if let Some(newest) = chunk.newest_acked() {
                        established.round_trips.on_ack(self.now, newest);
                    }
                    admitted.push(chunk.whole);
                }
                Verdict::Withhold(discard) => {
                    self.discarded.add(discard);
                    is_whole = false;
                }
                Verdict::Replace(discard, replacement) => {
                    self.discarded.add(discard);
                    admitted.push(&replacement);
                    is_whole = false;
                }
                Verdict::Fail(failed) => return self.fail(failed),
            }
            if chunk.kind == kind::RECONFIG {
                // What follows may be for the channel that the reset makes available.
                is_whole &= admitted.len() == packet.len();
                let before = std::mem::replace(&mut admitted, Writer::like(packet));
                if is_whole {
                    self.deliver(Bytes::copy_from_slice(packet));
                } else if !before.is_empty() {
                    self.deliver(before.finish());
                }
                is_whole = false;
                self.settle();
            }
        }
        if admitted.is_empty() {
            return;
        }
        // The checksum of the whole packet is known.
        let packet = if is_whole { Bytes::copy_from_slice(packet) } else { admitted.finish() };
        self.deliver(packet);
    }

    fn deliver(&mut self, packet: Bytes) {
        if let Some(established) = &mut self.established {
            established.link.on_packet(self.now, packet);
        }
    }

    /// A chunk before the end of the handshake.
    fn handle_early(&mut self, tag: u32, chunk: &Chunk<'_>) {
        match chunk.kind {
            kind::ABORT if tag == self.handshake.ours().tag => self.fail(Failed::AbortedByPeer),
            kind::ERROR => self.discarded.add(Discard::PeerError),
            _ => self.discarded.add(Discard::UnexpectedHandshake),
        }
    }

    fn handle_handshake(&mut self, tag: u32, chunk: &Chunk<'_>, is_alone: bool) {
        match self.handshake.on_chunk(self.now, tag, chunk, is_alone) {
            Step::Reply(packet) => self.reply(packet),
            Step::Established(peer, reply) => {
                self.packets.extend(reply);
                self.establish(&peer);
            }
            Step::Discarded(discard) => self.discarded.add(discard),
        }
    }

    /// One answer for each packet, and none while many packets wait: the peer repeats what it needs.
    fn reply(&mut self, packet: Bytes) {
        if self.has_replied || self.replies.len() >= PACKETS_TARGET {
            self.discarded.add(Discard::ReplyBeyondLimits);
        } else {
            self.has_replied = true;
            self.replies.push_back(packet);
        }
    }

    fn establish(&mut self, peer: &Init) {
        let (ports, ours) = (self.settings.ports(), self.handshake.ours());
        let Some(link) = Link::new(ports, self.settings.packet_len(), ours, peer) else {
            return self.fail(Failed::Protocol);
        };
        let mut established = Established {
            link,
            guard: Guard::new(ports, ours, peer),
            streams: STREAMS_MAX.min(peer.inbound).min(peer.outbound),
            readable: BTreeSet::new(),
            sending: BTreeSet::new(),
            in_library: 0,
            acknowledged: 0,
            round_trips: RoundTrips::default(),
            draining: BTreeSet::new(),
            broken: BTreeSet::new(),
        };
        let _ = established.guard.begin_packet(ours.tag);
        let streams = established.streams;
        self.established = Some(established);
        self.events.push_back(Event::Connected);
        let ids: Vec<u16> = self.lanes.keys().copied().collect();
        for id in ids {
            if id < streams {
                self.announce(id);
                self.finish_flushing(id);
            } else {
                self.remove_lane(id);
            }
        }
    }

    // Channels.

    /// Creates the stream of a lane, and sends the OPEN that belongs to it.
    fn announce(&mut self, id: u16) {
        let (Some(established), Some(lane)) = (&mut self.established, self.lanes.get(&id)) else { return };
        if !established.link.open(id) {
            // A reset of this stream is not complete in the library.
            return self.remove_lane(id);
        }
        self.has_changed = true;
        established.guard.opened(id);
        if !lane.is_negotiated {
            let open = Message::Open(lane.channel.clone()).write();
            established.link.write(id, Protocol::Dcep, Reliability::default(), open);
            established.sending.insert(id);
        }
        // Messages that arrived before.
        established.readable.insert(id);
    }

    /// Resets a channel that is closed, once its queue is empty.
    fn finish_flushing(&mut self, id: u16) {
        let (Some(established), Some(lane)) = (&mut self.established, self.lanes.get_mut(&id)) else {
            return;
        };
        if lane.state == State::Flushing && lane.is_idle() {
            lane.state = State::Resetting;
            established.reset(id);
        }
    }

    /// Forgets the messages of a lane that wait.
    fn clear_queue(&mut self, id: u16) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if !lane.is_idle() {
            self.schedule.remove(id, lane.next);
            self.queued_len -= lane.queue_len();
            self.queued_bytes -= lane.queued_bytes();
            lane.clear();
        }
    }

    fn insert_lane(&mut self, id: u16, lane: Lane) {
        self.weights += lane.weight();
        self.lanes.insert(id, lane);
    }

    fn remove_lane(&mut self, id: u16) {
        self.clear_queue(id);
        if let Some(lane) = self.lanes.remove(&id) {
            self.weights -= lane.weight();
            self.events.push_back(Event::Closed { stream: StreamId(id) });
        }
        if let Some(established) = &mut self.established {
            established.readable.remove(&id);
        }
    }

    fn on_stream(&mut self, event: StreamEvent) {
        let Some(established) = &mut self.established else { return };
        match event {
            StreamEvent::Readable { id } => {
                established.readable.insert(id);
            }
            StreamEvent::Finished { id } => {
                // The peer has closed; the library answers.
                self.clear_queue(id);
                if let Some(lane) = self.lanes.get_mut(&id) {
                    lane.state = State::Resetting;
                }
            }
            StreamEvent::ResetComplete { id } => {
                established.draining.insert(id);
            }
            StreamEvent::ResetFailed { id, .. } => {
                established.guard.reset_done(id);
                established.broken.insert(id);
                self.remove_lane(id);
            }
            _ => {}
        }
    }

    fn on_dcep(&mut self, id: u16, message: &[u8]) {
        let stream = StreamId(id);
        let lane = self.lanes.get_mut(&id);
        match (Message::read(message), lane) {
            (Some(Message::Ack), Some(lane)) if !lane.is_negotiated => {
                if lane.state == State::Opening {
                    lane.state = State::Open;
                }
            }
            // The peer opens a channel that we know by other means.
            (Some(Message::Open(_)), Some(lane)) if lane.is_negotiated && lane.is_open() => {
                self.acknowledge(id);
            }
            (Some(Message::Open(channel)), None) if !self.settings.role.is_ours(stream) => {
                self.acknowledge(id);
                self.insert_lane(id, Lane::new(channel.clone(), State::Open, false));
                self.events.push_back(Event::Opened { stream, channel });
            }
            (_, lane) => {
                let is_channel = lane.is_some();
                self.has_changed = true;
                self.discarded.add(Discard::InvalidDcep);
                // RFC 8832 §6: a channel that cannot be is closed.
                if let Some(established) = self.established.as_mut().filter(|_| !is_channel) {
                    established.reset(id);
                }
            }
        }
    }

    fn acknowledge(&mut self, id: u16) {
        self.has_changed = true;
        if let Some(established) = &mut self.established {
            let ack = Message::Ack.write();
            established.link.write(id, Protocol::Dcep, Reliability::default(), ack);
            established.sending.insert(id);
        }
    }

    fn on_message(&mut self, id: u16, mut message: Chunks) {
        let (protocol, len) = (message.ppi, message.len());
        let Some(bytes) = message.next(len).map(|chunk| chunk.bytes) else { return };
        if protocol == Protocol::Dcep {
            return self.on_dcep(id, &bytes);
        }
        let Some((kind, is_empty)) = kind_of(protocol) else {
            return self.discarded.add(Discard::UnknownProtocol);
        };
        match self.lanes.get(&id).map(|lane| lane.state) {
            Some(State::Flushing) => {}
            Some(_) => {
                let payload = if is_empty { Bytes::new() } else { bytes };
                self.event_bytes += payload.len();
                self.events.push_back(Event::Message { stream: StreamId(id), kind, payload });
            }
            None => self.discarded.add(Discard::MessageWithoutChannel),
        }
    }

    // Between the library and the caller.

    /// Whether messages stay in the library, because the caller does not poll.
    fn is_paused(&self) -> bool {
        self.event_bytes >= EVENT_BYTES_MAX || self.events.len() >= EVENTS_MAX
    }

    /// Handles what the library reports.
    fn settle(&mut self) {
        loop {
            while let Some(event) = self.established.as_mut().and_then(|it| it.link.poll()) {
                match event {
                    sctp_proto::Event::Stream(event) => self.on_stream(event),
                    sctp_proto::Event::AssociationLost { reason }
                    | sctp_proto::Event::HandshakeFailed { reason } => return self.on_lost(&reason),
                    _ => {}
                }
            }
            if !self.read() {
                break;
            }
        }
        self.close_drained();
        self.measure();
    }

    /// Closes channels whose stream may be used again. If both sides close a channel, the library resets the
    /// stream twice, and reports the first.
    fn close_drained(&mut self) {
        let Some(Established { link, guard, draining, .. }) = &mut self.established else { return };
        let drained: Vec<u16> = draining.iter().copied().filter(|id| link.open(*id)).collect();
        for id in &drained {
            draining.remove(id);
            guard.reset_done(*id);
            guard.opened(*id);
        }
        drained.into_iter().for_each(|id| self.remove_lane(id));
    }

    fn on_lost(&mut self, reason: &AssociationError) {
        let Some(established) = &self.established else { return };
        match (established.guard.reason(), reason) {
            (_, AssociationError::ReceiveBufferExhausted) => self.fail(Failed::TooLong),
            (reason, _) => self.fail(reason),
        }
    }

    /// Reads messages until the caller must poll. Whether there was one.
    fn read(&mut self) -> bool {
        let mut has_read = false;
        while let Some(established) = &mut self.established {
            let sunk = established.link.drain_sink();
            established.guard.released(sunk);
            established.readable.remove(&SINK);
            if self.is_paused() {
                break;
            }
            let Some(established) = &mut self.established else { break };
            let Some(&id) = established.readable.first() else { break };
            match established.link.read(id) {
                Some(message) => {
                    established.guard.released(message.chunks.len());
                    self.on_message(id, message);
                    has_read = true;
                }
                None => {
                    established.readable.remove(&id);
                }
            }
        }
        has_read
    }

    /// The caller has polled: reads on, and tells the peer that there is space.
    fn resume(&mut self) {
        if self.failed.is_some() {
            return;
        }
        self.has_changed = true;
        self.settle();
        let is_paused = self.is_paused();
        if let Some(established) = self.established.as_mut().filter(|_| !is_paused)
            && let Some(packet) = established.guard.window_update()
        {
            established.link.on_packet(self.now, packet);
        }
    }

    /// Looks at how much of each channel is buffered.
    fn measure(&mut self) {
        let Some(established) = &mut self.established else { return };
        let Established { link, sending, in_library, acknowledged, .. } = established;
        let before = std::mem::take(in_library);
        sending.retain(|id| {
            let buffered = link.buffered(*id);
            *in_library += buffered;
            if let Some(lane) = self.lanes.get_mut(id) {
                lane.in_library = buffered;
                if lane.is_above_low && lane.buffered() <= lane.low {
                    lane.is_above_low = false;
                    self.events.push_back(Event::BufferLow { stream: StreamId(*id) });
                }
            }
            buffered > 0
        });
        *acknowledged += before.saturating_sub(*in_library) as u64;
        link.bound_unsent(*in_library);
    }

    // Packets out.

    /// Makes packets, while the congestion window allows and not too many wait.
    fn pump(&mut self) {
        let len_max = self.settings.packet_len();
        while let Some(established) = &mut self.established {
            let packets = established.link.packets(self.now);
            for packet in packets {
                let first_sent = established.guard.on_sent(&packet);
                established.link.first_sent(first_sent);
                self.packets.extend(guard::fit(packet, len_max));
            }
            if self.packets.len() >= PACKETS_TARGET {
                break;
            }
            if !self.feed() {
                self.has_changed = false;
                break;
            }
        }
        // Expired messages have left the library without an input.
        self.settle();
    }

    /// Gives messages to the library, in the order of priorities. Whether a queue has changed.
    fn feed(&mut self) -> bool {
        let mut has_changed = false;
        while let Some(established) = &mut self.established {
            let is_full = established.link.unsent() >= FEED_TARGET
                || established.guard.in_flight() >= self.in_flight_max;
            if is_full || self.schedule.is_empty() {
                break;
            }
            let Some(id) = self.schedule.take() else { break };
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            let Some(message) = lane.pop() else { continue };
            has_changed = true;
            self.queued_len -= 1;
            self.queued_bytes -= message.payload.len();
            if let Some(reliability) = lane.remaining(self.now, &message) {
                lane.next = schedule::end(lane.next, message.payload.len(), lane.channel.priority);
                established.in_library += message.payload.len();
                established.link.write(id, message.protocol, reliability, message.payload);
            }
            established.sending.insert(id);
            match lane.is_idle() {
                false => self.schedule.insert(id, &mut lane.next),
                true => self.finish_flushing(id),
            }
        }
        has_changed
    }

    /// Ends the association, and releases its memory.
    fn fail(&mut self, failed: Failed) {
        if self.failed.is_some() {
            return;
        }
        self.failed = Some(failed);
        self.packets.clear();
        self.replies.clear();
        if let Some(established) = self.established.take()
            && failed != Failed::AbortedByPeer
        {
            self.packets.push_back(established.guard.abort());
        }
        self.lanes.clear();
        self.weights = 0;
        self.schedule = Schedule::default();
        (self.queued_len, self.queued_bytes) = (0, 0);
        self.events.push_back(Event::Failed(failed));
    }
}

impl Established {
    /// Closes our direction of a stream, and drops what arrives on it.
    fn reset(&mut self, id: u16) {
        while let Some(message) = self.link.read(id) {
            self.guard.released(message.chunks.len());
        }
        self.link.close(id);
        self.guard.closing(id);
        self.readable.remove(&id);
    }
}
