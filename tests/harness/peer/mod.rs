//! A synthetic peer, like a browser, as a [`Machine`]. A test controls it by methods, through the
//! [`World`](crate::World).

mod channels;
mod ice;
mod payload;
pub mod rtcp;
mod secure;
pub mod sink;
pub mod source;
pub mod view;

pub use channels::{Channels, Received};
pub use ice::Agent;
pub use payload::{Payload, Stamp};
pub use secure::Secure;

use crate::layered::LayeredSource;
use crate::track::sent_ext;
use control::{ConsumerId, Event, ExtensionKind, ProducerId};
use dtls::{Certificate, Endpoint, Fingerprint, Settings};
use machine::{Datagram, Flow, Instant, LocalId, Machine, Path, Rng, Tx};
use oracle_rtp::packet::Packet;
use oracle_util::marshal::{Marshal, MarshalSize, Unmarshal};
use rtcp::{
    AnyPacket, Arrivals, Feedback, FullIntraRequest, PictureLossIndication, ReceiverEstimatedMaximumBitrate,
    ReceiverReport, SenderReport, SourceDescription, TransportLayerCc, TransportLayerNack,
};
use sink::Sink;
use source::Source;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use stun::Demux;

/// Between reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Interval of checks for missing packets, while any are missing, or a picture is awaited.
const REPAIR_INTERVAL: Duration = Duration::from_millis(10);

/// Bytes of a padding-only packet.
const PADDING_LEN: usize = 224;

/// Between transport-wide feedbacks.
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);

/// Faults that are stored; the first one is the important one.
const FAULTS_MAX: usize = 8;

/// The parameters of the engine and of the peer.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// Its name in RTCP.
    pub cname: String,
    /// Where the engine is.
    pub engine: SocketAddr,
    /// The credentials for its checks.
    pub ice: control::IceParameters,
    /// Of the engine's certificate.
    pub fingerprint: Fingerprint,
    /// Its own certificate.
    pub certificate: Certificate,
    /// Its DTLS settings.
    pub dtls: Settings,
    /// Whether it is the DTLS server (`a=setup:passive`).
    pub is_dtls_server: bool,
}

/// A browser in a call.
#[derive(Debug)]
pub struct Peer {
    introduction: Introduction,
    rng: Rng,
    agent: Agent,
    secure: Option<Secure>,
    channels: Channels,
    /// When media could flow.
    connected_at: Option<Instant>,
    sources: Vec<(ProducerId, Source)>,
    layered: Vec<(ProducerId, LayeredSource)>,
    sinks: Vec<(ConsumerId, Sink)>,
    /// The SSRC of its own RTCP.
    ssrc: u32,
    /// The send times of transport-wide numbers, from 0 on.
    numbered: Vec<Instant>,
    feedback: Vec<Feedback>,
    /// Arrivals with the engine's transport-wide numbers.
    arrivals: Arrivals,
    padding: u64,
    /// The engine's limit of its rate.
    remb_bps: Option<f32>,
    feedback_due: Option<Instant>,
    /// Its reported receive bandwidth, once a second.
    claims_bps: Option<f32>,
    report_due: Option<Instant>,
    repair_due: Option<Instant>,
    digest: DefaultHasher,
    faults: Vec<String>,
    /// Packets after its close are ignored.
    has_left: bool,
}

impl Peer {
    /// A peer that starts checks at `now`.
    pub fn new(now: Instant, introduction: Introduction, mut rng: Rng) -> Self {
        let Introduction { dtls, certificate, fingerprint, is_dtls_server, .. } = &introduction;
        // Not forked from it: the other randomness stays as it is without channels.
        let channels = rng.clone().fork();
        let server =
            is_dtls_server.then(|| Secure::new(Endpoint::server(dtls, certificate, *fingerprint, now)));
        Self {
            agent: Agent::new(now, &introduction.ice, rng.fork()),
            introduction,
            secure: server,
            channels: Channels::new(channels),
            connected_at: None,
            sources: Vec::new(),
            layered: Vec::new(),
            sinks: Vec::new(),
            ssrc: rng.next_u32(),
            numbered: Vec::new(),
            feedback: Vec::new(),
            arrivals: Arrivals::default(),
            padding: 0,
            remb_bps: None,
            feedback_due: None,
            claims_bps: None,
            report_due: None,
            repair_due: None,
            digest: DefaultHasher::new(),
            faults: Vec::new(),
            has_left: false,
            rng,
        }
    }

