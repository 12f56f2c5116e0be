//! The transports by the addresses of their valid ICE pairs, and what the driver has to know of these addresses if
//! the workers share a UDP port.

use crate::base::slots::Slot;
use crate::objects::Table;
use machine::{Path, PathClaim};
use std::collections::VecDeque;

/// Transports by the addresses of their valid pairs.
#[derive(Debug, Default)]
pub struct Paths {
    slots: Table<Path, Slot>,
    /// Whether the driver learns of changes. If so, it polls after each input.
    is_shared: bool,
    claims: VecDeque<PathClaim>,
}

impl Paths {
    /// Empty. `is_shared`: UDP paths are claimed and released.
    pub fn new(is_shared: bool) -> Self {
        Self { is_shared, ..Self::default() }
    }

    /// Empty; releases all paths of this table.
    pub fn successor(&self) -> Self {
        let mut next = Self::new(self.is_shared);
        self.slots.keys().for_each(|path| next.tell(*path, PathClaim::Release));
        next
    }

    /// The transport at this path.
    pub fn get(&self, path: &Path) -> Option<&Slot> {
        self.slots.get(path)
    }

    /// Every path and its transport.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Slot)> {
        self.slots.iter()
    }

    /// Gives the path to a transport, or confirms it. Returns the transport that had it.
    pub fn insert(&mut self, path: Path, slot: Slot) -> Option<Slot> {
        self.tell(path, PathClaim::Claim);
        self.slots.insert(path, slot)
    }

    /// Removes the path. Returns its transport.
    pub fn remove(&mut self, path: &Path) -> Option<Slot> {
        let slot = self.slots.remove(path)?;
        self.tell(*path, PathClaim::Release);
        Some(slot)
    }

    /// The next claim or release for the driver.
    pub fn poll_claim(&mut self) -> Option<PathClaim> {
        self.claims.pop_front()
    }

    fn tell(&mut self, path: Path, what: fn(Path) -> PathClaim) {
        // A TCP connection belongs to the worker that accepted it.
        if self.is_shared && !path.local.is_tcp() {
            self.claims.push_back(what(path));
        }
    }
}
