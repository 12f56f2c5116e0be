//! What is said of an object beside what it is made of: what a better picture means, how long to hold frames back, within what rates to stay.

use super::Rooms;
use super::lookup::own_transport;
use super::state::PeerId;
use crate::limits;
use crate::media_node::Worker;
use crate::proto::SetBitrates;
use crate::request_error::RequestError;
use control::{Command, Consume, ContentHint, ExtensionKind, Kind, ProducerId};

impl Rooms {
    /// Tells the engine what a better picture of a new producer means, where that is not what it takes for granted.
    pub(super) fn send_content_hint(&self, worker: Worker, producer: ProducerId, hint: ContentHint) {
        if hint != ContentHint::default() {
            self.node.tell(worker, Command::SetContentHint { producer, hint });
        }
    }

    /// Tells the engine of a new consumer's ways, before the client resumes it.
    pub(super) fn send_consumer_hints(
        &self,
        worker: Worker,
        kind: Kind,
        consume: &Consume,
        ignore_dtx: bool,
    ) {
        let consumer = consume.consumer;
        if ignore_dtx && kind == Kind::Audio {
            self.node.tell(worker, Command::SetIgnoreDtx { consumer, ignore: true });
        }
        let takes_delay =
            consume.extensions.iter().any(|extension| extension.kind == ExtensionKind::PlayoutDelay);
        if let Some(delay) = self.media.playout_delay.filter(|_| takes_delay) {
            self.node.tell(worker, Command::SetPlayoutDelay { consumer, delay: Some(delay) });
        }
    }

    pub(super) async fn set_bitrates(&self, peer: PeerId, set: SetBitrates) -> Result<(), RequestError> {
        let SetBitrates { transport_id, max_incoming_bitrate, max_outgoing_bitrate } = set;
        for (name, bitrate) in
            [("maxIncomingBitrate", max_incoming_bitrate), ("maxOutgoingBitrate", max_outgoing_bitrate)]
        {
            if let Some(bitrate) = bitrate.filter(|bitrate| *bitrate < limits::BITRATE_MIN) {
                let text = format!("{name} must be at least {}, not {bitrate}", limits::BITRATE_MIN);
                return Err(RequestError::bad(text));
            }
        }
        let (transport, worker) = own_transport(&self.state(), peer, &transport_id)?;
        let command = Command::SetBitrates {
            transport,
            max_incoming_bps: max_incoming_bitrate,
            min_outgoing_bps: None,
            max_outgoing_bps: max_outgoing_bitrate,
        };
        self.node.ask(worker, command).await?;
        Ok(())
    }
}

/// What the client says with `content_hint`; where it says nothing, what its source suggests.
pub(super) fn content_hint(hint: &str, source: &str) -> Result<ContentHint, RequestError> {
    match hint {
        "" if source.starts_with("screen") => Ok(ContentHint::Detail),
        "" | "motion" => Ok(ContentHint::Motion),
        "detail" | "text" => Ok(ContentHint::Detail),
        _ => Err(RequestError::bad(format!(
            "contentHint must be empty, \"motion\", \"detail\" or \"text\", not {hint:?}"
        ))),
    }
}
