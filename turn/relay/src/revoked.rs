//! Users whose minted credentials are revoked.
//!
//! A revocation covers the credentials of a user up to an expiry. After that, none of them is valid, and the
//! entry is removed.

use crate::credentials::{expiry, quota_name};
use crate::limits::REVOKED_MAX;
use crate::table::{Keyed, Table};
use machine::Rng;
use std::time::Duration;

/// A user whose credentials are revoked, in a [`Command::Revoke`](crate::Command::Revoke).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedUser {
    /// The part of a minted user name after the expiry.
    pub user: Box<[u8]>,
    /// The latest expiry that is covered, since 1970.
    pub expires_until: Duration,
}

/// The table of one worker.
#[derive(Debug)]
pub(crate) struct Revoked(Table<Box<[u8]>, Duration>);

impl Revoked {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self(Table::with_hasher(Keyed::new(rng)))
    }

    /// Enters users at this time since 1970. Returns how many found no place, or `None` if nothing is new.
    pub(crate) fn enter(&mut self, users: &[RevokedUser], now: Duration) -> Option<usize> {
        if self.0.len() + users.len() > REVOKED_MAX {
            self.0.retain(|_, expires_until| *expires_until >= now);
        }
        let (mut lost, mut is_new) = (0, false);
        for RevokedUser { user, expires_until } in users.iter().filter(|entry| entry.expires_until >= now) {
            let has_room = self.0.len() < REVOKED_MAX;
            match self.0.get_mut(user) {
                Some(known) => {
                    is_new |= *known < *expires_until;
                    *known = (*known).max(*expires_until);
                }
                None if has_room => {
                    is_new = true;
                    self.0.insert(user.clone(), *expires_until);
                }
                None => lost += 1,
            }
        }
        (is_new || lost > 0).then_some(lost)
    }

    /// Whether this user name is a minted one that is revoked. Other users are removed by a reload.
    pub(crate) fn covers(&self, username: &[u8]) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Some(expires_at) = expiry(username) else { return false };
        self.0.get(quota_name(username)).is_some_and(|expires_until| expires_at <= *expires_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(user: &str, expires_until: u64) -> RevokedUser {
        RevokedUser { user: user.as_bytes().into(), expires_until: Duration::from_secs(expires_until) }
    }

    #[test]
    fn credentials_up_to_an_expiry_are_covered() {
        let mut revoked = Revoked::new(&mut Rng::from_number(1));
        let now = Duration::from_secs(100);
        assert_eq!(revoked.enter(&[entry("ada", 200), entry("a:b", 200), entry("past", 99)], now), Some(0));
        for (name, wanted) in [
            ("200:ada", true),
            ("150:ada", true),
            ("201:ada", false),
            ("200:a:b", true),
            ("200:eve", false),
            ("90:past", false),
            ("ada", false),
            ("x:ada", false),
        ] {
            assert_eq!(revoked.covers(name.as_bytes()), wanted, "{name}");
        }
        assert_eq!(revoked.enter(&[entry("ada", 180)], now), None, "an older one changes nothing");
        assert!(revoked.covers(b"200:ada"));
        assert_eq!(revoked.enter(&[entry("ada", 300)], now), Some(0));
        assert!(revoked.covers(b"300:ada"));
    }

    #[test]
    fn a_full_table_keeps_its_users_until_they_expire() {
        let mut revoked = Revoked::new(&mut Rng::from_number(1));
        let all: Vec<_> = (0..REVOKED_MAX).map(|index| entry(&format!("u{index}"), 200)).collect();
        let before = Duration::from_secs(100);
        all.chunks(256).for_each(|batch| assert_eq!(revoked.enter(batch, before), Some(0)));
        assert_eq!(revoked.enter(&[entry("one more", 300)], before), Some(1));
        assert!(revoked.covers(b"200:u0") && !revoked.covers(b"300:one more"));
        assert_eq!(revoked.enter(&[entry("one more", 300)], Duration::from_secs(201)), Some(0));
        assert!(revoked.covers(b"300:one more") && !revoked.covers(b"200:u0"));
    }
}
