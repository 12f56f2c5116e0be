//! Puts the tracks of a room on the sections of a client.

use super::apply::Opened;
use super::playable::Playable;
use crate::limits;
use crate::ortc::Numbers;
use crate::proto::ErrorCode;
use crate::rooms::Rooms;
use crate::rooms::negotiator::{Line, Negotiation, Plan};
use crate::rooms::object::Object;
use crate::rooms::state::PeerId;
use crate::sdp::{kind as kind_of, play, template};
use control::{Kind, ProducerId};
use sdp::Section;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The result of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Filled {
    /// Whether a line has changed.
    pub(super) has_changed: bool,
    /// When a track may become playable that is not yet.
    pub(super) retry_after: Option<Duration>,
}

impl Rooms {
    /// Ends what is not playable any more, and plays what is new. `may_add`: with further sections, for an offer
    /// of this side.
    pub(super) async fn fill(
        &self,
        peer: PeerId,
        plan: &Plan,
        negotiation: &mut Negotiation,
        may_add: bool,
        opened: &mut Opened<'_>,
    ) -> Filled {
        let playable = {
            let state = self.state();
            let playable = state.playable(peer, plan);
            let has_changed = state.drop_ended(&mut negotiation.lines);
            let known: BTreeSet<ProducerId> = playable.iter().map(|track| track.producer).collect();
            negotiation.refused.retain(|producer| known.contains(producer));
            (playable, known, has_changed)
        };
        let (playable, known, has_changed) = playable;
        let line_count = negotiation.lines.len();
        let mut filled = Filled { has_changed, retry_after: None };
        for line in &mut negotiation.lines {
            if let Some(ended) = line.play.take_if(|play| !known.contains(&play.producer)) {
                self.close(Object::Consumer(ended.consumer));
                filled.has_changed = true;
            }
        }
        let mut tracks = playable;
        tracks.retain(|track| !negotiation.refused.contains(&track.producer));
        if matches!(plan, Plan::Fill { .. }) {
            tracks.sort_by_key(|track| !track.is_featured);
            for kind in [Kind::Audio, Kind::Video] {
                let featured = tracks.iter().find(|track| track.kind == kind && track.is_featured);
                featured.into_iter().for_each(|track| self.feature(negotiation, *track, &mut filled));
            }
        }
        // In the order of the peers: each has audio and video before the next one.
        let played = negotiation.played();
        for track in tracks.iter().filter(|track| !played.contains(&track.producer)) {
            let Some(index) = self.free_line(negotiation, plan, track.kind, may_add) else { continue };
            self.put(peer, negotiation, index, track.producer, opened, &mut filled).await;
            // A section that was added for it is of no use if it cannot be played.
            if negotiation.lines.len() > line_count
                && negotiation.lines.last().is_some_and(|line| line.play.is_none())
            {
                negotiation.lines.pop();
            }
        }
        filled
    }

    /// Frees the first section of a player if another track is to be on it, and the section on which that track
    /// is. Nothing happens while the player cannot decode that track: then its publisher is asked for a backup.
    fn feature(&self, negotiation: &mut Negotiation, featured: Playable, filled: &mut Filled) {
        let kind = featured.kind;
        let lines = negotiation.lines.iter_mut().filter(|line| line.kind == Some(kind) && line.can_play());
        let mut lines: Vec<&mut Line> = lines.collect();
        let is_on = |line: &Line| line.play.as_ref().is_some_and(|play| play.producer == featured.producer);
        let Some(first) = lines.first().filter(|first| !is_on(first)) else { return };
        let Some(playing) = play(&first.section, kind, &self.media) else { return };
        let now = Instant::now();
        let capabilities = &playing.capabilities;
        let chosen =
            self.state().choose(featured.producer, capabilities, Numbers::Receiver, &self.media, now);
        if let Err(error) = chosen {
            filled.retry_after = filled.retry_after.into_iter().chain(error.retry_after).min();
            return;
        }
        for (index, line) in lines.iter_mut().enumerate() {
            if (index == 0 || is_on(line))
                && let Some(ended) = line.play.take()
            {
                self.close(Object::Consumer(ended.consumer));
                filled.has_changed = true;
            }
        }
    }

    /// A section for one more track.
    fn free_line(
        &self,
        negotiation: &mut Negotiation,
        plan: &Plan,
        kind: Kind,
        may_add: bool,
    ) -> Option<usize> {
        let is_player = matches!(plan, Plan::Fill { .. });
        let is_free = |line: &Line| {
            line.kind == Some(kind) && line.can_play() && line.play.is_none() && (line.is_free || is_player)
        };
        if let Some(index) = negotiation.lines.iter().position(is_free) {
            return Some(index);
        }
        if !may_add || negotiation.lines.len() >= limits::NEGOTIATED_SECTIONS_MAX {
            return None;
        }
        let known: Vec<&Section> =
            negotiation.lines.iter().filter(|line| line.is_accepted).map(|line| &*line.section).collect();
        let is_guess = known.iter().all(|section| kind_of(section) != Some(kind));
        let is_used = |mid: &String| negotiation.lines.iter().any(|line| line.section.mid == *mid);
        let mid =
            (0..=negotiation.lines.len()).map(|number| format!("s{number}")).find(|mid| !is_used(mid))?;
        let section = template(mid, kind, &known, &self.media);
        negotiation.lines.push(Line {
            section: Arc::new(section),
            kind: Some(kind),
            is_accepted: true,
            is_assumed: true,
            is_guess,
            publish: None,
            play: None,
            held: None,
            is_free: true,
        });
        Some(negotiation.lines.len() - 1)
    }

    async fn put(
        &self,
        peer: PeerId,
        negotiation: &mut Negotiation,
        index: usize,
        producer: ProducerId,
        opened: &mut Opened<'_>,
        filled: &mut Filled,
    ) {
        let (transport, line) = (negotiation.transport, &negotiation.lines[index]);
        let playing = line.kind.and_then(|kind| play(&line.section, kind, &self.media));
        let Some(playing) = playing else { return };
        let mid = line.section.mid.clone();
        match self.play_on_line(peer, transport, producer, &mid, playing, opened).await {
            Ok(played) => {
                negotiation.lines[index].play = Some(played);
                filled.has_changed = true;
            }
            Err(error) => {
                tracing::debug!(peerId = %peer, producer = %producer, %error, "a track cannot be played");
                filled.retry_after = filled.retry_after.into_iter().chain(error.retry_after).min();
                // Permissions and limits may change; a client that is notified of a change looks again.
                let may_change = matches!(error.code, ErrorCode::TokenPermission | ErrorCode::Limit);
                if error.retry_after.is_none() && !may_change {
                    negotiation.refused.insert(producer);
                }
            }
        }
    }
}
