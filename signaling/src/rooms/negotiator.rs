//! The state of a client's negotiation: plain data. What happens to it is in [`super::negotiation`].

use crate::limits;
use crate::ortc::media_config::MediaConfig;
use crate::proto::{DtlsParameters, RtpParameters};
use crate::request_error::RequestError;
use crate::sdp::{CheckedOffer, local_data, play};
use crate::token_bucket::TokenBucket;
use control::{ConsumerId, Kind, ProducerId, TransportId};
use sdp::{
    Direction, LocalCodec, LocalMedia, LocalSection, LocalTransport, MediaKind, Msid, Offer, OfferedSection,
    Section,
};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What a client plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// All tracks of its room: this server adds sections by offers of its own.
    Everything,
    /// Nothing: an encoder.
    Nothing,
    /// As many tracks as it has offered sections, without later offers: a player.
    Fill {
        /// Only those of this peer, user or display name; otherwise the active speaker comes first.
        only: Option<String>,
        /// Whether the answer has the SSRCs of the tracks that play then, for a client that needs them.
        names_ssrcs: bool,
    },
}

/// The negotiation of one client. It is locked before the tables of the rooms, never after.
#[derive(Debug)]
pub(super) struct Negotiator {
    pub(super) plan: Plan,
    pub(super) current: tokio::sync::Mutex<Option<Negotiation>>,
    /// Something in the room has changed.
    pub(super) changed: Notify,
    /// Whether the client may have missed notifications.
    has_missed: AtomicBool,
    /// Number of the last stream of its status.
    stream: AtomicU64,
    /// When its task looks again without being woken.
    retry_at: Mutex<Option<Instant>>,
    /// Bounds the descriptions of the client.
    descriptions: Mutex<TokenBucket>,
}

impl Negotiator {
    pub(super) fn new(plan: Plan) -> Arc<Self> {
        let bucket =
            TokenBucket::new(limits::DESCRIPTIONS_PER_SECOND, limits::DESCRIPTIONS_BURST, Instant::now());
        Arc::new(Self {
            plan,
            current: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            has_missed: AtomicBool::new(false),
            stream: AtomicU64::new(0),
            retry_at: Mutex::default(),
            descriptions: Mutex::new(bucket),
        })
    }

    /// Wakes its task.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    /// The client is back, and has missed notifications, perhaps an offer.
    pub(super) fn offer_again(&self) {
        self.has_missed.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// The number of a new stream of its status.
    pub(super) fn next_stream(&self) -> u64 {
        self.stream.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether this is the last stream of its status.
    pub(super) fn is_stream(&self, number: u64) -> bool {
        self.stream.load(Ordering::Relaxed) == number
    }

    /// Takes what [`Self::offer_again`] stored.
    pub(super) fn take_missed(&self) -> bool {
        self.has_missed.swap(false, Ordering::Relaxed)
    }

    /// Makes its task look again after a pause.
    pub(super) fn wake_after(&self, pause: Duration) {
        self.retry_in(pause);
        // Otherwise it would not learn of the time.
        self.wake();
    }

    /// The same, for the task itself.
    pub(super) fn retry_in(&self, pause: Duration) {
        let at = Instant::now() + pause;
        let mut retry_at = self.retry_at.lock().unwrap_or_else(PoisonError::into_inner);
        *retry_at = Some(retry_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Takes the time of [`Self::retry_in`].
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.retry_at.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Counts a description of the client.
    pub(super) fn count(&self) -> Result<(), RequestError> {
        let mut descriptions = self.descriptions.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = descriptions.take(Instant::now());
        taken.map_err(|pause| RequestError::limit("too many session descriptions").retry_after(pause))
    }
}

/// What both sides have agreed on.
#[derive(Clone, Debug)]
pub(super) struct Negotiation {
    /// Identifies the descriptions of this side.
    pub(super) session_id: u64,
    /// Of the last description of this side.
    pub(super) version: u64,
    pub(super) remote: Remote,
    pub(super) transport: TransportId,
    pub(super) own: LocalTransport,
    pub(super) allows_mixed: bool,
    /// The sections of all descriptions, in their order.
    pub(super) lines: Vec<Line>,
    /// The lines before an offer of this side that has no answer yet.
    pub(super) before_offer: Option<Vec<Line>>,
    /// When an offer of this side without an answer is made again, and the pause after that.
    pub(super) offer_again: (Instant, Duration),
    /// Whether the client needs an offer even if nothing changes: it may have missed the last one.
    pub(super) is_offer_due: bool,
    /// Producers that the client cannot receive or has refused.
    pub(super) refused: BTreeSet<ProducerId>,
}

/// The client, as its descriptions identify it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Remote {
    pub(super) session_id: String,
    pub(super) ice_ufrag: String,
    pub(super) dtls: DtlsParameters,
}

/// A section.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The last description of the client; for a section of this side, what the client probably supports.
    pub(super) section: Arc<Section>,
    /// `None` for data channels, and for sections that are always rejected.
    pub(super) kind: Option<Kind>,
    pub(super) is_accepted: bool,
    /// Whether this side has added it, and the client has not answered yet.
    pub(super) is_assumed: bool,
    /// Whether the client has never described a section of this kind: then all formats are offered.
    pub(super) is_guess: bool,
    pub(super) publish: Option<Published>,
    pub(super) play: Option<Played>,
    /// The track that was on it before the client stopped receiving.
    pub(super) held: Option<ProducerId>,
    /// Whether another track may be put on it: browsers report a new track only after a description in which the
    /// section had none.
    pub(super) is_free: bool,
}

/// A track of the client.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) producer: ProducerId,
    pub(super) parameters: RtpParameters,
    pub(super) media: LocalMedia,
}

/// A track that the client plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Played {
    pub(super) consumer: ConsumerId,
    pub(super) producer: ProducerId,
    pub(super) msid: Msid,
    /// Of the stream, and of its retransmissions.
    pub(super) ssrcs: Vec<u32>,
    /// Of the stream, and of its retransmissions. Empty: all of the section.
    pub(super) payload_types: Vec<u8>,
    pub(super) is_resumed: bool,
}

