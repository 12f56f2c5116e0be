//! Descriptions of a client: its offers, and its answers to the offers of this side.

use super::apply::Opened;
use super::data::NOT_BUNDLED;
use crate::auth::token::check_source;
use crate::limits;
use crate::proto::{self, ErrorCode, OfferedTrack, RtpEncodingParameters, RtpParameters, signal::Payload};
use crate::request_error::RequestError;
use crate::rooms::lookup::{check_publish, not_joined};
use crate::rooms::negotiator::{Line, Negotiation, Negotiator, Plan, Remote};
use crate::rooms::object::Object;
use crate::rooms::state::PeerId;
use crate::rooms::{Rooms, random_id};
use crate::sdp::{CheckedOffer, Publishing, check_offer, kind, parse, peer_dtls, play, publish};
use control::Kind;
use sdp::{Answer, Candidate, Description, MediaKind, Section};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The answer to an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The answer.
    pub sdp: String,
    /// The ICE user name fragment of this side: it identifies the ICE session.
    pub ice_ufrag: String,
    /// Number of tracks that are played.
    pub played: usize,
    /// When a further track may become playable.
    pub retry_after: Option<Duration>,
}

impl Rooms {
    /// `Offer` of the SDP flow.
    pub(in crate::rooms) async fn on_offer(
        self: &Arc<Self>,
        peer: PeerId,
        offer: proto::Offer,
    ) -> Result<Payload, RequestError> {
        let negotiator = self.negotiator(peer, Plan::Everything)?;
        let Accepted { sdp, ice_ufrag, .. } =
            self.accept_offer(peer, &negotiator, &offer.sdp, &offer.tracks).await?;
        negotiator.wake();
        Ok(Payload::Answer(proto::Answer { sdp, ice_ufrag: vec![ice_ufrag], ..Default::default() }))
    }

    /// `Candidate` of the SDP flow. This side is an ICE-lite agent: it learns the addresses of the client from its
    /// checks (RFC 8445 §7.3.1.3), and never resolves a name.
    pub(in crate::rooms) fn on_candidate(
        &self,
        peer: PeerId,
        candidate: &proto::Candidate,
    ) -> Result<(), RequestError> {
        let known = self.state().peers.get(&peer).and_then(|peer| peer.negotiator.clone());
        known.ok_or_else(no_offer)?;
        if !candidate.candidate.is_empty() && !is_candidate(&candidate.candidate) {
            return Err(RequestError::bad("candidate must be empty or a candidate as in RFC 8839 §5.1"));
        }
        Ok(())
    }

    /// The negotiation of a peer; without one, a new one by this plan.
    pub(in crate::rooms) fn negotiator(
        self: &Arc<Self>,
        peer: PeerId,
        plan: Plan,
    ) -> Result<Arc<Negotiator>, RequestError> {
        let mut state = self.state();
        let entry = state.peers.get_mut(&peer).ok_or_else(not_joined)?;
        if let Some(known) = &entry.negotiator {
            return Ok(known.clone());
        }
        let negotiator = Negotiator::new(plan);
        entry.negotiator = Some(negotiator.clone());
        drop(state);
        self.follow_room(peer, negotiator.clone());
        Ok(negotiator)
    }

