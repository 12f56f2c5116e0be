//! The data channels of a transport: one SCTP association inside its DTLS session (RFC 8261).

use crate::bandwidth::data_pace::DataPace;
use crate::base::slots::Slot;
use control::{AcceptData, Counters, DataChannel, DataReliability, Discard, DtlsRole, Text};
use machine::{Instant, Rng};
use sctp::{Association, Channel, Limit, OpenError, Reliability, Role, Settings, StreamId};
use std::collections::BTreeMap;

/// The data channels of a transport. It exists from its first channel, or the first record of its client, on.
pub struct Data {
    /// From the end of the DTLS handshake on.
    pub association: Option<Box<Association>>,
    /// Who uses each stream.
    pub uses: BTreeMap<StreamId, Use>,
    /// What the peer accepts, and whether it may open channels; `None`: it may not.
    pub accepted: Option<AcceptData>,
    /// Channels that the peer has opened and that have no producer.
    pub opened: BTreeMap<StreamId, DataChannel>,
    /// It has packets or events, for the next timer call.
    pub is_due: bool,
    /// When the pace permits the next packet, if one waits for that.
    pub send_at: Option<Instant>,
    /// The last association has failed, and no channel has been created since.
    pub has_failed: bool,
    /// While the transport has media too.
    pub pace: Option<Box<DataPace>>,
    rng: Rng,
}

/// A channel as it begins with its association.
pub struct Start<'a> {
    /// Its stream.
    pub stream: u16,
    /// Its description.
    pub channel: &'a DataChannel,
    /// Whether this side opens it.
    pub is_opened_here: bool,
}

/// Who uses a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The peer sends on it.
    Producer(Slot),
    /// The peer receives on it.
    Consumer(Slot),
}

impl Data {
    /// Without streams and association. All randomness of the association comes from `rng`.
    pub fn new(rng: Rng) -> Self {
        Self {
            association: None,
            uses: BTreeMap::new(),
            accepted: None,
            opened: BTreeMap::new(),
            is_due: false,
            send_at: None,
            has_failed: false,
            pace: None,
            rng,
        }
    }

    /// DTLS is complete: the association begins. `channels` are those of the streams in use.
    pub fn start<'a>(&mut self, now: Instant, role: DtlsRole, channels: impl Iterator<Item = Start<'a>>) {
        let role = match role {
            DtlsRole::Client => Role::Client,
            DtlsRole::Server => Role::Server,
        };
        let packet_len_max = dtls::limits::SEND_MAX.min(Settings::new(role).packet_len_max);
        let mut settings = Settings { packet_len_max, ..Settings::new(role) };
        if let Some(AcceptData { port, message_len_max, .. }) = self.accepted {
            settings.remote_port = port;
            settings.peer_message_len_max = message_len_max as usize;
        }
        let mut association = Association::new(now, settings, self.rng.fork());
        for start in channels {
            // Each id was checked when it was taken.
            let _ = open(&mut association, &start);
        }
        self.association = Some(Box::new(association));
        self.has_failed = false;
        self.is_due = true;
    }

    /// Whether a stream can be opened.
    pub fn is_free(&self, stream: u16) -> bool {
        let stream = StreamId(stream);
        !self.uses.contains_key(&stream) && !self.opened.contains_key(&stream)
    }

    /// Opens a free stream, if there is an association. Fails if that does not have the stream, or if its reset
    /// is not complete.
    pub fn open(&mut self, start: &Start<'_>) -> Result<(), OpenError> {
        let Some(association) = &mut self.association else { return Ok(()) };
        open(association, start)?;
        self.is_due = true;
        Ok(())
    }

    /// What the peer accepts.
    pub fn accept(&mut self, accepted: AcceptData) {
        self.accepted = Some(accepted);
        if let Some(association) = &mut self.association {
            association.set_peer_message_len_max(accepted.message_len_max as usize);
        }
    }

    /// A record of the peer.
    pub fn on_record(&mut self, now: Instant, record: &[u8]) -> Result<(), Discard> {
        let association = self.association.as_mut().ok_or(Discard::DtlsData)?;
        association.handle_packet(now, record);
        self.is_due = true;
        Ok(())
    }

    /// Its timer. True if there is something to deliver or to send.
    pub fn on_timeout(&mut self, now: Instant) -> bool {
        let Some(association) = &mut self.association else { return false };
        let is_timed_out = association.poll_timeout().is_some_and(|at| at <= now);
        if is_timed_out {
            association.handle_timeout(now);
        }
        let may_send = self.send_at.take_if(|at| *at <= now).is_some();
        std::mem::take(&mut self.is_due) || is_timed_out || may_send
    }

    /// Updates the pace. `has_media`: without media, SCTP's own congestion control is sufficient. `share_bps`:
    /// its part of the bandwidth estimate, if that is the limit of the path. Returns the bytes that the peer has acknowledged since the last call.
    pub fn follow(&mut self, now: Instant, has_media: bool, share_bps: Option<u64>) -> usize {
        let Some(association) = self.association.as_mut() else { return 0 };
        if !has_media {
            if self.pace.take().is_some() {
                association.set_in_flight_max(u32::MAX);
            }
            return 0;
        }
        let pace = self.pace.get_or_insert_with(|| Box::new(DataPace::new(now, association.acknowledged())));
        let samples = association.take_round_trips();
        let new = pace.on_feedback(now, association.acknowledged(), samples, share_bps);
        association.set_in_flight_max(pace.in_flight_max());
        new
    }

    /// Whether a packet may leave now. If not, the timer is set.
    pub fn admit(&mut self, now: Instant) -> bool {
        let has_backlog = self.association.as_ref().is_some_and(|association| association.has_backlog());
        let Some(pace) = self.pace.as_deref_mut().filter(|_| has_backlog) else { return true };
        let admitted = pace.admit(now);
        self.send_at = admitted.err();
        admitted.is_ok()
    }

    /// Counts what the association has discarded since the last call.
    pub fn count_discarded(&mut self, counters: &mut Counters) {
        for (discard, count) in
            self.association.iter_mut().flat_map(|association| association.take_discarded())
        {
            counters.discard_many(counted(discard), count);
        }
    }

    /// Ends the use of a stream.
    pub fn close(&mut self, stream: u16) {
        self.uses.remove(&StreamId(stream));
        self.opened.remove(&StreamId(stream));
        if let Some(association) = &mut self.association {
            association.close(StreamId(stream));
            self.is_due = true;
        }
    }

    /// When it next has work. `now`: at once.
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let association = self.association.as_ref()?;
        if self.is_due { Some(now) } else { association.poll_timeout().into_iter().chain(self.send_at).min() }
    }
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.association.as_ref().map(|association| association.is_connected());
        f.debug_struct("Data").field("is_connected", &state).field("uses", &self.uses).finish_non_exhaustive()
    }
}