impl Negotiation {
    /// Whether an offer is one of the same `RTCPeerConnection`.
    pub(super) fn is_continued_by(&self, offer: &CheckedOffer, dtls: &DtlsParameters) -> bool {
        let is_same_session = self.remote.session_id == offer.description.session_id
            || offer.tagged().ice_ufrag.as_ref() == Some(&self.remote.ice_ufrag);
        is_same_session && self.remote.dtls.fingerprints == dtls.fingerprints
    }

    /// The sections as this side describes them.
    pub(super) fn local(&self, plan: &Plan, config: &MediaConfig) -> Vec<LocalSection> {
        self.lines.iter().map(|line| line.local(plan, config)).collect()
    }

    /// An offer of this side with all lines.
    pub(super) fn offer(&mut self, plan: &Plan, config: &MediaConfig) -> String {
        self.version += 1;
        let sections = self.lines.iter().zip(self.local(plan, config));
        let sections = sections.map(|(line, content)| OfferedSection {
            media: line.section.media.clone(),
            protocol: line.section.protocol.clone(),
            mid: line.section.mid.clone(),
            formats: line.section.formats.clone(),
            content,
        });
        let transport = LocalTransport { setup: sdp::Setup::ActPass, ..self.own.clone() };
        let offer = Offer {
            session_id: self.session_id,
            version: self.version,
            transport,
            sections: sections.collect(),
            allows_mixed: self.allows_mixed,
        };
        offer.write()
    }

    /// The number of the last description of this side, as an offer.
    pub(super) fn offer_id(&self) -> u32 {
        // Never 0, which names the newest.
        (self.version as u32).max(1)
    }

    /// The producers that are played.
    pub(super) fn played(&self) -> BTreeSet<ProducerId> {
        self.lines.iter().filter_map(|line| Some(line.play.as_ref()?.producer)).collect()
    }
}

impl Line {
    /// Whether the client can receive a track on it.
    pub(super) fn can_play(&self) -> bool {
        self.is_accepted && self.kind.is_some() && self.section.direction.receives()
    }

    /// As this side describes it.
    fn local(&self, plan: &Plan, config: &MediaConfig) -> LocalSection {
        if self.is_accepted && self.section.kind == MediaKind::Application {
            return LocalSection::Data(local_data());
        }
        let (true, Some(kind)) = (self.is_accepted, self.kind) else { return LocalSection::Rejected };
        // A player knows no later description, so a section without a track sends from the start.
        let is_player = matches!(plan, Plan::Fill { .. });
        let mut playing = play(&self.section, kind, config).map(|playing| playing.media);
        let published = self.publish.as_ref().map(|publish| publish.media.clone());
        if !is_player
            && !self.is_guess
            && let Some(playing) = &mut playing
        {
            self.keep_needed(&mut playing.codecs);
        }
        let sends = self.section.direction.receives() && (self.play.is_some() || is_player);
        let direction = match (published.is_some(), sends && playing.is_some()) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::RecvOnly,
            (false, true) => Direction::SendOnly,
            (false, false) => Direction::Inactive,
        };
        let media = match (published, playing) {
            (Some(published), Some(playing)) if direction == Direction::SendRecv => {
                together(published, playing)
            }
            (Some(published), _) => published,
            (None, Some(playing)) => playing,
            (None, None) => return LocalSection::Rejected,
        };
        let sent = match &self.play {
            _ if !direction.sends() => None,
            _ if is_player => {
                let (stream, track) = (PLAYED_STREAM.to_owned(), self.section.mid.clone());
                let is_named = matches!(plan, Plan::Fill { names_ssrcs: true, .. });
                let play = self.play.as_ref().filter(|_| is_named);
                let ssrcs = play.map(|play| play.ssrcs.clone()).unwrap_or_default();
                Some((Msid { stream, track }, ssrcs))
            }
            Some(play) => Some((play.msid.clone(), play.ssrcs.clone())),
            None => None,
        };
        LocalSection::Media(LocalMedia { direction, sent, ..media })
    }
}

impl Line {
    /// Leaves the formats of the track, or the first one without a track: descriptions with forty sections have to
    /// fit into a message.
    fn keep_needed(&self, codecs: &mut Vec<LocalCodec>) {
        let needed = match &self.play {
            Some(play) if play.payload_types.is_empty() => return,
            Some(play) => play.payload_types.clone(),
            None => codecs.iter().take(1).map(|codec| codec.map.payload_type).collect(),
        };
        codecs.retain(|codec| needed.contains(&codec.map.payload_type));
    }
}

/// The stream of a player, for all its tracks: a page shows them together.
const PLAYED_STREAM: &str = "room";

/// A section in both directions: the codecs that the client is to send come first.
fn together(published: LocalMedia, playing: LocalMedia) -> LocalMedia {
    let is_new = |codec: &LocalCodec| {
        published.codecs.iter().all(|known| known.map.payload_type != codec.map.payload_type)
    };
    let codecs: Vec<_> = playing.codecs.into_iter().filter(is_new).collect();
    let extmaps: Vec<_> = playing
        .extmaps
        .into_iter()
        .filter(|extmap| published.extmaps.iter().all(|known| known.id != extmap.id))
        .collect();
    let mut media = published;
    media.codecs.extend(codecs);
    media.extmaps.extend(extmaps);
    media
}
