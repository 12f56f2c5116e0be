//! One SCTP association over DTLS (RFC 8261), by sctp-proto, used directly: without the guard, the handshake and
//! the priorities of the engine. Channels are negotiated beforehand, so there is no DCEP.

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier, ServerConfig, StreamEvent, TransportConfig,
};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The library names its peers by address.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// Bytes of a message in a DATA chunk: packets as long as a browser's (RFC 8831 §5).
const FRAGMENT_LEN: u32 = 1160;

/// Bytes of the longest message.
pub const MESSAGE_LEN_MAX: u32 = 256 * 1024;

/// Bytes that may wait to be read.
const RECEIVE_WINDOW: u32 = 4 * MESSAGE_LEN_MAX;

/// A server that begins the association does so at once. If it has not after this time, it waits for this side.
const PASSIVE_MAX: Duration = Duration::from_millis(100);

/// Timeouts like the engine's and usrsctp's in browsers, in milliseconds: first, least, most.
const RTO_MS: (u64, u64, u64) = (500, 400, 3_000);

/// An association, which begins with the end of the DTLS handshake.
pub struct Sctp {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    begin_at: Instant,
    is_connected: bool,
}

/// What has happened.
#[derive(Debug)]
pub enum Happened {
    /// The association is established.
    Connected,
    /// A message of a stream.
    Message(u16, Vec<u8>),
}

impl std::fmt::Debug for Sctp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sctp").field("is_connected", &self.is_connected).finish_non_exhaustive()
    }
}

impl Sctp {
    /// DTLS is complete.
    pub fn new(now: Instant) -> Self {
        let mut config = EndpointConfig::new();
        config.max_payload_size(FRAGMENT_LEN);
        let mut server = ServerConfig::default();
        server.transport = Arc::new(transport());
        let endpoint = Endpoint::new(Arc::new(config), Some(Arc::new(server)));
        Self { endpoint, association: None, begin_at: now + PASSIVE_MAX, is_connected: false }
    }

    /// A decrypted packet.
    pub fn on_packet(&mut self, now: Instant, packet: Vec<u8>) {
        match self.endpoint.handle(now, PEER, None, None, packet.into()) {
            Some((handle, DatagramEvent::NewAssociation(made))) if self.association.is_none() => {
                self.association = Some((handle, made));
            }
            Some((handle, DatagramEvent::AssociationEvent(event))) => {
                if let Some((own, association)) = &mut self.association
                    && *own == handle
                {
                    association.handle_event(event);
                }
            }
            _ => {}
        }
    }

    /// Performs due work. An error ends the peer.
    pub fn on_timeout(&mut self, now: Instant) -> anyhow::Result<()> {
        match &mut self.association {
            Some((_, association)) if association.poll_timeout().is_some_and(|at| at <= now) => {
                association.handle_timeout(now);
            }
            None if self.begin_at <= now => {
                let mut config = ClientConfig::new();
                config.transport = Arc::new(transport());
                self.association = Some(self.endpoint.connect(config, PEER)?);
                // An INIT of the server that crosses this one would begin a second association.
                self.endpoint.reject_new_associations();
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    /// When to call [`on_timeout`](Self::on_timeout).
    pub fn next_timeout(&self) -> Option<Instant> {
        match &self.association {
            Some((_, association)) => association.poll_timeout(),
            None => Some(self.begin_at),
        }
    }

    /// What has happened since, or an error if the association has ended.
    pub fn poll(&mut self, mut on: impl FnMut(Happened)) -> anyhow::Result<()> {
        let Some((_, association)) = &mut self.association else { return Ok(()) };
        let mut readable = Vec::new();
        while association.accept_stream().is_some() {}
        while let Some(event) = association.poll() {
            match event {
                Event::Connected => {
                    self.is_connected = true;
                    on(Happened::Connected);
                }
                Event::HandshakeFailed { reason } | Event::AssociationLost { reason } => {
                    anyhow::bail!("the SCTP association has ended: {reason}");
                }
                Event::Stream(StreamEvent::Readable { id }) => readable.push(id),
                _ => {}
            }
        }
        for id in readable {
            while let Ok(Some(message)) = association.stream(id).and_then(|mut stream| stream.read()) {
                let mut bytes = vec![0; message.len()];
                message.read(&mut bytes)?;
                on(Happened::Message(id, bytes));
            }
        }
        Ok(())
    }

    /// Whether messages can be sent.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Sends a message, reliably and in order.
    pub fn send(&mut self, stream: u16, message: Bytes) -> anyhow::Result<()> {
        let Some((_, association)) = &mut self.association else { return Ok(()) };
        if association.stream(stream).is_err() {
            association.open_stream(stream, PayloadProtocolIdentifier::Binary)?;
        }
        association.stream(stream)?.write_chunks(&mut [message])?;
        Ok(())
    }

    /// The packets to send now.
    pub fn packets(&mut self, now: Instant, mut send: impl FnMut(&[u8])) {
        let Some((_, association)) = &mut self.association else { return };
        while let Some(transmit) = association.poll_transmit(now) {
            if let Payload::RawEncode(packets) = transmit.payload {
                packets.iter().for_each(|packet| send(packet));
            }
        }
        while association.poll_endpoint_event().is_some() {}
    }
}

fn transport() -> TransportConfig {
    let (initial, min, max) = RTO_MS;
    TransportConfig::default()
        .with_max_receive_buffer_size(RECEIVE_WINDOW)
        .with_max_send_message_size(MESSAGE_LEN_MAX)
        .with_max_receive_message_size(MESSAGE_LEN_MAX)
        .with_max_num_inbound_streams(1024)
        .with_max_num_outbound_streams(1024)
        .with_rto_initial_ms(initial)
        .with_rto_min_ms(min)
        .with_rto_max_ms(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes packets between two ends until neither has any.
    fn exchange(now: Instant, ends: &mut [Sctp; 2], happened: &mut [Vec<Happened>; 2]) {
        loop {
            let mut count = 0;
            for from in [0, 1] {
                let mut packets = Vec::new();
                ends[from].packets(now, |packet| packets.push(packet.to_vec()));
                count += packets.len();
                packets.into_iter().for_each(|packet| ends[1 - from].on_packet(now, packet));
                ends[1 - from].poll(|what| happened[1 - from].push(what)).expect("it lives");
            }
            if count == 0 {
                return;
            }
        }
    }

    #[test]
    fn the_side_that_waits_less_begins_and_messages_arrive_in_order() {
        let start = Instant::now();
        let mut ends = [Sctp::new(start), Sctp::new(start + Duration::from_secs(1))];
        let mut happened = [Vec::new(), Vec::new()];
        let mut now = start + PASSIVE_MAX;
        ends[0].on_timeout(now).expect("it begins");
        exchange(now, &mut ends, &mut happened);
        assert!(ends.iter().all(Sctp::is_connected));
        for len in [1, 1160, 65_536, MESSAGE_LEN_MAX as usize] {
            ends[0].send(3, vec![len as u8; len].into()).expect("it is sent");
        }
        for _ in 0..100 {
            now += Duration::from_millis(250);
            ends.iter_mut().for_each(|end| end.on_timeout(now).expect("it lives"));
            exchange(now, &mut ends, &mut happened);
        }
        let lens: Vec<_> = happened[1]
            .iter()
            .filter_map(|what| match what {
                Happened::Message(3, bytes) => Some(bytes.len()),
                _ => None,
            })
            .collect();
        assert_eq!(lens, [1, 1160, 65_536, MESSAGE_LEN_MAX as usize]);
    }
}
