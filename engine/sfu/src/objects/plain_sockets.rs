//! Which socket belongs to which plain transport.

use crate::base::slots::Slot;
use crate::limits;
use control::{CreatePlainTransport, RequestId};
use machine::{LocalId, SocketRequest};
use std::collections::VecDeque;

/// The sockets of a shard's plain transports, by their number on demand.
#[derive(Debug, Default)]
pub struct PlainSockets {
    ears: Vec<SocketSlot>,
    /// What the driver is to open or close.
    pub requests: VecDeque<SocketRequest>,
    /// Transports that wait for their sockets. Drivers open them at once, so there is one at most.
    pub opening: Vec<Opening>,
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketSlot {
    /// There is none by this number.
    Free,
    /// The driver has not opened it yet.
    Opening,
    /// RTP of this transport, and RTCP if that has no socket of its own.
    Rtp(Slot),
    /// RTCP of this transport.
    Rtcp(Slot),
}

#[derive(Debug)]
/// A transport that waits for its sockets.
pub struct Opening {
    /// The request to answer.
    pub request: RequestId,
    /// The command.
    pub create: CreatePlainTransport,
    /// The socket for RTP.
    pub rtp: LocalId,
    /// The socket for RTCP, if it has one.
    pub rtcp: Option<LocalId>,
}

impl PlainSockets {
    /// What the driver is to open or close.
    pub fn poll_order(&mut self) -> Option<SocketRequest> {
        self.requests.pop_front()
    }

    /// Closes sockets; their numbers are free from now on.
    pub fn close(&mut self, ears: impl Iterator<Item = LocalId>) {
        for local in ears {
            self.requests.push_back(SocketRequest::Close { local });
            self.set(local, SocketSlot::Free);
        }
    }

    /// Closes all sockets. Returns the requests that wait for theirs.
    pub fn close_all(&mut self) -> Vec<RequestId> {
        let used = |(index, ear): (usize, &SocketSlot)| {
            (*ear != SocketSlot::Free).then_some(LocalId::on_demand(index as u16))
        };
        let locals: Vec<LocalId> = self.ears.iter().enumerate().filter_map(used).collect();
        self.close(locals.into_iter());
        self.opening.drain(..).map(|opening| opening.request).collect()
    }

    /// Whether this request waits for its sockets.
    pub fn is_opening(&self, request: RequestId) -> bool {
        self.opening.iter().any(|opening| opening.request == request)
    }

    /// The transport that a socket belongs to.
    pub fn owner(&self, local: LocalId) -> Option<Slot> {
        match self.find(local)? {
            SocketSlot::Rtp(slot) | SocketSlot::Rtcp(slot) => Some(slot),
            SocketSlot::Free | SocketSlot::Opening => None,
        }
    }

    /// All sockets by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (LocalId, SocketSlot)> {
        self.ears.iter().enumerate().map(|(index, ear)| (LocalId::on_demand(index as u16), *ear))
    }

    /// Whether `more` sockets may be opened beside those that are open.
    pub fn has_room(&self, more: usize) -> bool {
        self.ears.iter().filter(|ear| **ear != SocketSlot::Free).count() + more <= limits::PLAIN_SOCKETS_MAX
    }

    /// Takes a free number.
    pub fn reserve(&mut self) -> LocalId {
        let index = self.ears.iter().position(|ear| *ear == SocketSlot::Free).unwrap_or(self.ears.len());
        let local = LocalId::on_demand(index as u16);
        self.set(local, SocketSlot::Opening);
        local
    }

    /// The socket is for this from now on.
    pub fn set(&mut self, local: LocalId, ear: SocketSlot) {
        let Some(index) = local.on_demand_index().map(usize::from) else { return };
        if index >= self.ears.len() {
            self.ears.resize(index + 1, SocketSlot::Free);
        }
        self.ears[index] = ear;
    }

    /// What the socket is for.
    pub fn find(&self, local: LocalId) -> Option<SocketSlot> {
        self.ears.get(usize::from(local.on_demand_index()?)).copied()
    }
}