    /// Its ICE agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Its ICE agent, to change it.
    pub fn agent_mut(&mut self) -> &mut Agent {
        &mut self.agent
    }

    /// Its data channels.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Its data channels, to change them.
    pub fn channels_mut(&mut self) -> &mut Channels {
        &mut self.channels
    }

    /// When media could first flow.
    pub fn connected_at(&self) -> Option<Instant> {
        self.connected_at
    }

    /// The SRTP profile, once connected.
    pub fn profile(&self) -> Option<srtp::Profile> {
        self.secure.as_ref().and_then(Secure::profile)
    }

    /// When each transport-wide number was sent, from number 0 on.
    pub fn numbered(&self) -> &[Instant] {
        &self.numbered
    }

    /// The engine's transport-wide feedback.
    pub fn feedback(&self) -> &[Feedback] {
        &self.feedback
    }

    /// From now on reports this receive bandwidth, in bits per second.
    pub fn claim(&mut self, bps: f32) {
        self.claims_bps = Some(bps);
    }

    /// Padding-only packets from the engine.
    pub fn padding(&self) -> u64 {
        self.padding
    }

    /// The engine's latest limit of its rate, in bits per second.
    pub fn remb_bps(&self) -> Option<f32> {
        self.remb_bps
    }

    /// Packets that a browser would have rejected, the first few.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Over every received packet, decrypted, with its time. Ciphertext does not count: the keys differ from
    /// run to run.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// Sends this as the content of a DTLS record.
    pub fn send_record(&mut self, now: Instant, record: &[u8]) {
        self.secure.as_mut().expect("DTLS").send(now, record);
    }

    /// Closes DTLS.
    pub fn close_dtls(&mut self, now: Instant) {
        if let Some(secure) = &mut self.secure {
            secure.close(now);
        }
        self.has_left = true;
        self.agent.fall_silent();
        self.sources.iter_mut().for_each(|(_, source)| source.stop());
        self.layered.iter_mut().for_each(|(_, source)| source.stop());
    }

    /// A source it sends.
    pub fn source(&self, id: ProducerId) -> Option<&Source> {
        self.sources.iter().find(|(known, _)| *known == id).map(|(_, source)| source)
    }

    /// A source, to change it.
    pub fn source_mut(&mut self, id: ProducerId) -> Option<&mut Source> {
        self.sources.iter_mut().find(|(known, _)| *known == id).map(|(_, source)| source)
    }

    /// A layered source it sends.
    pub fn layered(&self, id: ProducerId) -> Option<&LayeredSource> {
        self.layered.iter().find(|(known, _)| *known == id).map(|(_, source)| source)
    }

    /// A layered source, to change it.
    pub fn layered_mut(&mut self, id: ProducerId) -> Option<&mut LayeredSource> {
        self.layered.iter_mut().find(|(known, _)| *known == id).map(|(_, source)| source)
    }

    /// Does not wait longer for missing packets of its layered tracks.
    pub(crate) fn finish(&mut self, now: Instant) {
        let faults: Vec<_> = self.sinks.iter_mut().filter_map(|(_, sink)| sink.finish(now).err()).collect();
        faults.into_iter().for_each(|fault| self.fault(fault));
    }

    /// A sink it receives.
    pub fn sink(&self, id: ConsumerId) -> Option<&Sink> {
        self.sinks.iter().find(|(known, _)| *known == id).map(|(_, sink)| sink)
    }

    /// A sink, to change it.
    pub fn sink_mut(&mut self, id: ConsumerId) -> Option<&mut Sink> {
        self.sinks.iter_mut().find(|(known, _)| *known == id).map(|(_, sink)| sink)
    }

    pub(crate) fn send(&mut self, id: ProducerId, source: Source) {
        self.sources.push((id, source));
    }

