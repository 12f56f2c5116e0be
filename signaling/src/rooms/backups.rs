//! Backups: a track in a second codec. A publisher sends its camera in one codec. When a client that cannot
//! decode it wants to consume it, the publisher is asked for the same track in another codec, and each
//! consumer gets the producer that it can decode. Other peers are not notified of backups.

use super::state::State;
use crate::limits;
use crate::ortc::media_config::MediaConfig;
use crate::ortc::{Consumable, Numbers, consume};
use crate::proto::{BackupWanted, ErrorCode, RtpCapabilities, signal::Payload};
use crate::request_error::RequestError;
use control::{Codec, Kind, ProducerId};
use std::time::Instant;

impl State {
    /// The producer for a client with these capabilities: the requested one, or a backup. If there is no
    /// suitable backup, the publisher is asked for one.
    pub(super) fn choose(
        &mut self,
        requested: ProducerId,
        capabilities: &RtpCapabilities,
        numbers: Numbers,
        media: &MediaConfig,
        now: Instant,
    ) -> Result<(ProducerId, Consumable), RequestError> {
        let first = &self.producers[&requested];
        let error = match Consumable::with_numbers(first.kind, &first.produced, capabilities, numbers) {
            Ok(consumable) => return Ok((requested, consumable)),
            Err(error) => error,
        };
        if error.code != ErrorCode::CannotConsume || first.kind != Kind::Video || first.backup_for.is_some() {
            return Err(error);
        }
        for backup in self.backups_of(requested) {
            let producer = &self.producers[&backup];
            if let (true, Ok(consumable)) = (
                producer.created_by.is_some(),
                Consumable::with_numbers(producer.kind, &producer.produced, capabilities, numbers),
            ) {
                return Ok((backup, consumable));
            }
        }
        let Some(codec) = consume::first_playable(media, capabilities) else { return Err(error) };
        if self.ask_for_backup(requested, codec, now) {
            Err(error.retry_after(limits::BACKUP_PAUSE))
        } else {
            Err(error)
        }
    }

    /// Asks the publisher for a backup, unless it was asked before. Returns whether the backup is still
    /// expected.
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

    /// The backups of a producer. Looks only at the producers of one peer.
    pub(super) fn backups_of(&self, id: ProducerId) -> Vec<ProducerId> {
        let Some(peer) = self.producers.get(&id).map(|producer| producer.peer) else { return Vec::new() };
        let is_backup = |other: &ProducerId| {
            self.producers.get(other).is_some_and(|producer| producer.backup_for == Some(id))
        };
        self.producers_of(peer).filter(is_backup).collect()
    }
}
