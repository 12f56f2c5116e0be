//! The messages of the two servers, as far as the load needs them.

use crate::cli::Front;
use crate::proto::{self, signal::Payload};
use anyhow::{Context, bail, ensure};
use prost::Message;
use serde_json::{Value, json};

/// How a server's messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `signal.proto`.
    Leat,
    /// The JSON of `bench/rivals/socketio`.
    Json,
}

/// What a notification reports, with the user.
#[derive(Debug, PartialEq, Eq)]
pub enum Notice {
    /// The user is in the room.
    Present(String),
    /// The presence of the user has changed.
    Changed(String),
}

impl Dialect {
    /// That of a server.
    pub fn of(front: Front) -> Self {
        match front {
            Front::Leat => Self::Leat,
            Front::SocketIo => Self::Json,
        }
    }

    /// The request to join.
    pub fn join(self, room: &str, token: &str) -> Vec<u8> {
        match self {
            Self::Leat => signal(Payload::JoinRoom(proto::JoinRoom {
                room: room.to_owned(),
                token: token.to_owned(),
                ..Default::default()
            })),
            Self::Json => json!({ "join": { "room": room, "token": token } }).to_string().into_bytes(),
        }
    }

    /// The users that are in the room already, from the answer.
    pub fn joined(self, answer: &[u8]) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Leat => match payload(answer)? {
                Payload::Joined(joined) => Ok(joined.peers.into_iter().map(|peer| peer.user).collect()),
                other => bail!("JoinRoom was answered with {other:?}"),
            },
            Self::Json => {
                let answer: Value = serde_json::from_slice(answer)?;
                let peers = answer["peers"].as_array().with_context(|| format!("join: {answer}"))?;
                Ok(peers.iter().filter_map(|peer| Some(peer["user"].as_str()?.to_owned())).collect())
            }
        }
    }

    /// The request to change the presence.
    pub fn presence(self, is_idle: bool) -> Vec<u8> {
        match self {
            Self::Leat => {
                let state = if is_idle { proto::PresenceState::Idle } else { proto::PresenceState::Active };
                signal(Payload::SetPresence(proto::SetPresence { state: state.into() }))
            }
            Self::Json => {
                let state = if is_idle { "IDLE" } else { "ACTIVE" };
                json!({ "presence": state }).to_string().into_bytes()
            }
        }
    }

    /// Checks the answer to a change.
    pub fn done(self, answer: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Leat => match payload(answer)? {
                Payload::Ack(_) => Ok(()),
                other => bail!("SetPresence was answered with {other:?}"),
            },
            Self::Json => {
                let answer: Value = serde_json::from_slice(answer)?;
                ensure!(answer == json!({}), "presence was answered with {answer}");
                Ok(())
            }
        }
    }

    /// What an event reports. An event that cannot be read reports nothing, and so is missed.
    pub fn notices(self, event: &[u8]) -> Vec<Notice> {
        match self {
            Self::Leat => match payload(event) {
                Ok(Payload::Batch(batch)) => {
                    let each = batch.signals.iter().filter_map(|signal| payload(signal).ok());
                    each.filter_map(notice).collect()
                }
                Ok(single) => notice(single).into_iter().collect(),
                Err(_) => Vec::new(),
            },
            Self::Json => {
                let event: Value = serde_json::from_slice(event).unwrap_or_default();
                let joined = event["joined"].as_str().map(|user| Notice::Present(user.to_owned()));
                let changed = event["presence"]["user"].as_str().map(|user| Notice::Changed(user.to_owned()));
                joined.into_iter().chain(changed).collect()
            }
        }
    }
}

fn notice(payload: Payload) -> Option<Notice> {
    match payload {
        Payload::PeerJoined(joined) => Some(Notice::Present(joined.peer?.user)),
        Payload::PresenceChanged(changed) => Some(Notice::Changed(changed.user)),
        _ => None,
    }
}

fn signal(payload: Payload) -> Vec<u8> {
    proto::Signal { version: "1".into(), payload: Some(payload), ..Default::default() }.encode_to_vec()
}

fn payload(signal: &[u8]) -> anyhow::Result<Payload> {
    proto::Signal::decode(signal)?.payload.context("a Signal without a payload")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_of_a_batch_and_of_json() {
        let peer = proto::Peer { user: "user-1".into(), ..Default::default() };
        let joined = signal(Payload::PeerJoined(proto::PeerJoined { peer: Some(peer) }));
        let changed = proto::PresenceChanged { user: "user-2".into(), ..Default::default() };
        let changed = signal(Payload::PresenceChanged(changed));
        let left = signal(Payload::PeerLeft(proto::PeerLeft::default()));
        let batch = signal(Payload::Batch(proto::Batch { signals: vec![joined.clone(), left, changed] }));
        let both = [Notice::Present("user-1".into()), Notice::Changed("user-2".into())];
        assert_eq!(Dialect::Leat.notices(&batch), both);
        assert_eq!(Dialect::Leat.notices(&joined), both[..1]);
        assert_eq!(Dialect::Json.notices(br#"{"joined":"user-1"}"#), both[..1]);
        assert_eq!(Dialect::Json.notices(br#"{"presence":{"user":"user-2","state":"IDLE"}}"#), both[1..]);
        assert_eq!(Dialect::Json.notices(br#"{"left":"user-2"}"#), []);
    }
}