    pub(crate) fn send_layered(&mut self, id: ProducerId, source: LayeredSource) {
        self.layered.push((id, source));
    }

    pub(crate) fn receive(&mut self, now: Instant, id: ConsumerId, sink: Sink) {
        self.sinks.push((id, sink));
        self.repair_due.get_or_insert(now + REPAIR_INTERVAL);
    }

    fn is_secure(&self) -> bool {
        self.secure.as_ref().is_some_and(Secure::is_connected)
    }

    fn fault(&mut self, fault: String) {
        if self.faults.len() < FAULTS_MAX && !self.has_left {
            self.faults.push(fault);
        }
    }

    fn write(&self, bytes: &[u8], tx: &mut impl Tx) {
        let path = Path { local: LocalId(0), remote: self.introduction.engine };
        tx.slot(Flow(0), path, bytes.len()).expect("a peer's batch has no end").copy_from_slice(bytes);
    }

    fn on_stun(&mut self, now: Instant, bytes: &[u8], tx: &mut impl Tx) -> Result<(), String> {
        self.agent.on_answer(now, bytes)?;
        if self.agent.is_connected() && self.secure.is_none() {
            let Introduction { dtls, certificate, fingerprint, .. } = &self.introduction;
            self.secure = Some(Secure::new(Endpoint::client(dtls, certificate, *fingerprint, now)));
            self.drive_dtls(now, tx);
        }
        self.check(now, tx);
        Ok(())
    }

    fn check(&mut self, now: Instant, tx: &mut impl Tx) {
        if let Some(check) = self.agent.check(now) {
            self.write(&check, tx);
        }
    }

    fn on_dtls(&mut self, now: Instant, bytes: &[u8], tx: &mut impl Tx) -> Result<(), String> {
        let secure = self.secure.as_mut().ok_or("DTLS before ICE has succeeded")?;
        let taken = secure.on_datagram(now, bytes);
        self.drive_dtls(now, tx);
        taken
    }

    fn drive_dtls(&mut self, now: Instant, tx: &mut impl Tx) {
        let Some(secure) = &mut self.secure else { return };
        let mut datagrams = secure.drain();
        self.channels.drive(now, secure, self.introduction.is_dtls_server);
        datagrams.append(&mut secure.drain());
        for datagram in datagrams {
            self.write(&datagram, tx);
        }
        if self.connected_at.is_none() && self.is_secure() {
            self.connected_at = Some(now);
            let phase = u64::from(self.rng.below(REPORT_INTERVAL.as_millis() as u32));
            self.report_due = Some(now + Duration::from_millis(phase));
        }
    }

    fn on_rtp(&mut self, now: Instant, bytes: &[u8]) -> Result<(), String> {
        let secure = self.secure.as_mut().ok_or("SRTP before ICE has succeeded")?;
        let plain = secure.unprotect_rtp(bytes)?;
        (now, &plain).hash(&mut self.digest);
        let read = catch_unwind(AssertUnwindSafe(|| Packet::unmarshal(&mut &plain[..])));
        let packet = read
            .map_err(|_| "RTP makes the published implementation panic".to_owned())?
            .map_err(|error| format!("RTP is malformed: {error}"))?;
        let ssrc = packet.header.ssrc;
        let sink = self.sinks.iter_mut().find(|(_, sink)| sink.owns(ssrc));
        let (_, sink) = sink.ok_or_else(|| format!("SSRC {ssrc} has no track"))?;
        let number = sink.extension(ExtensionKind::TransportCc);
        if let Some(value) = number.and_then(|id| packet.header.get_extension(id)) {
            let number = value.first_chunk::<2>().ok_or("a transport-wide number of one byte")?;
            self.arrivals.record(now, u16::from_be_bytes(*number));
            self.feedback_due.get_or_insert(now + FEEDBACK_INTERVAL);
        }
        if sink.is_padding(&packet) {
            self.padding += 1;
            return Ok(());
        }
        sink.on_packet(now, &packet)?;
        if sink.is_incomplete() {
            let soon = now + REPAIR_INTERVAL;
            self.repair_due = Some(self.repair_due.map_or(soon, |due| due.min(soon)));
        }
        Ok(())
    }

