//! Active speakers, scores, and statistics of single objects: reports of the engine for clients.

use super::Rooms;
use super::lookup::{own_consumer, own_producer, own_transport, wrong_answer};
use super::room_key::RoomKey;
use super::state::{PeerId, State};
use crate::limits;
use crate::media_node::Worker;
use crate::proto::{
    self, ActiveSpeakers, GetStats, ScoreChanged, SpeakerVolume, get_stats, score_changed, signal::Payload,
};
use crate::request_error::RequestError;
use control::{
    AudioObserver, Command, ConsumerStats, DtlsState, Event, IceState, LayerStats, ProducerId, ProducerStats,
    RouterId, Scored, StatsItem, StatsOf, StreamStats, TransportStats, Volume,
};

impl Rooms {
    /// Makes the engine report active speakers, and forward only the loudest.
    pub(super) fn observe_audio(&self, worker: Worker, router: RouterId) {
        let observer = Some(AudioObserver {
            interval_ms: limits::SPEAKERS_INTERVAL_MS,
            threshold_dbov: limits::SPEAKERS_THRESHOLD_DBOV,
            loudest_forwarded: Some(limits::LOUDEST_FORWARDED),
        });
        self.node.tell(worker, Command::ObserveAudio { router, observer });
    }

    /// Statistics of an object of this peer only, because they contain addresses and losses.
    pub(super) async fn get_stats(&self, peer: PeerId, get: GetStats) -> Result<Payload, RequestError> {
        use get_stats::Of;
        let of = get
            .of
            .ok_or_else(|| RequestError::bad("GetStats needs a transport, a producer or a consumer"))?;
        let (of, worker) = {
            let state = self.state();
            match of {
                Of::TransportId(id) => {
                    let (id, worker) = own_transport(&state, peer, &id)?;
                    (StatsOf::Transport(id), worker)
                }
                Of::ProducerId(id) => {
                    let (id, worker) = own_producer(&state, peer, &id)?;
                    (StatsOf::Producer(id), worker)
                }
                Of::ConsumerId(id) => {
                    let (id, worker) = own_consumer(&state, peer, &id)?;
                    (StatsOf::Consumer(id), worker)
                }
            }
        };
        // A single object has one item. The `StatsEnd` that follows is dropped.
        match self.node.ask(worker, Command::Stats { of }).await? {
            Event::Stats { item, .. } => Ok(Payload::Stats(stats(item))),
            other => Err(wrong_answer(&other)),
        }
    }
}

impl State {
    /// Notifies a room of its active speakers, as reported by its home worker; other workers report the same.
    pub(super) fn on_speakers(
        &mut self,
        worker: Worker,
        router: RouterId,
        dominant: Option<ProducerId>,
        volumes: &[Volume],
    ) {
        // All producers in a report belong to the room of the router. Only if none of them exists any more,
        // all rooms are searched.
        let mut named = dominant.into_iter().chain(volumes.iter().map(|volume| volume.producer));
        let room = named.find_map(|producer| self.room_of(producer)).or_else(|| {
            let mut rooms = self.rooms.iter();
            rooms.find(|(_, room)| room.router.is_some_and(|known| known.id == router)).map(|(key, _)| key)
        });
        let Some(room) = room.cloned() else { return };
        let home = self.rooms.get(&room).and_then(|room| room.router);
        if home.is_none_or(|home| home.worker != worker) {
            return;
        }
        let speaking = dominant.and_then(|producer| Some(self.producers.get(&producer)?.peer));
        if let (Some(room), Some(speaking)) = (self.rooms.get_mut(&room), speaking)
            && room.dominant.replace(speaking) != Some(speaking)
        {
            // Players show the active speaker.
            let players = room.peers.iter().filter_map(|id| self.peers.get(id)?.negotiator.as_ref());
            players.for_each(|player| player.wake());
        }
        let owner = |producer: ProducerId| Some(self.producers.get(&producer)?.peer.to_string());
        let dominant = dominant.and_then(|producer| Some((owner(producer)?, producer.to_string())));
        let (dominant_peer_id, dominant_producer_id) = dominant.unwrap_or_default();
        let volumes = volumes.iter().filter_map(|volume| {
            Some(SpeakerVolume {
                peer_id: owner(volume.producer)?,
                producer_id: volume.producer.to_string(),
                dbov: volume.dbov.into(),
            })
        });
        let speakers = ActiveSpeakers { dominant_peer_id, dominant_producer_id, volumes: volumes.collect() };
        self.broadcast(&room, None, Payload::ActiveSpeakers(speakers));
    }

