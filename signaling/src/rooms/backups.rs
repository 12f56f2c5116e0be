//! A second codec for those who have not the first. A publisher sends its camera in one codec; when somebody comes who cannot play that, it is
//! asked to send it in another as well, and everybody who consumes the first gets what they can play. A backup is nobody's source of its
//! own: others do not hear of it.

use super::state::State;
use crate::limits;
use crate::ortc::media_config::MediaConfig;
use crate::ortc::{Consumable, consume};
use crate::proto::{BackupWanted, ErrorCode, RtpCapabilities, signal::Payload};
use crate::request_error::RequestError;
use control::{Codec, Kind, ProducerId};
use std::time::Instant;

impl State {
    /// What a client with these capabilities gets when it asks for a producer: it, or its backup. Where there is none but could be, its maker is asked.
    pub(super) fn choose(
        &mut self,
        asked: ProducerId,
        capabilities: &RtpCapabilities,
        media: &MediaConfig,
        now: Instant,
    ) -> Result<(ProducerId, Consumable), RequestError> {
        let first = &self.producers[&asked];
        let failure = match Consumable::new(first.kind, &first.produced, capabilities) {
            Ok(consumable) => return Ok((asked, consumable)),
            Err(failure) => failure,
        };
        if failure.code != ErrorCode::CannotConsume || first.kind != Kind::Video || first.backup_for.is_some()
        {
            return Err(failure);
        }
        for backup in self.backups_of(asked) {
            let producer = &self.producers[&backup];
            if let (true, Ok(consumable)) = (
                producer.created_by.is_some(),
                Consumable::new(producer.kind, &producer.produced, capabilities),
            ) {
                return Ok((backup, consumable));
            }
        }
        let Some(codec) = consume::first_playable(media, capabilities) else { return Err(failure) };
        if self.ask_for_backup(asked, codec, now) {
            Err(failure.retry_after(limits::BACKUP_PAUSE))
        } else {
            Err(failure)
        }
    }

    /// Whether a backup in this codec may still come; asks for it, unless that was done.
    fn ask_for_backup(&mut self, id: ProducerId, codec: Codec, now: Instant) -> bool {
        let Some(producer) = self.producers.get_mut(&id) else { return false };
        let asked = producer.backups_asked.iter().find(|(asked, _)| *asked == codec).map(|(_, at)| now - *at);
        if asked.is_some_and(|ago| ago < limits::BACKUP_ASK_AGAIN) {
            return asked.is_some_and(|ago| ago < limits::BACKUP_WAIT);
        }
        producer.backups_asked.retain(|(asked, _)| *asked != codec);
        producer.backups_asked.push((codec, now));
        let peer = producer.peer;
        let mime_type = consume::mime_type(codec).into();
        self.send(peer, Payload::BackupWanted(BackupWanted { producer_id: id.to_string(), mime_type }));
        true
    }

    /// The backups of a producer: at most a peer's few producers are looked at.
    pub(super) fn backups_of(&self, id: ProducerId) -> Vec<ProducerId> {
        let Some(peer) = self.producers.get(&id).map(|producer| producer.peer) else { return Vec::new() };
        let is_backup = |other: &ProducerId| {
            self.producers.get(other).is_some_and(|producer| producer.backup_for == Some(id))
        };
        self.producers_of(peer).filter(is_backup).collect()
    }
}
