//! What the operator configures.

use crate::limits::{SECRETS_MAX, TARGETS_MAX};
use crate::secret::Secret;
use crate::target::{Target, TargetError};
use bus::What;
use policy::{ALLOWED_MAX, Policy};

/// Which events are sent where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The targets: at least one. Each gets all events.
    pub targets: Vec<Target>,
    /// The secrets: at least one. Requests have a signature of each.
    pub secrets: Vec<Secret>,
    /// The types of events that are sent; empty: [`Settings::DEFAULT_TYPES`].
    pub types: Vec<String>,
    /// The addresses to which requests may be sent.
    pub policy: Policy,
}

/// Settings that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Targets without a secret, or a secret without targets.
    #[error("webhooks need both --webhook-url and --webhook-secret-file")]
    Incomplete,
    /// Too many of an option.
    #[error("{0} times {1}: at most {2} are possible")]
    TooMany(usize, &'static str, usize),
    /// The same URL twice.
    #[error("--webhook-url {0}: it is given twice")]
    Repeated(String),
    /// A type that does not exist.
    #[error("--webhook-event {0:?}: expected one of {types}", types = What::TYPES.join(", "))]
    Type(String),
    /// An address that the rules refuse.
    #[error("--webhook-url {0}: {1}")]
    Refused(String, TargetError),
}

impl Settings {
    /// The types of events that are sent by default: those of rooms, participants and tracks.
    pub const DEFAULT_TYPES: &'static [&'static str] = What::TYPES.split_at(6).0;

    /// Whether these settings can be used.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.targets.is_empty() || self.secrets.is_empty() {
            return Err(SettingsError::Incomplete);
        }
        for (count, option, max) in [
            (self.targets.len(), "--webhook-url", TARGETS_MAX),
            (self.secrets.len(), "--webhook-secret-file", SECRETS_MAX),
            (self.policy.allowed.len(), "--webhook-allow", ALLOWED_MAX),
        ] {
            if count > max {
                return Err(SettingsError::TooMany(count, option, max));
            }
        }
        for (index, target) in self.targets.iter().enumerate() {
            if self.targets[..index].iter().any(|other| other.id() == target.id()) {
                return Err(SettingsError::Repeated(target.to_string()));
            }
            target.check(&self.policy).map_err(|error| SettingsError::Refused(target.to_string(), error))?;
        }
        match self.types.iter().find(|name| !What::TYPES.contains(&name.as_str())) {
            Some(unknown) => Err(SettingsError::Type(unknown.clone())),
            None => Ok(()),
        }
    }

    /// The types that are sent.
    pub(crate) fn selected(&self) -> Vec<&'static str> {
        if self.types.is_empty() {
            return Self::DEFAULT_TYPES.to_vec();
        }
        What::TYPES.iter().copied().filter(|name| self.types.iter().any(|given| given == name)).collect()
    }
}
