//! The numbers of the relay's sockets, which are dense and reused, and the owner of each.

use crate::limits::SOCKETS_MAX;
use machine::LocalId;
use stun::Family;

/// The owner of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// An allocation, for this family.
    Allocation(u32, Family),
    /// An allocation, for the port after an even one, while both are being opened.
    Next,
    /// A reservation.
    Reservation(u32),
}

/// The owner of each socket.
#[derive(Debug, Default)]
pub(crate) struct RelaySockets {
    owners: Vec<Option<Owner>>,
    free: Vec<u16>,
}

impl RelaySockets {
    /// An unused number. `None` if all are in use.
    pub(crate) fn take(&mut self, owner: Owner) -> Option<LocalId> {
        let index = self.free.pop().or_else(|| {
            let next = self.owners.len();
            (next < SOCKETS_MAX).then(|| {
                self.owners.push(None);
                next as u16
            })
        })?;
        self.owners[usize::from(index)] = Some(owner);
        Some(LocalId::on_demand(index))
    }

    /// Releases a number: its socket is closed, or was never open.
    pub(crate) fn release(&mut self, local: LocalId) {
        if let Some(index) = local.on_demand_index()
            && self.owners.get_mut(usize::from(index)).and_then(Option::take).is_some()
        {
            self.free.push(index);
        }
    }

    pub(crate) fn owner(&self, local: LocalId) -> Option<Owner> {
        *self.owners.get(usize::from(local.on_demand_index()?))?
    }

    /// Changes the owner of a socket.
    pub(crate) fn pass(&mut self, local: LocalId, owner: Owner) {
        if let Some(index) = local.on_demand_index()
            && let Some(Some(current)) = self.owners.get_mut(usize::from(index))
        {
            *current = owner;
        }
    }

    /// The number of sockets in use.
    pub(crate) fn len(&self) -> usize {
        self.owners.len() - self.free.len()
    }
}
