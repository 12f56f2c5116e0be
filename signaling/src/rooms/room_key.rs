//! The name of a room, with the project it belongs to.

use crate::auth::DEFAULT_PROJECT;
use std::fmt;

/// Identifies a room. Rooms of different projects are different rooms, also if they have the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomKey {
    /// The project: [`DEFAULT_PROJECT`], or the one of an API key.
    pub project: String,
    /// The name that clients use.
    pub name: String,
}

impl RoomKey {
    /// The room `name` of `project`.
    pub fn new(project: impl Into<String>, name: impl Into<String>) -> Self {
        Self { project: project.into(), name: name.into() }
    }
}

impl fmt::Display for RoomKey {
    /// For the log: the name alone in the default project. No name contains a slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.project != DEFAULT_PROJECT {
            write!(f, "{}/", self.project)?;
        }
        f.write_str(&self.name)
    }
}
