//! Protocol versions: which peers a side accepts.

use crate::limits::VERSION_SKEW_MAX;
use std::fmt;

/// The protocol version of one side, and the oldest one that it supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The version of this side.
    pub own: u32,
    /// The oldest version of a peer that this side supports.
    pub oldest: u32,
}

impl Versions {
    /// Whether this side accepts a peer of a version: at most [`VERSION_SKEW_MAX`] apart. An older peer must
    /// also be supported by this side; a newer peer supports this side.
    pub fn accepts(self, peer: u32) -> bool {
        peer >= self.oldest && peer.abs_diff(self.own) <= VERSION_SKEW_MAX
    }
}

/// A version that supports no older one.
impl From<u32> for Versions {
    fn from(own: u32) -> Self {
        Self { own, oldest: own }
    }
}

/// The versions of peers that are accepted, for messages.
impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.oldest.max(self.own.saturating_sub(VERSION_SKEW_MAX));
        write!(f, "{first} to {}", self.own.saturating_add(VERSION_SKEW_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_one_version_apart_are_accepted_down_to_the_oldest_supported() {
        let accepted =
            |versions: Versions| (0..20).filter(|peer| versions.accepts(*peer)).collect::<Vec<_>>();
        assert_eq!(accepted(Versions { own: 9, oldest: 8 }), [8, 9, 10]);
        assert_eq!(accepted(Versions { own: 9, oldest: 2 }), [8, 9, 10]);
        assert_eq!(accepted(Versions { own: 9, oldest: 9 }), [9, 10]);
        assert_eq!(Versions { own: 9, oldest: 2 }.to_string(), "8 to 10");
        assert_eq!(Versions::from(9).to_string(), "9 to 10");
    }
}