    fn on_rtcp(&mut self, now: Instant, bytes: &[u8], tx: &mut impl Tx) -> Result<(), String> {
        let secure = self.secure.as_mut().ok_or("SRTCP before ICE has succeeded")?;
        let plain = secure.unprotect_rtcp(bytes)?;
        (now, &plain).hash(&mut self.digest);
        for packet in rtcp::read(&plain)? {
            self.on_rtcp_packet(now, &packet, tx)?;
        }
        Ok(())
    }

    fn on_rtcp_packet(&mut self, now: Instant, packet: &AnyPacket, tx: &mut impl Tx) -> Result<(), String> {
        let packet = packet.as_any();
        if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
            let lost: Vec<u16> = nack.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
            return self.on_nack(now, nack.media_ssrc, &lost, tx);
        }
        if let Some(pli) = packet.downcast_ref::<PictureLossIndication>() {
            self.on_keyframe_request(now, pli.media_ssrc)?;
        } else if let Some(fir) = packet.downcast_ref::<FullIntraRequest>() {
            for entry in &fir.fir {
                self.on_keyframe_request(now, entry.ssrc)?;
            }
        } else if let Some(feedback) = packet.downcast_ref::<TransportLayerCc>() {
            self.feedback.push(Feedback::new(now, feedback));
        } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
            for block in &report.reports {
                match self.layered_of(block.ssrc) {
                    Some((source, _)) => source.on_report(now, block),
                    None => self.source_of(block.ssrc)?.on_report(now, block.clone()),
                }
            }
        } else if let Some(report) = packet.downcast_ref::<SenderReport>() {
            let sink = self.sinks.iter_mut().find(|(_, sink)| sink.consume().ssrc == report.ssrc);
            let (_, sink) = sink.ok_or("a sender report on an SSRC without a track")?;
            sink.on_sender_report(now, report.ntp_time, report.rtp_time, report.packet_count);
        } else if let Some(remb) = packet.downcast_ref::<ReceiverEstimatedMaximumBitrate>() {
            self.remb_bps = Some(remb.bitrate);
        } else if let Some(sdes) = packet.downcast_ref::<SourceDescription>() {
            self.on_names(sdes);
        } else {
            return Err("RTCP of a kind that the engine does not send".to_owned());
        }
        Ok(())
    }

    fn on_names(&mut self, sdes: &SourceDescription) {
        for chunk in &sdes.chunks {
            let sink = self.sinks.iter_mut().find(|(_, sink)| sink.consume().ssrc == chunk.source);
            if let (Some((_, sink)), Some(item)) = (sink, chunk.items.first()) {
                sink.on_cname(String::from_utf8_lossy(&item.text).into_owned());
            }
        }
    }

    fn on_keyframe_request(&mut self, now: Instant, ssrc: u32) -> Result<(), String> {
        match self.layered_of(ssrc) {
            Some((source, stream)) => source.on_keyframe_request(now, stream),
            None => self.source_of(ssrc)?.on_keyframe_request(now),
        }
        Ok(())
    }

    fn layered_of(&mut self, ssrc: u32) -> Option<(&mut LayeredSource, usize)> {
        let mut sources = self.layered.iter_mut();
        sources.find_map(|(_, source)| source.stream_of(ssrc).map(|stream| (source, stream)))
    }

    fn source_of(&mut self, ssrc: u32) -> Result<&mut Source, String> {
        let found = self.sources.iter_mut().find(|(_, source)| source.owns(ssrc));
        found.map(|(_, source)| source).ok_or_else(|| format!("feedback on SSRC {ssrc}, which is not sent"))
    }

    fn on_nack(&mut self, now: Instant, media: u32, lost: &[u16], tx: &mut impl Tx) -> Result<(), String> {
        let (repairs, has_numbers): (Vec<_>, bool) = if let Some((source, _)) = self.layered_of(media) {
            let repairs = lost.iter().filter_map(|seq| source.on_nack(now, media, *seq)).collect();
            (repairs, source.track().transport_cc)
        } else {
            let source = self.source_of(media)?;
            let repairs = lost.iter().filter_map(|seq| source.on_nack(now, media, *seq)).collect();
            (repairs, source.track().transport_cc)
        };
        for (mut packet, needs_number) in repairs {
            if needs_number && has_numbers {
                self.number(now, &mut packet);
            }
            self.send_rtp(&packet, tx);
        }
        Ok(())
    }

    fn number(&mut self, now: Instant, packet: &mut Packet) {
        let number = self.numbered.len() as u16;
        source::set_extension(&mut packet.header, sent_ext::TRANSPORT_CC, &number.to_be_bytes());
        self.numbered.push(now);
    }

    fn send_frames(&mut self, now: Instant, tx: &mut impl Tx) {
        for index in 0..self.sources.len() {
            let has_numbers = self.sources[index].1.track().transport_cc;
            for mut packet in self.sources[index].1.frame(now) {
                if has_numbers {
                    self.number(now, &mut packet);
                }
                self.send_rtp(&packet, tx);
                self.sources[index].1.remember(packet);
            }
        }
    }

    fn send_layered_frames(&mut self, now: Instant, tx: &mut impl Tx) {
        for index in 0..self.layered.len() {
            let has_numbers = self.layered[index].1.track().transport_cc;
            for mut packet in self.layered[index].1.frame(now) {
                if has_numbers {
                    self.number(now, &mut packet);
                }
                self.send_rtp(&packet, tx);
                self.layered[index].1.remember(packet);
            }
        }
    }

    fn send_rtp(&mut self, packet: &Packet, tx: &mut impl Tx) {
        let mut plain = packet.marshal().expect("our own packets are well-formed").to_vec();
        if packet.header.padding {
            // The published implementation pads to four bytes; libwebrtc as far as there is room.
            plain.truncate(packet.header.marshal_size());
            plain.resize(plain.len() + PADDING_LEN - 1, 0);
            plain.push(PADDING_LEN as u8);
        }
        let Some(secure) = &mut self.secure else { return };
        let bytes = secure.protect_rtp(&plain);
        self.write(&bytes, tx);
    }

    fn send_rtcp(&mut self, packets: &[AnyPacket], tx: &mut impl Tx) {
        let Some(secure) = &mut self.secure else { return };
        let bytes = secure.protect_rtcp(&rtcp::write(packets));
        self.write(&bytes, tx);
    }

    /// One compound packet per second: sender reports, or an empty receiver report, with blocks on received
    /// streams.
    fn send_reports(&mut self, now: Instant, tx: &mut impl Tx) {
        if self.report_due.is_none_or(|due| due > now) {
            return;
        }
        self.report_due = Some(now + REPORT_INTERVAL);
        let blocks: Vec<_> = self.sinks.iter().filter_map(|(_, sink)| sink.report(now)).take(31).collect();
        let mut packets: Vec<AnyPacket> = Vec::new();
        for report in self.sources.iter().filter_map(|(_, source)| source.sender_report(now)) {
            packets.push(Box::new(report));
        }
        for (_, source) in &self.layered {
            packets.extend(source.sender_reports(now).map(|report| Box::new(report) as AnyPacket));
        }
        packets.push(Box::new(ReceiverReport { ssrc: self.ssrc, reports: blocks, ..Default::default() }));
        packets.push(rtcp::cname(self.ssrc, &self.introduction.cname));
        if let Some(bitrate) = self.claims_bps {
            let ssrcs = self.sinks.iter().map(|(_, sink)| sink.consume().ssrc).collect();
            packets.push(Box::new(ReceiverEstimatedMaximumBitrate {
                sender_ssrc: self.ssrc,
                bitrate,
                ssrcs,
            }));
        }
        self.send_rtcp(&packets, tx);
    }

    /// Sends feedback on arrivals with transport-wide numbers.
    fn send_feedback(&mut self, now: Instant, tx: &mut impl Tx) {
        if self.feedback_due.is_none_or(|due| due > now) {
            return;
        }
        self.feedback_due = None;
        let media = self.sinks.first().map_or(0, |(_, sink)| sink.consume().ssrc);
        while let Some(feedback) = self.arrivals.tell(self.ssrc, media) {
            let report = ReceiverReport { ssrc: self.ssrc, ..Default::default() };
            self.send_rtcp(&[Box::new(report), Box::new(feedback)], tx);
        }
    }

    fn ask_for_repairs(&mut self, now: Instant, tx: &mut impl Tx) {
        if self.repair_due.is_none_or(|due| due > now) {
            return;
        }
        let round_trip = self.agent.round_trip().unwrap_or(Duration::from_millis(50));
        let mut packets: Vec<AnyPacket> =
            vec![Box::new(ReceiverReport { ssrc: self.ssrc, ..Default::default() })];
        for (_, sink) in &mut self.sinks {
            let media = sink.consume().ssrc;
            // A NACK has 17 numbers in 4 bytes; at worst a hundred fit.
            packets.extend(
                sink.lost(now, round_trip).chunks(100).map(|lost| rtcp::nack(self.ssrc, media, lost)),
            );
            packets.extend(sink.wants_keyframe(now).then(|| rtcp::pli(self.ssrc, media)));
        }
        if packets.len() > 1 {
            self.send_rtcp(&packets, tx);
        }
        let has_video = self.sinks.iter().any(|(_, sink)| sink.waits_for_pictures());
        let is_incomplete = self.sinks.iter().any(|(_, sink)| sink.is_incomplete());
        self.repair_due = match (is_incomplete, has_video) {
            (true, _) => Some(now + REPAIR_INTERVAL),
            (false, true) => Some(now + REPAIR_INTERVAL * 10),
            (false, false) => None,
        };
    }
}

