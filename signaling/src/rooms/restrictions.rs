//! What administrators and publishers restrict in a room: plain data. The requests that change it are in
//! [`super::policy`], [`super::mute`], [`super::kick`], [`super::waiting`] and [`super::subscribers`].

use super::app_data::{BanRecord, PolicyRecord};
use super::outbox::Outbox;
use super::room_key::RoomKey;
use crate::auth::session::{Session, TokenId};
use crate::auth::token::Permissions;
use crate::limits;
use crate::proto::{self, ErrorCode, PeerWaiting};
use crate::request_error::RequestError;
use aws_lc_rs::digest;
use control::{Kind, ProducerId};
use std::collections::BTreeSet;
use std::time::Duration;

/// Who may enter and publish. The default restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    /// Maximum number of peers; `None`: that of the server.
    pub(super) peers_max: Option<usize>,
    /// Whether only administrators may join.
    pub(super) locked: bool,
    /// Whether other clients wait until an administrator admits them.
    pub(super) waiting_room: bool,
    /// Whether only administrators may publish.
    pub(super) admins_publish: bool,
    /// Who may not join.
    pub(super) bans: Vec<Ban>,
    /// Whether clients encrypt end to end. The server only passes it on.
    pub(super) encrypted: bool,
    /// Number of changes: after a restart, the latest of several records counts.
    pub(super) revision: u32,
}

impl Policy {
    /// Checks that one more peer may enter a room with this number of peers.
    pub(super) fn check_size(&self, peer_count: usize) -> Result<(), RequestError> {
        match self.peers_max {
            Some(max) if peer_count >= max => {
                let text = format!("the room is full: its maximum is {max} peers");
                Err(RequestError::new(ErrorCode::RoomFull, text))
            }
            _ if peer_count >= limits::PEERS_PER_ROOM_MAX => {
                let text = format!("the room is full: {} peers", limits::PEERS_PER_ROOM_MAX);
                Err(RequestError::limit(text))
            }
            _ => Ok(()),
        }
    }

    /// Checks that a client with these permissions may enter at `now` (time since 1970).
    pub(super) fn check_entry(
        &self,
        permissions: &Permissions,
        client: UserHash,
        now: Duration,
    ) -> Result<(), RequestError> {
        if let Some(ban) = self.bans.iter().find(|ban| ban.user == client && !ban.is_over(now)) {
            return Err(ban.error(now));
        }
        if self.locked && !permissions.admin {
            return Err(RequestError::new(
                ErrorCode::RoomLocked,
                "the room is locked; an administrator can unlock it",
            ));
        }
        Ok(())
    }

    /// Bans a client for this time, or until the room ends. One that is banned already gets the new end.
    pub(super) fn ban(
        &mut self,
        user: UserHash,
        time: Option<Duration>,
        now: Duration,
    ) -> Result<(), RequestError> {
        self.bans.retain(|ban| ban.user != user && !ban.is_over(now));
        if self.bans.len() >= limits::BANS_PER_ROOM_MAX {
            let text = format!(
                "{} users are banned from this room, which is its limit; end the bans with clear_bans, or lock the room",
                limits::BANS_PER_ROOM_MAX
            );
            return Err(RequestError::limit(text));
        }
        let until = time.map(|time| now.saturating_add(time).as_secs().saturating_add(1));
        self.bans.push(Ban { user, until });
        Ok(())
    }

    /// Whether a client with these permissions has to wait for an administrator.
    pub(super) fn lets_wait(&self, permissions: &Permissions) -> bool {
        self.waiting_room && !permissions.admin
    }

    /// Checks that a peer with these permissions may publish.
    pub(super) fn check_publish(&self, permissions: &Permissions) -> Result<(), RequestError> {
        if self.admins_publish && !permissions.admin {
            let text = "only administrators may publish in this room at present";
            return Err(RequestError::new(ErrorCode::PublishDenied, text));
        }
        Ok(())
    }