    /// Carries out an offer: all of it, or nothing.
    pub(in crate::rooms) async fn accept_offer(
        &self,
        peer: PeerId,
        negotiator: &Negotiator,
        sdp: &str,
        tracks: &[OfferedTrack],
    ) -> Result<Accepted, RequestError> {
        negotiator.count()?;
        let offer = check_offer(parse(sdp)?, negotiator.plan == Plan::Everything)?;
        let (dtls, setup) = peer_dtls(offer.tagged())?;
        let mut current = negotiator.current.lock().await;
        let mut opened = Opened::new(self);
        let is_open = |known: &&Negotiation| self.state().transports.contains_key(&known.transport);
        let known = current.as_ref().filter(is_open).filter(|known| known.is_continued_by(&offer, &dtls));
        let former = current.as_ref().filter(|_| known.is_none()).map(|former| former.transport);
        let remote = Remote {
            session_id: offer.description.session_id.clone(),
            ice_ufrag: offer.tagged().ice_ufrag.clone().unwrap_or_default(),
            dtls: dtls.clone(),
        };
        let mut next = match known.cloned() {
            Some(mut known) => {
                self.withdraw_offer(&mut known);
                // An offer that failed may have closed a part of them.
                self.state().drop_ended(&mut known.lines);
                if known.remote.ice_ufrag != remote.ice_ufrag {
                    self.restart_transport(peer, &mut known).await?;
                }
                known.remote = remote;
                known
            }
            None => {
                let (transport, own) = self.open_transport(peer, dtls, setup, &mut opened).await?;
                Negotiation {
                    session_id: random_id() >> 2,
                    version: 0,
                    remote,
                    transport,
                    own,
                    allows_mixed: false,
                    lines: Vec::new(),
                    before_offer: None,
                    offer_again: (Instant::now(), limits::OFFER_PAUSE),
                    is_offer_due: false,
                    refused: Default::default(),
                }
            }
        };
        next.allows_mixed = offer.description.sections.iter().any(|section| section.allows_mixed);
        self.take_sections(peer, &negotiator.plan, &mut next, &offer, tracks, &mut opened).await?;
        let filled = self.fill(peer, &negotiator.plan, &mut next, false, &mut opened).await;
        next.version += 1;
        let answer = Answer {
            session_id: next.session_id,
            version: next.version,
            transport: next.own.clone(),
            sections: next.local(&negotiator.plan, &self.media),
        };
        let sdp = answer.write(&offer.description).map_err(|error| {
            tracing::error!(peerId = %peer, %error, "an answer does not fit its offer");
            RequestError::new(ErrorCode::Internal, "the answer does not fit the offer; see the server's log")
        })?;
        self.resume_lines(peer, &mut next.lines).await;
        next.lines.iter_mut().for_each(|line| line.is_free = line.play.is_none());
        let accepted = Accepted {
            sdp,
            ice_ufrag: next.own.ice_ufrag.clone(),
            played: next.played().len(),
            retry_after: filled.retry_after,
        };
        opened.keep();
        former.into_iter().for_each(|former| self.close(Object::Transport(former)));
        next.is_offer_due = false;
        self.store_negotiation(&negotiator.plan, &next);
        *current = Some(next);
        drop(current);
        if let Some(pause) = filled.retry_after {
            negotiator.wake_after(pause);
        }
        Ok(accepted)
    }

    /// Takes back an offer of this side without an answer: the client has sent one of its own (RFC 8829 §4.1.10.2).
    fn withdraw_offer(&self, negotiation: &mut Negotiation) {
        let Some(before) = negotiation.before_offer.take() else { return };
        let offered = std::mem::replace(&mut negotiation.lines, before);
        let kept: Vec<_> =
            negotiation.lines.iter().filter_map(|line| Some(line.play.as_ref()?.consumer)).collect();
        let added = offered.iter().filter_map(|line| Some(line.play.as_ref()?.consumer));
        for consumer in added.filter(|consumer| !kept.contains(consumer)) {
            self.close(Object::Consumer(consumer));
        }
        self.state().drop_ended(&mut negotiation.lines);
    }

