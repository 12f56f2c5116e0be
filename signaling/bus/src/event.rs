//! Events of rooms, as other processes get them: one JSON object each, on one subject each.
//!
//! `docs/events.md` lists all of them; a test compares it with this module.

use crate::limits::MESSAGE_BYTES_MAX;
use crate::subject::token;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Something that has happened in a room. Readers must ignore fields and types that they do not know: within
/// a version, both are only added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The version of the format: [`Event::VERSION`].
    pub version: u32,
    /// Milliseconds since 1970, by the clock of the sender.
    pub time_ms: u64,
    /// The project of the room.
    pub project: String,
    /// The name of the room.
    pub room: String,
    /// The type, and its fields.
    #[serde(flatten)]
    pub what: What,
}

/// The type of an event, in the field `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum What {
    /// The first participant enters a room.
    #[serde(rename = "room.created")]
    RoomCreated,
    /// The last participant has left.
    #[serde(rename = "room.closed")]
    RoomClosed,
    /// A participant has entered a room. A return after a lost connection is not an entry.
    #[serde(rename = "participant.joined")]
    ParticipantJoined {
        /// The participant.
        participant: Participant,
    },
    /// A participant has left for good, and with it all of its tracks.
    #[serde(rename = "participant.left")]
    ParticipantLeft {
        /// The participant.
        participant: Participant,
    },
    /// Others can receive a track.
    #[serde(rename = "track.published")]
    TrackPublished {
        /// Who sends it.
        participant: Participant,
        /// The track.
        track: Track,
    },
    /// A track has ended while its participant stays.
    #[serde(rename = "track.unpublished")]
    TrackUnpublished {
        /// Who sent it.
        participant: Participant,
        /// The track.
        track: Track,
    },
    /// The session of a participant has changed its state.
    #[serde(rename = "session.state")]
    SessionState {
        /// The participant.
        participant: Participant,
        /// The state before.
        from: String,
        /// The new state.
        to: String,
    },
    /// A participant has left: what its client measured of the call.
    #[serde(rename = "session.quality")]
    SessionQuality {
        /// The participant.
        participant: Participant,
        /// Its measurements.
        quality: CallQuality,
    },
    /// A type of a newer version.
    #[serde(other)]
    Unknown,
}

/// What the client of a participant measured from its entry to its end. Without a value: it was not measured, or
/// the client sends no reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallQuality {
    /// The entry, in milliseconds since 1970; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_at_ms: Option<u64>,
    /// From the beginning of the entry in the client to its end, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_ms: Option<u32>,
    /// From the same beginning to the first picture of another participant, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_frame_ms: Option<u32>,
    /// Freezes of received video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freezes: Option<u32>,
    /// Their duration in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_ms: Option<u32>,
    /// Packets of received media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets_received: Option<u64>,
    /// Packets of received media that did not arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets_lost: Option<u64>,
    /// Mean jitter of received media, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_us: Option<u32>,
    /// Mean round-trip time, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_us: Option<u32>,
    /// Mean opinion score of received sound in hundredths, 100 (bad) to 450.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mos_hundredths: Option<u32>,
    /// Whether a TURN server relayed its media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relayed: Option<bool>,
}

/// One peer in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// The id of the peer, new with each entry.
    pub id: String,
    /// The user, as in the token.
    pub user: String,
    /// The display name.
    pub name: String,
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// The id of the producer.
    pub id: String,
    /// `audio` or `video`.
    pub kind: String,
    /// Such as `camera`, as the client named it.
    pub source: String,
}

impl Event {
    /// The version of the format, also in the subject.
    pub const VERSION: u32 = 1;

    /// The filter of all events of all projects.
    pub const ALL: &'static str = "leat.v1.*.room.>";

    /// An event of a room at this time since 1970.
    pub fn new(project: &str, room: &str, time: Duration, what: What) -> Self {
        let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self { version: Self::VERSION, time_ms, project: project.to_owned(), room: room.to_owned(), what }
    }

    /// The subject: project and room as one word each ([`token`]), and the type.
    pub fn subject(&self) -> String {
        let (project, room) = (token(&self.project), token(&self.room));
        format!("leat.v1.{project}.room.{room}.{}", self.what.suffix())
    }

    /// The JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers can always be written")
    }

    /// Reads an event. `None` for anything else.
    pub fn from_json(json: &[u8]) -> Option<Self> {
        let json = (json.len() <= MESSAGE_BYTES_MAX).then_some(json)?;
        serde_json::from_slice(json).ok()
    }
}

impl What {
    /// The types of version 1, as in the field `type`.
    pub const TYPES: &'static [&'static str] = &[
        "room.created",
        "room.closed",
        "participant.joined",
        "participant.left",
        "track.published",
        "track.unpublished",
        "session.state",
        "session.quality",
    ];

    /// The type, as in the field `type`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::RoomCreated => "room.created",
            Self::RoomClosed => "room.closed",
            other => other.suffix(),
        }
    }

    /// The end of the subject.
    fn suffix(&self) -> &'static str {
        match self {
            Self::RoomCreated => "created",
            Self::RoomClosed => "closed",
            Self::ParticipantJoined { .. } => "participant.joined",
            Self::ParticipantLeft { .. } => "participant.left",
            Self::TrackPublished { .. } => "track.published",
            Self::TrackUnpublished { .. } => "track.unpublished",
            Self::SessionState { .. } => "session.state",
            Self::SessionQuality { .. } => "session.quality",
            Self::Unknown => "unknown",
        }
    }
}