    /// For clients.
    pub(super) fn message(&self) -> proto::RoomPolicy {
        proto::RoomPolicy {
            max_peers: self.peers_max.map_or(0, |max| max as u32),
            locked: self.locked,
            waiting_room: self.waiting_room,
            publishers: if self.admins_publish { ADMINS } else { EVERYONE }.into(),
            encrypted: self.encrypted,
            bans: self.bans.len() as u32,
        }
    }

    /// For the engine.
    pub(super) fn record(&self) -> PolicyRecord {
        PolicyRecord {
            peers_max: self.peers_max.map_or(0, |max| max as u32),
            locked: self.locked,
            waiting_room: self.waiting_room,
            admins_publish: self.admins_publish,
            encrypted: self.encrypted,
            revision: self.revision,
            bans: self.bans.iter().map(Ban::record).collect(),
        }
    }
}

impl From<PolicyRecord> for Policy {
    fn from(record: PolicyRecord) -> Self {
        Self {
            peers_max: Some(record.peers_max as usize).filter(|max| *max != 0),
            locked: record.locked,
            waiting_room: record.waiting_room,
            admins_publish: record.admins_publish,
            encrypted: record.encrypted,
            revision: record.revision,
            bans: record.bans.iter().filter_map(Ban::of).collect(),
        }
    }
}

/// A client that may not join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ban {
    pub(super) user: UserHash,
    /// Seconds since 1970; `None`: until the room ends.
    pub(super) until: Option<u64>,
}

impl Ban {
    fn is_over(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| until <= now.as_secs())
    }

    fn error(&self, now: Duration) -> RequestError {
        let text = "an administrator banned you from this room";
        match self.until.map(|until| Duration::from_secs(until).saturating_sub(now)) {
            None => RequestError::new(ErrorCode::Banned, format!("{text} until the call ends")),
            Some(left) => {
                let text = format!("{text} for {} more seconds", left.as_secs().max(1));
                RequestError::new(ErrorCode::Banned, text).retry_after(left)
            }
        }
    }

    fn record(&self) -> BanRecord {
        BanRecord { user: self.user.0.to_vec(), until: self.until.unwrap_or(0) }
    }

    /// `None` if the record is invalid.
    fn of(record: &BanRecord) -> Option<Self> {
        let user = UserHash(record.user.as_slice().try_into().ok()?);
        Some(Self { user, until: Some(record.until).filter(|until| *until != 0) })
    }
}

pub(super) const EVERYONE: &str = "everyone";
pub(super) const ADMINS: &str = "admins";

/// Permissions of a peer that an administrator decided; `None`: as its token permits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Whether it is an administrator.
    pub admin: Option<bool>,
    /// Whether it may publish.
    pub can_publish: Option<bool>,
    /// Whether it may receive.
    pub can_subscribe: Option<bool>,
    /// Whether it may send data.
    pub can_publish_data: Option<bool>,
}

impl Overrides {
    /// The permissions with these changes.
    pub(super) fn applied_to(self, permissions: Permissions) -> Permissions {
        Permissions {
            admin: self.admin.unwrap_or(permissions.admin),
            can_publish: self.can_publish.unwrap_or(permissions.can_publish),
            can_subscribe: self.can_subscribe.unwrap_or(permissions.can_subscribe),
            can_publish_data: self.can_publish_data.unwrap_or(permissions.can_publish_data),
            ..permissions
        }
    }

    /// Both; the later ones take precedence.
    pub(super) fn with(self, later: Self) -> Self {
        Self {
            admin: later.admin.or(self.admin),
            can_publish: later.can_publish.or(self.can_publish),
            can_subscribe: later.can_subscribe.or(self.can_subscribe),
            can_publish_data: later.can_publish_data.or(self.can_publish_data),
        }
    }

    /// What both records of one peer agree about.
    pub(super) fn and(self, other: Self) -> Self {
        let both = |one: Option<bool>, two: Option<bool>| one.filter(|_| one == two);
        Self {
            admin: both(self.admin, other.admin),
            can_publish: both(self.can_publish, other.can_publish),
            can_subscribe: both(self.can_subscribe, other.can_subscribe),
            can_publish_data: both(self.can_publish_data, other.can_publish_data),
        }
    }