    /// Notifies the owner of the object.
    pub(super) fn on_score(&mut self, of: Scored, score: u8) {
        let (peer, of, encoding) = match of {
            Scored::Stream { producer, encoding } => {
                let Some(found) = self.producers.get(&producer) else { return };
                (found.peer, score_changed::Of::ProducerId(producer.to_string()), encoding)
            }
            Scored::Consumer { consumer } => {
                let Some(found) = self.consumers.get(&consumer) else { return };
                (found.peer, score_changed::Of::ConsumerId(consumer.to_string()), 0)
            }
        };
        let changed = ScoreChanged { of: Some(of), encoding: encoding.into(), score: score.into() };
        self.send(peer, Payload::ScoreChanged(changed));
    }

    fn room_of(&self, producer: ProducerId) -> Option<&RoomKey> {
        let peer = self.producers.get(&producer)?.peer;
        Some(&self.peers.get(&peer)?.room)
    }
}

/// Statistics of one object, for clients.
pub(super) fn stats(item: StatsItem) -> proto::Stats {
    use proto::stats::Of;
    let of = match item {
        StatsItem::Transport(stats) => Of::Transport(transport(&stats)),
        StatsItem::Producer(ProducerStats { producer, streams, .. }) => Of::Producer(proto::ProducerStats {
            id: producer.to_string(),
            streams: streams.iter().map(stream).collect(),
        }),
        StatsItem::Consumer(stats) => Of::Consumer(consumer(&stats)),
    };
    proto::Stats { of: Some(of) }
}

fn transport(stats: &TransportStats) -> proto::TransportStats {
    let ice_state = match stats.state.ice {
        IceState::New => "new",
        IceState::Connected => "connected",
        IceState::Completed => "completed",
        IceState::Disconnected => "disconnected",
    };
    let dtls_state = match stats.state.dtls {
        DtlsState::New => "new",
        DtlsState::Connecting => "connecting",
        DtlsState::Connected => "connected",
    };
    proto::TransportStats {
        id: stats.transport.to_string(),
        ice_state: ice_state.into(),
        dtls_state: dtls_state.into(),
        remote_address: stats.state.remote.map(|remote| remote.to_string()).unwrap_or_default(),
        packets_received: stats.packets_received,
        bytes_received: stats.bytes_received,
        packets_sent: stats.packets_sent,
        bytes_sent: stats.bytes_sent,
        round_trip_time: stats.round_trip_time_us.map(seconds),
        available_outgoing_bitrate: stats.available_outgoing_bitrate_bps,
    }
}

fn stream(stats: &StreamStats) -> proto::InboundStreamStats {
    proto::InboundStreamStats {
        ssrc: stats.ssrc,
        rid: stats.rid.as_ref().map(|rid| rid.as_str().to_owned()),
        packets_received: stats.packets_received,
        bytes_received: stats.bytes_received,
        retransmitted_packets_received: stats.retransmitted_packets_received,
        packets_lost: stats.packets_lost,
        jitter: seconds(stats.jitter_us),
        nack_count: stats.nack_count,
        pli_count: stats.pli_count,
        fir_count: stats.fir_count,
        keyframes_received: stats.keyframes_received,
        bitrate: stats.bitrate_bps,
        layers: stats.layers.iter().map(layer).collect(),
        score: stats.score.into(),
    }
}

fn layer(stats: &LayerStats) -> proto::LayerStats {
    proto::LayerStats {
        spatial_layer: stats.layers.spatial.into(),
        temporal_layer: stats.layers.temporal.into(),
        bitrate: stats.bitrate_bps,
    }
}

fn consumer(stats: &ConsumerStats) -> proto::ConsumerStats {
    proto::ConsumerStats {
        id: stats.consumer.to_string(),
        ssrc: stats.ssrc,
        packets_sent: stats.packets_sent,
        bytes_sent: stats.bytes_sent,
        retransmitted_packets_sent: stats.retransmitted_packets_sent,
        retransmitted_bytes_sent: stats.retransmitted_bytes_sent,
        nack_count: stats.nack_count,
        pli_count: stats.pli_count,
        fir_count: stats.fir_count,
        bitrate: stats.bitrate_bps,
        spatial_layer: stats.layers.map(|layers| layers.spatial.into()),
        temporal_layer: stats.layers.map(|layers| layers.temporal.into()),
        packets_lost: stats.packets_lost,
        fraction_lost: f64::from(stats.fraction_lost) / 256.0,
        jitter: seconds(stats.jitter_us),
        round_trip_time: stats.round_trip_time_us.map(seconds),
        score: stats.score.into(),
    }
}

fn seconds(us: u32) -> f64 {
    f64::from(us) / 1e6
}
