//! The table of mio tokens: which number stands for which descriptor of a worker.

use crate::limits::{ON_DEMAND_SOCKETS_MAX, PEER_STREAMS_MAX, SOCKETS_MAX};
use machine::{LocalId, StreamId};

/// The token under which a [`Control`](crate::Control) registers its descriptors.
pub const CONTROL_TOKEN: mio::Token = mio::Token(1 << 16);

/// A descriptor of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A UDP socket that is open from the start.
    Socket(LocalId),
    /// A TCP listener for clients, by its index.
    Listener(usize),
    /// A UDP socket on demand.
    OnDemand(LocalId),
    /// The descriptors of the control.
    Control,
    /// The waker of the worker.
    Wake,
    /// A TCP connection of a client, by its index.
    Connection(u32),
    /// A TCP connection with a peer of a TURN client.
    PeerStream(StreamId),
    /// A TCP listener for peers of TURN clients.
    PeerListener(LocalId),
}

// The first number of each range.
const LISTENERS: usize = SOCKETS_MAX;
const ON_DEMAND: usize = LocalId::ON_DEMAND.0 as usize;
const CONTROL: usize = CONTROL_TOKEN.0;
const WAKE: usize = CONTROL + 1;
const CONNECTIONS: usize = 1 << 20;
const PEER_STREAMS: usize = CONNECTIONS << 1;
const PEER_LISTENERS: usize = PEER_STREAMS << 1;

const _: () = assert!(LISTENERS + SOCKETS_MAX <= ON_DEMAND);
const _: () = assert!(ON_DEMAND + ON_DEMAND_SOCKETS_MAX < CONTROL);
const _: () = assert!(WAKE < CONNECTIONS);
const _: () = assert!(PEER_STREAMS + PEER_STREAMS_MAX <= PEER_LISTENERS);

impl From<Token> for mio::Token {
    fn from(token: Token) -> Self {
        Self(match token {
            Token::Socket(local) | Token::OnDemand(local) => usize::from(local.0),
            Token::Listener(index) => LISTENERS + index,
            Token::Control => CONTROL,
            Token::Wake => WAKE,
            Token::Connection(index) => CONNECTIONS + index as usize,
            Token::PeerStream(stream) => PEER_STREAMS + usize::from(stream.0),
            Token::PeerListener(local) => PEER_LISTENERS + usize::from(local.0),
        })
    }
}

impl From<mio::Token> for Token {
    fn from(mio::Token(number): mio::Token) -> Self {
        match number {
            ..LISTENERS => Self::Socket(LocalId(number as u16)),
            LISTENERS..ON_DEMAND => Self::Listener(number - LISTENERS),
            ON_DEMAND..CONTROL => Self::OnDemand(LocalId(number as u16)),
            CONTROL => Self::Control,
            WAKE..CONNECTIONS => Self::Wake,
            CONNECTIONS..PEER_STREAMS => Self::Connection((number - CONNECTIONS) as u32),
            PEER_STREAMS..PEER_LISTENERS => Self::PeerStream(StreamId((number - PEER_STREAMS) as u16)),
            PEER_LISTENERS.. => Self::PeerListener(LocalId((number - PEER_LISTENERS) as u16)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CONNECTIONS_MAX;

    #[test]
    fn each_token_is_a_number_of_its_own_and_is_read_back() {
        let socket = |index: usize| Token::Socket(LocalId(index as u16));
        let on_demand = |index: usize| Token::OnDemand(LocalId::on_demand(index as u16));
        let connection = |index: usize| Token::Connection(index as u32);
        let stream = |index: usize| Token::PeerStream(StreamId(index as u16));
        let listener = |index: usize| Token::PeerListener(LocalId::on_demand(index as u16));
        let sockets = (0..SOCKETS_MAX).map(socket).chain((0..SOCKETS_MAX).map(Token::Listener));
        let streams = (0..CONNECTIONS_MAX).map(connection).chain((0..PEER_STREAMS_MAX).map(stream));
        let all = sockets.chain(streams).chain([Token::Control, Token::Wake]);
        let all = all.chain((0..ON_DEMAND_SOCKETS_MAX).flat_map(|index| [on_demand(index), listener(index)]));
        let mut numbers = std::collections::HashSet::new();
        for token in all {
            let number = mio::Token::from(token);
            assert!(numbers.insert(number), "{token:?}");
            assert_eq!(Token::from(number), token);
        }
        assert_eq!(mio::Token::from(Token::Control), CONTROL_TOKEN);
    }
}