    /// For the audit log, without the role, which has an entry of its own.
    pub(super) fn details(self) -> String {
        let all = [
            ("canPublish", self.can_publish),
            ("canSubscribe", self.can_subscribe),
            ("canPublishData", self.can_publish_data),
        ];
        let texts = all.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?)));
        texts.collect::<Vec<_>>().join("; ")
    }
}

/// What an administrator muted of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mute {
    /// All audio, also that of later producers.
    pub(super) audio: bool,
    /// All video, also that of later producers.
    pub(super) video: bool,
    /// Single producers, with their backups.
    pub(super) producers: BTreeSet<ProducerId>,
    /// The kinds of which later producers are muted: a muted one was closed, and its client must not replace
    /// it.
    pub(super) later: Kinds,
}

/// Audio, video, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds {
    pub(super) audio: bool,
    pub(super) video: bool,
}

impl Kinds {
    pub(super) fn contains(self, kind: Kind) -> bool {
        match kind {
            Kind::Audio => self.audio,
            Kind::Video => self.video,
        }
    }

    pub(super) fn set(&mut self, kind: Kind, value: bool) {
        match kind {
            Kind::Audio => self.audio = value,
            Kind::Video => self.video = value,
        }
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self { audio: self.audio || other.audio, video: self.video || other.video }
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl Mute {
    /// Whether it concerns this producer.
    pub(super) fn contains(&self, producer: ProducerId, kind: Kind) -> bool {
        self.producers.contains(&producer)
            || match kind {
                Kind::Audio => self.audio,
                Kind::Video => self.video,
            }
    }
}

/// The start of the SHA-256 of a user id: the engine stores it, and user ids are up to 256 bytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct UserHash(pub(super) [u8; USER_HASH_BYTES]);

/// Bytes of a [`UserHash`].
pub(super) const USER_HASH_BYTES: usize = 16;

impl UserHash {
    pub(super) fn new(user: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, user.as_bytes());
        let mut bytes = [0; USER_HASH_BYTES];
        bytes.copy_from_slice(&hash.as_ref()[..USER_HASH_BYTES]);
        Self(bytes)
    }

    /// Of the display name of a client without a token. No user id contains a control character.
    pub(super) fn of_name(name: &str) -> Self {
        Self::new(&format!("\0{}", name.trim().to_lowercase()))
    }
}

/// A token that was revoked because its peer was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kicked {
    pub(super) token: TokenId,
    /// Its expiry, in seconds since 1970.
    pub(super) until: u64,
}

/// A client that waits.
#[derive(Debug)]
pub(super) struct WaitingClient {
    pub(super) id: u64,
    pub(super) room: RoomKey,
    /// `None` in development mode.
    pub(super) session: Option<Session>,
    pub(super) user: String,
    pub(super) display_name: String,
    pub(super) outbox: Outbox,
}

impl WaitingClient {
    /// For administrators.
    pub(super) fn message(&self, gone: bool) -> PeerWaiting {
        PeerWaiting {
            waiting_id: format!("{:016x}", self.id),
            user: self.user.clone(),
            display_name: self.display_name.clone(),
            gone,
        }
    }
}

/// For the client.
pub(super) fn granted(permissions: &Permissions) -> proto::GrantedPermissions {
    proto::GrantedPermissions {
        can_publish: permissions.can_publish && !permissions.hidden,
        publish_sources: permissions.can_publish_sources.clone().unwrap_or_default(),
        has_publish_sources: permissions.can_publish_sources.is_some(),
        can_subscribe: permissions.can_subscribe,
        can_publish_data: permissions.can_publish_data,
        can_update_own_metadata: permissions.can_update_own_metadata,
        can_use_plain_transports: permissions.can_use_plain_transports,
        admin: permissions.admin,
        hidden: permissions.hidden,
    }
}
