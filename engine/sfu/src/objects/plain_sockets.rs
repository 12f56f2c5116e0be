//! The sockets of plain transports.

use crate::base::slots::Slot;
use crate::limits;
use control::{CreatePlainTransport, RequestId};
use machine::{LocalId, SocketRequest};
use std::collections::VecDeque;

/// The sockets of a shard's plain transports, by their number.
#[derive(Debug, Default)]
pub struct PlainSockets {
    sockets: Vec<SocketSlot>,
    /// Requests to the driver to open or close sockets.
    pub requests: VecDeque<SocketRequest>,
    /// Transports that wait for their sockets. Drivers open them at once, so there is at most one.
    pub opening: Vec<Opening>,
}

/// The use of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketSlot {
    /// There is no socket with this number.
    Free,
    /// The driver has not opened it yet.
    Opening,
    /// RTP of this transport, and RTCP if that has no separate socket.
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
    /// The socket for RTCP, if separate.
    pub rtcp: Option<LocalId>,
}

impl PlainSockets {
    /// The next request to open or close a socket.
    pub fn poll_order(&mut self) -> Option<SocketRequest> {
        self.requests.pop_front()
    }

    /// Closes sockets; their numbers can be reused.
    pub fn close(&mut self, sockets: impl Iterator<Item = LocalId>) {
        for local in sockets {
            self.requests.push_back(SocketRequest::Close { local });
            self.set(local, SocketSlot::Free);
        }
    }

    /// Closes all sockets. Returns the requests that wait for sockets.
    pub fn close_all(&mut self) -> Vec<RequestId> {
        let used = |(index, used_for): (usize, &SocketSlot)| {
            (*used_for != SocketSlot::Free).then_some(LocalId::on_demand(index as u16))
        };
        let locals: Vec<LocalId> = self.sockets.iter().enumerate().filter_map(used).collect();
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
        self.sockets.iter().enumerate().map(|(index, used_for)| (LocalId::on_demand(index as u16), *used_for))
    }

    /// Whether `more` sockets may be opened.
    pub fn has_room(&self, more: usize) -> bool {
        self.sockets.iter().filter(|used_for| **used_for != SocketSlot::Free).count() + more
            <= limits::PLAIN_SOCKETS_MAX
    }

    /// Reserves a free number.
    pub fn reserve(&mut self) -> LocalId {
        let index = self
            .sockets
            .iter()
            .position(|used_for| *used_for == SocketSlot::Free)
            .unwrap_or(self.sockets.len());
        let local = LocalId::on_demand(index as u16);
        self.set(local, SocketSlot::Opening);
        local
    }

    /// Sets the use of a socket.
    pub fn set(&mut self, local: LocalId, used_for: SocketSlot) {
        let Some(index) = local.on_demand_index().map(usize::from) else { return };
        if index >= self.sockets.len() {
            self.sockets.resize(index + 1, SocketSlot::Free);
        }
        self.sockets[index] = used_for;
    }

    /// The use of a socket.
    pub fn find(&self, local: LocalId) -> Option<SocketSlot> {
        self.sockets.get(usize::from(local.on_demand_index()?)).copied()
    }
}
