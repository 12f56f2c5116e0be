//! The library (sctp-proto), behind the few functions that an association needs.
//!
//! The library's time is [`std::time::Instant`], which only a clock can make. It reads one when it begins a
//! handshake; that value is the origin to which our time is added, and nothing else depends on it.

use crate::channel::{Limit, Reliability};
use crate::guard::SINK;
use crate::handshake::Init;
use crate::limits::{MESSAGE_LEN_MAX, RECEIVE_WINDOW, RTO_INITIAL, RTO_MAX, RTO_MIN, STREAMS_MAX};
use crate::packet::Ports;
use bytes::Bytes;
use machine::Instant;
use sctp_proto::{
    Association, AssociationHandle, Chunks, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
    Payload, PayloadProtocolIdentifier, ReliabilityType, ServerConfig, TransportConfig,
};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The library names its peers by address.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// Bytes of a packet's header and of a DATA chunk's.
const HEADERS_LEN: usize = 12 + 16;

pub(crate) struct Link {
    endpoint: Endpoint,
    handle: AssociationHandle,
    association: Association,
    origin: std::time::Instant,
    /// Bytes that were written and not yet sent for the first time. An estimate: abandoned messages count
    /// until [`bound_unsent`](Self::bound_unsent).
    unsent: usize,
}

impl Link {
    /// An established association. `None` if the library refuses it.
    pub(crate) fn new(ports: Ports, packet_len_max: usize, ours: &Init, peer: &Init) -> Option<Self> {
        let ms = |duration: Duration| duration.as_millis() as u64;
        let transport = TransportConfig::default()
            .with_max_receive_buffer_size(RECEIVE_WINDOW as u32)
            .with_max_send_message_size(MESSAGE_LEN_MAX as u32)
            .with_max_receive_message_size(MESSAGE_LEN_MAX as u32)
            .with_max_num_inbound_streams(STREAMS_MAX)
            .with_max_num_outbound_streams(STREAMS_MAX)
            .with_rto_initial_ms(ms(RTO_INITIAL))
            .with_rto_min_ms(ms(RTO_MIN))
            .with_rto_max_ms(ms(RTO_MAX))
            .with_local_port(ports.local)
            .with_remote_port(ports.remote);
        let mut config = EndpointConfig::new();
        // In whole words, because chunks are padded.
        let payload_len_max = (packet_len_max - HEADERS_LEN) / 4 * 4;
        config.max_payload_size(payload_len_max as u32);
        // The library expects a configuration for incoming associations, which the guard never admits.
        let mut endpoint = Endpoint::new(Arc::new(config), Some(Arc::new(ServerConfig::new())));
        endpoint.reject_new_associations();
        let mut client = ClientConfig::new();
        client.transport = Arc::new(transport);
        let client = client.with_snap(ours.chunk(), peer.chunk());
        let (handle, association) = endpoint.connect(client, PEER).ok()?;
        Some(Self { endpoint, handle, association, origin: origin()?, unsent: 0 })
    }

    fn to_library(&self, now: Instant) -> std::time::Instant {
        self.origin + now.since_epoch()
    }

    /// A packet from the peer, which the guard has admitted.
    pub(crate) fn on_packet(&mut self, now: Instant, packet: Bytes) {
        let now = self.to_library(now);
        match self.endpoint.handle(now, PEER, None, None, packet) {
            Some((handle, DatagramEvent::AssociationEvent(event))) if handle == self.handle => {
                self.association.handle_event(event);
            }
            _ => {}
        }
        // Their order is that of the messages.
        while self.association.accept_stream().is_some() {}
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) {
        self.association.handle_timeout(self.to_library(now));
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let at = self.association.poll_timeout()?;
        let since = at.saturating_duration_since(self.origin);
        Some(Instant::EPOCH + since)
    }

    pub(crate) fn poll(&mut self) -> Option<Event> {
        // Only after its end, and then the endpoint is dropped too.
        while self.association.poll_endpoint_event().is_some() {}
        self.association.poll()
    }

    /// The packets that may be sent now.
    pub(crate) fn packets(&mut self, now: Instant) -> Vec<Bytes> {
        match self.association.poll_transmit(self.to_library(now)).map(|transmit| transmit.payload) {
            Some(Payload::RawEncode(packets)) => packets,
            _ => Vec::new(),
        }
    }

    /// Opens a stream for us, unless the peer has opened it by its data.
    pub(crate) fn open(&mut self, stream: u16) -> bool {
        let exists = self.association.stream(stream).is_ok();
        exists || self.association.open_stream(stream, PayloadProtocolIdentifier::Binary).is_ok()
    }

    /// Resets our direction, once all messages are acknowledged; the stream is not read any more.
    pub(crate) fn close(&mut self, stream: u16) {
        if let Ok(mut stream) = self.association.stream(stream) {
            let _ = stream.close();
        }
    }

    /// A complete message.
    pub(crate) fn read(&mut self, stream: u16) -> Option<Chunks> {
        self.association.stream(stream).ok()?.read().ok()?
    }

    /// Reads and drops what was sunk; returns the fragments.
    pub(crate) fn drain_sink(&mut self) -> usize {
        std::iter::from_fn(|| self.read(SINK)).map(|message| message.chunks.len()).sum()
    }

    /// False if the stream cannot be written.
    pub(crate) fn write(
        &mut self,
        stream: u16,
        protocol: PayloadProtocolIdentifier,
        reliability: Reliability,
        payload: Bytes,
    ) -> bool {
        let len = payload.len();
        let (kind, value) = match reliability.limit {
            Limit::Reliable => (ReliabilityType::Reliable, 0),
            Limit::Retransmissions(count) => (ReliabilityType::Rexmit, count),
            Limit::LifetimeMs(ms) => (ReliabilityType::Timed, ms),
        };
        let Ok(mut stream) = self.association.stream(stream) else { return false };
        let is_written = stream.set_reliability_params(reliability.is_unordered, kind, value).is_ok()
            && stream.set_default_payload_type(protocol).is_ok()
            // Not copied: the fragments are slices of it.
            && stream.write_chunks(&mut [payload]).is_ok();
        self.unsent += if is_written { len } else { 0 };
        is_written
    }

    /// Bytes of messages that are not acknowledged.
    pub(crate) fn buffered(&mut self, stream: u16) -> usize {
        self.association.stream(stream).and_then(|stream| stream.buffered_amount()).unwrap_or(0)
    }

    pub(crate) fn unsent(&self) -> usize {
        self.unsent
    }

    /// Bytes were sent for the first time.
    pub(crate) fn first_sent(&mut self, bytes: usize) {
        self.unsent = self.unsent.saturating_sub(bytes);
    }

    /// No more than all that is buffered can be unsent.
    pub(crate) fn bound_unsent(&mut self, buffered: usize) {
        self.unsent = self.unsent.min(buffered);
    }
}

/// See the module.
fn origin() -> Option<std::time::Instant> {
    let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::new()), None);
    let (_, association) = endpoint.connect(ClientConfig::new(), PEER).ok()?;
    association.poll_timeout()
}