impl Machine for Peer {
    /// Orders are methods.
    type Command = Infallible;
    type Event = Event;

    fn on_datagram(&mut self, now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        let bytes = &*datagram.bytes;
        let taken = match stun::demux(bytes) {
            Demux::Stun => self.on_stun(now, bytes, tx),
            Demux::Dtls => self.on_dtls(now, bytes, tx),
            // The end of the handshake was lost, and media overtook its retransmission.
            Demux::Rtp | Demux::Rtcp if !self.is_secure() => Ok(()),
            Demux::Rtp => self.on_rtp(now, bytes),
            Demux::Rtcp => self.on_rtcp(now, bytes, tx),
            _ => Err("a datagram of no protocol we speak".to_owned()),
        };
        if let Err(fault) = taken {
            self.fault(format!("{fault}, at {:?}", now.since_epoch()));
        }
    }

    fn on_batch_end(&mut self, _now: Instant, _tx: &mut impl Tx) {}

    fn on_timeout(&mut self, now: Instant, tx: &mut impl Tx) {
        self.check(now, tx);
        if let Some(secure) = &mut self.secure {
            if let Err(fault) = secure.on_timeout(now) {
                self.fault(fault);
            }
            self.drive_dtls(now, tx);
        }
        if self.is_secure() {
            self.send_frames(now, tx);
            self.send_layered_frames(now, tx);
            self.send_reports(now, tx);
            self.send_feedback(now, tx);
            self.ask_for_repairs(now, tx);
        }
    }

    fn on_command(&mut self, _now: Instant, command: Infallible, _tx: &mut impl Tx) {
        match command {}
    }

    fn poll_event(&mut self) -> Option<Event> {
        None
    }

    fn next_timeout(&self) -> Option<Instant> {
        let secure = self.secure.as_ref();
        let channels = self.channels.next_timeout().filter(|_| self.is_secure());
        let base = [self.agent.next_timeout(), secure.and_then(Secure::next_timeout), channels];
        let frames = self.sources.iter().filter_map(|(_, source)| source.next_timeout());
        let layered = self.layered.iter().filter_map(|(_, source)| source.next_timeout());
        let media =
            frames.chain(layered).chain(self.report_due).chain(self.repair_due).chain(self.feedback_due);
        let media = media.filter(|_| self.is_secure());
        base.into_iter().flatten().chain(media).min()
    }
}