    /// Brings the lines into line with the sections of an offer.
    async fn take_sections(
        &self,
        peer: PeerId,
        plan: &Plan,
        negotiation: &mut Negotiation,
        offer: &CheckedOffer,
        tracks: &[OfferedTrack],
        opened: &mut Opened<'_>,
    ) -> Result<(), RequestError> {
        let sections = &offer.description.sections;
        if sections.len() > limits::NEGOTIATED_SECTIONS_MAX {
            let text = format!("a description has at most {} sections", limits::NEGOTIATED_SECTIONS_MAX);
            return Err(RequestError::limit(text));
        }
        if sections.len() < negotiation.lines.len() {
            return Err(RequestError::bad(
                "sdp: a later offer has at least as many sections as the last description (RFC 8829 §5.2.2)",
            ));
        }
        self.check_tracks(peer, plan, offer, tracks)?;
        let mut first_refusal = None;
        for (index, section) in sections.iter().enumerate() {
            let kind = kind(section);
            let is_known = negotiation.lines.get(index).is_some_and(|line| line.section.mid == section.mid);
            let is_known = is_known && negotiation.lines[index].section.media == section.media;
            if let Some(line) = negotiation.lines.get_mut(index).filter(|_| !is_known) {
                if line.is_accepted {
                    let text = format!(
                        "sdp: section {index} was {} with mid {} in the last description, and now is {} with mid {}",
                        line.section.media, line.section.mid, section.media, section.mid
                    );
                    return Err(RequestError::bad(text));
                }
                // A rejected section is used again (RFC 8829 §5.2.2).
                *line = Line::new(section, kind);
            }
            if index == negotiation.lines.len() {
                negotiation.lines.push(Line::new(section, kind));
            }
            let refusal =
                self.take_section(peer, plan, negotiation, index, section, offer, tracks, opened).await?;
            first_refusal = first_refusal.or(refusal);
        }
        match first_refusal {
            // RFC 9725 §4.4.3: an encoder gets all its tracks accepted, or none.
            Some(refusal) if *plan == Plan::Nothing => Err(refusal),
            Some(refusal) if !negotiation.lines.iter().any(|line| line.is_accepted) => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Checks all tracks of an offer, before anything is closed or opened for it.
    fn check_tracks(
        &self,
        peer: PeerId,
        plan: &Plan,
        offer: &CheckedOffer,
        tracks: &[OfferedTrack],
    ) -> Result<(), RequestError> {
        if matches!(plan, Plan::Fill { .. }) {
            return Ok(());
        }
        let mut count = 0;
        let mut counts = [0; 2];
        for (index, section) in offer.description.sections.iter().enumerate() {
            let Some(kind) = kind(section).filter(|_| section.direction.sends()) else { continue };
            let number = &mut counts[usize::from(kind == Kind::Video)];
            let source = source(tracks, section, kind, *number)?;
            *number += 1;
            if !offer.is_acceptable(index) || publish(section, kind, &self.media).is_err() {
                continue;
            }
            check_source(&source).map_err(|wanted| RequestError::bad(format!("source must be {wanted}")))?;
            let state = self.state();
            let owner = state.peers.get(&peer).ok_or_else(not_joined)?;
            check_publish(&owner.permissions, &source)?;
            if let Some(room) = state.rooms.get(&owner.room) {
                room.policy.check_publish(&owner.permissions)?;
            }
            count += 1;
        }
        if count > limits::PRODUCERS_PER_PEER_MAX {
            let text = format!("a peer has at most {} producers", limits::PRODUCERS_PER_PEER_MAX);
            return Err(RequestError::limit(text));
        }
        Ok(())
    }

    /// Brings a line into line with its section. Returns why the section is rejected, if it is.
    #[expect(clippy::too_many_arguments, reason = "all of them concern one section")]
    async fn take_section(
        &self,
        peer: PeerId,
        plan: &Plan,
        negotiation: &mut Negotiation,
        index: usize,
        section: &Section,
        offer: &CheckedOffer,
        tracks: &[OfferedTrack],
        opened: &mut Opened<'_>,
    ) -> Result<Option<RequestError>, RequestError> {
        if section.kind == MediaKind::Application {
            return self.take_application(negotiation, index, section, offer).await;
        }
        let transport = negotiation.transport;
        let is_sent =
            |line: &&Line| line.kind == kind(section) && line.section.direction.sends() && !line.is_assumed;
        let number = negotiation.lines[..index].iter().filter(is_sent).count();
        let line = &mut negotiation.lines[index];
        line.section = Arc::new(section.clone());
        (line.is_assumed, line.is_guess) = (false, false);
        let usable = kind(section).filter(|_| offer.is_acceptable(index));
        let is_published = section.direction.sends() && matches!(plan, Plan::Everything | Plan::Nothing);
        let publishing = usable.filter(|_| is_published).map(|kind| publish(section, kind, &self.media));
        let publishing = publishing.map(|found| found.map(|publishing| with_layers(publishing, tracks)));
        let can_play = !matches!(plan, Plan::Nothing)
            && usable.is_some_and(|kind| play(section, kind, &self.media).is_some());
        let (publishing, refusal) = match publishing {
            Some(Ok(publishing)) => (Some(publishing), None),
            Some(Err(refusal)) => (None, Some(refusal)),
            None => (None, None),
        };
        let is_same = match (&line.publish, &publishing) {
            // After a restart of this process only the media is known.
            (Some(known), Some(new)) if known.parameters == RtpParameters::default() => {
                known.media == new.media
            }
            (Some(known), Some(new)) => known.parameters == new.parameters,
            (known, new) => known.is_none() && new.is_none(),
        };
        if let Some(ended) = line.publish.take_if(|_| !is_same) {
            self.close(Object::Producer(ended.producer));
        }
        if let Some(ended) = line.play.take_if(|_| !section.direction.receives() || usable.is_none()) {
            self.close(Object::Consumer(ended.consumer));
            line.held = usable.is_some().then_some(ended.producer);
            negotiation.refused.insert(ended.producer);
        } else if section.direction.receives()
            && let Some(held) = line.held.take()
        {
            negotiation.refused.remove(&held);
        }
        let line = &mut negotiation.lines[index];
        if let (false, Some(kind), Some(publishing)) = (is_same, usable, publishing) {
            let source = source(tracks, section, kind, number)?;
            line.publish = Some(self.publish_line(peer, transport, kind, source, publishing, opened).await?);
        }
        let has_format = can_play || line.publish.is_some();
        // A section that is inactive now, and could be used later.
        let is_idle = usable.is_some_and(|kind| {
            !section.direction.sends()
                && !section.direction.receives()
                && play(section, kind, &self.media).is_some()
        });
        line.is_accepted = usable.is_some() && (has_format || is_idle);
        if line.is_accepted || kind(section).is_none() || section.is_rejected() {
            return Ok(None);
        }
        let text = match plan {
            _ if usable.is_none() => NOT_BUNDLED,
            Plan::Nothing => "the section does not send media; an encoder sends",
            Plan::Fill { .. } => "the section does not receive media that this server has; a player receives",
            Plan::Everything => "the section has no format that this server has",
        };
        let text = format!("sdp: mid {}: {text}", section.mid);
        Ok(Some(refusal.unwrap_or_else(|| RequestError::new(ErrorCode::UnsupportedCodec, text))))
    }

    /// `Answer` of the SDP flow: to the last offer of this side. If it is refused, the offer is made again.
    pub(in crate::rooms) async fn on_answer(
        &self,
        peer: PeerId,
        answer: &proto::Answer,
    ) -> Result<(), RequestError> {
        let known = self.state().peers.get(&peer).and_then(|peer| peer.negotiator.clone());
        let negotiator = known.ok_or_else(no_offer)?;
        let mut current = negotiator.current.lock().await;
        let newest = current.as_ref().map_or(0, Negotiation::offer_id);
        if answer.offer_id != 0 && answer.offer_id != newest {
            // To an offer that was replaced while the answer was on its way.
            return Ok(());
        }
        let Some(negotiation) = current.as_mut().filter(|known| known.before_offer.is_some()) else {
            return Err(no_offer());
        };
        let answered = parse(&answer.sdp).and_then(|answer| negotiation.check_answer(answer));
        let answer = match answered {
            Ok(answer) => answer,
            Err(error) => {
                negotiation.offer_again.0 = Instant::now() + limits::REFUSED_ANSWER_PAUSE;
                negotiator.wake_after(limits::REFUSED_ANSWER_PAUSE);
                return Err(error);
            }
        };
        negotiation.before_offer = None;
        if negotiation.close_application(&answer) {
            self.end_data(negotiation.transport);
        }
        for (section, line) in answer.sections.iter().zip(&mut negotiation.lines) {
            let takes = !section.is_rejected() && section.direction.receives();
            // The section had no track in this description, so the next one can have another.
            line.is_free = line.play.is_none();
            let was_guess = std::mem::take(&mut line.is_guess);
            if std::mem::take(&mut line.is_assumed) {
                line.is_accepted = !section.is_rejected();
                line.section = match was_guess {
                    true => Arc::new(section.clone()),
                    // The other formats of the client were not offered; of the extensions, it has those of its answer.
                    false => {
                        Arc::new(Section { extmaps: section.extmaps.clone(), ..(*line.section).clone() })
                    }
                };
            }
            // After a guess, the track may have none of the codecs of the answer.
            let can_play = line.kind.is_some_and(|kind| play(&line.section, kind, &self.media).is_some());
            if let Some(refused) = line.play.take_if(|_| !takes || !can_play) {
                self.close(Object::Consumer(refused.consumer));
                negotiation.refused.insert(refused.producer);
                // The client may receive again later.
                line.held = (!section.is_rejected() && can_play).then_some(refused.producer);
                line.section = Arc::new(Section { direction: section.direction, ..(*line.section).clone() });
                line.is_free = true;
            }
        }
        self.resume_lines(peer, &mut negotiation.lines).await;
        self.store_negotiation(&negotiator.plan, negotiation);
        drop(current);
        negotiator.wake();
        Ok(())
    }
}

impl Negotiation {
    /// Whether an answer rejects the accepted section of data channels, which is closed then.
    fn close_application(&mut self, answer: &Description) -> bool {
        let mut lines = self.lines.iter_mut().zip(&answer.sections);
        let closed = lines.find(|(line, section)| {
            line.is_accepted && line.section.kind == MediaKind::Application && section.is_rejected()
        });
        closed.map(|(line, _)| line.is_accepted = false).is_some()
    }

    /// Checks that an answer fits the last offer of this side.
    fn check_answer(&self, answer: Description) -> Result<Description, RequestError> {
        let fits = answer.sections.len() == self.lines.len()
            && answer.sections.iter().zip(&self.lines).all(|(section, line)| section.mid == line.section.mid);
        if fits {
            return Ok(answer);
        }
        Err(RequestError::bad("sdp: an answer has the sections of the offer, in its order (RFC 3264 §6)"))
    }
}

impl Line {
    /// A section of the client.
    fn new(section: &Section, kind: Option<Kind>) -> Self {
        Self {
            section: Arc::new(section.clone()),
            kind,
            is_accepted: false,
            is_assumed: false,
            is_guess: false,
            publish: None,
            play: None,
            held: None,
            is_free: true,
        }
    }
}

/// The layers that a client names for a track.
fn with_layers(mut publishing: Publishing, tracks: &[OfferedTrack]) -> Publishing {
    let parameters = &mut publishing.parameters;
    let named = tracks.iter().find(|track| Some(&track.mid) == parameters.mid.as_ref());
    let Some(mode) = named.map(|track| &track.scalability_mode).filter(|mode| !mode.is_empty()) else {
        return publishing;
    };
    if parameters.encodings.is_empty() {
        parameters.encodings.push(RtpEncodingParameters::default());
    }
    for encoding in &mut parameters.encodings {
        encoding.scalability_mode = Some(mode.clone());
    }
    publishing
}

/// The source of a track: as the client names it, or by its kind.
fn source(
    tracks: &[OfferedTrack],
    section: &Section,
    kind: Kind,
    number: usize,
) -> Result<String, RequestError> {
    let named = tracks.iter().find(|track| track.mid == section.mid && !track.source.is_empty());
    if let Some(named) = named {
        return Ok(named.source.clone());
    }
    let name = match (kind, number) {
        (Kind::Audio, 0) => "microphone",
        (Kind::Audio, _) => "screen-audio",
        (Kind::Video, 0) => "camera",
        (Kind::Video, _) => "screen",
    };
    Ok(name.to_owned())
}

/// Whether a text has the form of a candidate; its transport or kind may be unknown here.
fn is_candidate(text: &str) -> bool {
    Candidate::parse(text).is_some() || text.split(' ').filter(|word| !word.is_empty()).nth(6) == Some("typ")
}

fn no_offer() -> RequestError {
    RequestError::new(ErrorCode::WrongState, "no offer waits for an answer or candidates")
}