fn open(association: &mut Association, start: &Start<'_>) -> Result<(), OpenError> {
    let (stream, channel) = (StreamId(start.stream), described(start.channel));
    match start.is_opened_here {
        true => association.open_on(stream, channel),
        false => association.open_negotiated(stream, channel),
    }
}

/// For the controller. A name that is longer than its records may have is cut.
pub fn reported(channel: Channel) -> DataChannel {
    let Channel { label, protocol, reliability, priority } = channel;
    DataChannel {
        label: Text::new(label),
        protocol: Text::new(protocol),
        is_unordered: reliability.is_unordered,
        reliability: match reliability.limit {
            Limit::Reliable => DataReliability::Reliable,
            Limit::Retransmissions(max) => DataReliability::Retransmissions { max },
            Limit::LifetimeMs(ms) => DataReliability::Lifetime { ms },
        },
        priority,
    }
}

fn counted(discard: sctp::Discard) -> Discard {
    match discard {
        sctp::Discard::Malformed => Discard::SctpMalformed,
        sctp::Discard::WrongAssociation => Discard::SctpWrongAssociation,
        sctp::Discard::UnexpectedHandshake => Discard::SctpUnexpectedHandshake,
        sctp::Discard::Unsupported => Discard::SctpUnsupported,
        sctp::Discard::PeerError => Discard::SctpPeerError,
        sctp::Discard::DataBeyondLimits => Discard::SctpDataBeyondLimits,
        sctp::Discard::DataOfClosingChannel => Discard::SctpDataOfClosingChannel,
        sctp::Discard::InvalidStream => Discard::SctpInvalidStream,
        sctp::Discard::MessageWithoutChannel => Discard::SctpMessageWithoutChannel,
        sctp::Discard::UnknownProtocol => Discard::SctpUnknownProtocol,
        sctp::Discard::InvalidDcep => Discard::SctpInvalidDcep,
        sctp::Discard::InvalidAck => Discard::SctpInvalidAck,
        sctp::Discard::ReplyBeyondLimits => Discard::SctpReplyBeyondLimits,
    }
}

fn described(channel: &DataChannel) -> Channel {
    let limit = match channel.reliability {
        DataReliability::Reliable => Limit::Reliable,
        DataReliability::Retransmissions { max } => Limit::Retransmissions(max),
        DataReliability::Lifetime { ms } => Limit::LifetimeMs(ms),
    };
    Channel {
        label: channel.label.as_str().to_owned(),
        protocol: channel.protocol.as_str().to_owned(),
        reliability: Reliability { is_unordered: channel.is_unordered, limit },
        priority: channel.priority,
    }
}
