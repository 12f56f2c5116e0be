//! RTCP from peers: reports, and what they ask for.

use crate::consumer::Consumer;
use crate::shard::Shard;
use crate::slots::Slot;
use crate::transport::Transport;
use control::{Counter, Discard, Kind, Stage};
use machine::{Datagram, Instant, Tx};
use rtcp::{Nack, Packet, ReportBlock, SenderReport, Walk};
use rtp::{SeqNo, Ssrc};

impl Shard {
    /// A datagram of RTCP from a transport's peer.
    pub(crate) fn on_rtcp(
        &mut self,
        now: Instant,
        slot: Slot,
        datagram: Datagram<'_>,
        tx: &mut impl Tx,
    ) -> Result<(), Discard> {
        self.handling.of(Stage::Rtcp, slot);
        let transport = self.transports.find_mut(slot).ok_or(Discard::NoValidPair)?;
        if let Some(side) = transport.send_side.as_deref() {
            // Most are feedback. What it tells of is here by the time it is decrypted.
            side.estimator.prefetch_for_feedback(tx);
        }
        let protection = transport.protection.as_mut().ok_or(Discard::MediaBeforeKeys)?;
        let len = datagram.bytes.len();
        let plain = protection.unprotect_rtcp(datagram.bytes)?;
        // One malformed packet is no reason to lose the others. A datagram without a sound one is not RTCP.
        if !Walk::new(plain).any(|packet| packet.is_ok()) {
            return Err(Discard::RtcpMalformed);
        }
        self.counters.count(Counter::RtcpIn);
        transport.traffic.received.count(len);
        for packet in Walk::new(plain) {
            let taken = match packet {
                Ok(packet) => self.on_rtcp_packet(now, slot, datagram.received_at, &packet, tx),
                Err(_) => Err(Discard::RtcpMalformed),
            };
            if let Err(discard) = taken {
                self.counters.discard(discard);
            }
            self.handling.check_trap();
        }
        Ok(())
    }

    fn on_rtcp_packet(
        &mut self,
        now: Instant,
        slot: Slot,
        received_at: Instant,
        packet: &Packet<'_>,
        tx: &mut impl Tx,
    ) -> Result<(), Discard> {
        match packet {
            Packet::SenderReport(report) => {
                report.reports().for_each(|block| self.on_report_block(now, slot, &block));
                self.on_sender_report(slot, received_at, report)
            }
            Packet::ReceiverReport(report) => {
                report.reports().for_each(|block| self.on_report_block(now, slot, &block));
                Ok(())
            }
            Packet::Twcc(twcc) => self.on_twcc(now, slot, twcc),
            Packet::Remb(remb) => {
                self.on_remb(now, slot, remb);
                Ok(())
            }
            Packet::Nack(nack) => self.on_nack(now, slot, nack, tx),
            Packet::Pli(pli) => self.on_keyframe_request(now, slot, pli.media(), Asked::Pli, tx),
            Packet::Fir(fir) => fir
                .entries()
                .try_for_each(|(media, _)| self.on_keyframe_request(now, slot, media, Asked::Fir, tx)),
            // Names we gave ourselves, a farewell that signaling tells too, and what nobody asked for.
            _ => Ok(()),
        }
    }

    fn on_sender_report(
        &mut self,
        slot: Slot,
        received_at: Instant,
        report: &SenderReport<'_>,
    ) -> Result<(), Discard> {
        let transport = self.transports.find(slot).ok_or(Discard::RtcpUnknownSsrc)?;
        let source = transport.sources.find(report.ssrc()).ok_or(Discard::RtcpUnknownSsrc)?;
        let producer = self.producers.find_mut(source.producer).ok_or(Discard::RtcpUnknownSsrc)?;
        // The reports of a retransmission stream tell the same clocks once more.
        if !source.is_retransmission {
            let stream = &mut producer.streams[usize::from(source.stream)];
            stream.on_sender_report(received_at, report.ntp(), report.rtp_timestamp());
            self.tell_neighbours_clock(source.producer, usize::from(source.stream));
        }
        Ok(())
    }

    /// A report on an SSRC that is no consumer's is one on a retransmission stream, or late.
    fn on_report_block(&mut self, now: Instant, slot: Slot, block: &ReportBlock) {
        let Some(transport) = self.transports.find_mut(slot) else { return };
        let Some(consumer_slot) = transport.consumer(block.ssrc) else { return };
        let Some(consumer) = self.consumers.find_mut(consumer_slot) else { return };
        let rtt = consumer.on_report(now, block);
        transport.rtt = rtt.or(transport.rtt);
        if let Some(side) = transport.send_side.as_deref_mut() {
            side.estimator.on_loss_report(now, block.fraction_lost);
            if let Some(rtt) = rtt {
                side.estimator.on_rtt(rtt);
            }
        }
        self.tell_score(now, consumer_slot);
    }

    fn on_nack(
        &mut self,
        now: Instant,
        slot: Slot,
        nack: &Nack<'_>,
        tx: &mut impl Tx,
    ) -> Result<(), Discard> {
        let transport = self.transports.find_mut(slot).ok_or(Discard::RtcpUnknownSsrc)?;
        let consumer = transport.consumer(nack.media()).ok_or(Discard::RtcpUnknownSsrc)?;
        let consumer = self.consumers.find_mut(consumer).ok_or(Discard::RtcpUnknownSsrc)?;
        let producer = self.producers.find(consumer.producer).ok_or(Discard::RtcpUnknownSsrc)?;
        if consumer.paused {
            return Ok(());
        }
        let Some(out) = &mut transport.egress(now, tx, &mut self.counters) else { return Ok(()) };
        for seq in nack.losses() {
            out.counters.count(Counter::NacksIn);
            consumer.counts.nacks += 1;
            consumer.resend(seq, producer, out);
        }
        self.rearm(now, slot);
        Ok(())
    }

    fn on_keyframe_request(
        &mut self,
        now: Instant,
        slot: Slot,
        media: Ssrc,
        asked: Asked,
        tx: &mut impl Tx,
    ) -> Result<(), Discard> {
        let transport = self.transports.find(slot).ok_or(Discard::RtcpUnknownSsrc)?;
        let consumer = transport.consumer(media).ok_or(Discard::RtcpUnknownSsrc)?;
        let consumer = self.consumers.find_mut(consumer).ok_or(Discard::RtcpUnknownSsrc)?;
        self.counters.count(Counter::KeyframeRequestsIn);
        match asked {
            Asked::Pli => consumer.counts.plis += 1,
            Asked::Fir => consumer.counts.firs += 1,
        }
        // One that is paused sees no picture because of that; its keyframe is asked for when it goes on.
        let (producer, is_paused) = (consumer.producer, consumer.paused);
        let stream =
            self.producers.find(producer).map_or(0, |producer| consumer.stream_of_interest(producer));
        if !is_paused {
            self.want_keyframe(now, producer, stream, tx);
        }
        Ok(())
    }

    /// The encoding whose keyframe helps a consumer.
    pub(crate) fn stream_of_interest(&self, consumer: &Consumer) -> usize {
        self.producers.find(consumer.producer).map_or(0, |producer| consumer.stream_of_interest(producer))
    }

    /// Somebody needs a keyframe of this encoding: asks now, or when the governor allows.
    pub(crate) fn want_keyframe(&mut self, now: Instant, slot: Slot, stream: usize, tx: &mut impl Tx) {
        let Some(producer) = self.producers.find_mut(slot) else { return };
        if producer.kind() == Kind::Audio || producer.paused {
            return;
        }
        let Some(stream) = producer.streams.get_mut(stream) else { return };
        stream.keyframes.want();
        let transport = producer.transport;
        self.request_keyframes(now, transport, tx);
        self.rearm(now, transport);
    }

    /// Asks the peer for the keyframes that its producers' governors want now.
    pub(crate) fn request_keyframes(&mut self, now: Instant, slot: Slot, tx: &mut impl Tx) {
        let Some(transport) = self.transports.find_mut(slot) else { return };
        if transport.pipe().is_some() {
            return self.ask_origins(now, slot);
        }
        if transport.leg().is_none() {
            return; // Keyframes are wanted again when the transport can ask.
        }
        for index in 0..transport.producers.len() {
            let Some(producer) = self.producers.find_mut(transport.producers[index]) else { continue };
            let can_pli = producer.codecs().first().is_some_and(|codec| codec.pli);
            for stream in &mut producer.streams {
                let Some(media) = stream.ssrc else { continue };
                if !stream.keyframes.poll(now) {
                    continue;
                }
                if !can_pli {
                    producer.fir_seq = producer.fir_seq.wrapping_add(1);
                }
                let (sender, fir_seq) = (transport.local_ssrc, producer.fir_seq);
                let sent = send_rtcp(transport, tx, |writer| {
                    if can_pli { writer.pli(sender, media) } else { writer.fir(sender, &[(media, fir_seq)]) }
                });
                if sent {
                    *(if can_pli { &mut stream.counts.plis } else { &mut stream.counts.firs }) += 1;
                    self.counters.count(Counter::KeyframeRequestsOut);
                    self.counters.count(Counter::RtcpOut);
                }
            }
        }
    }

    /// Asks the peer for packets of its producers that are missing.
    pub(crate) fn request_repairs(&mut self, now: Instant, slot: Slot, tx: &mut impl Tx) {
        let Some(transport) = self.transports.find_mut(slot) else { return };
        if transport.leg().is_none() {
            return;
        }
        for index in 0..transport.producers.len() {
            let producer = self.producers.find_mut(transport.producers[index]);
            let Some(producer) = producer.filter(|producer| producer.is_forwarded()) else { continue };
            for stream in &mut producer.streams {
                let (Some(media), Some(nack)) = (stream.ssrc, &mut stream.nack) else { continue };
                let mut lost = Lost::default();
                nack.poll(now, |seq| lost.push(seq));
                self.counters.add(Counter::NacksGivenUp, nack.take_given_up());
                let sender = transport.local_ssrc;
                for chunk in lost.seqs().chunks(Lost::PER_PACKET) {
                    let seqs = chunk.iter().map(|seq| seq.seq());
                    if send_rtcp(transport, tx, |writer| writer.nack(sender, media, seqs)) {
                        self.counters.add(Counter::NacksOut, chunk.len() as u64);
                        stream.counts.nacks += chunk.len() as u64;
                        self.counters.count(Counter::RtcpOut);
                    }
                }
            }
        }
    }
}

/// By what a keyframe is asked for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Pli,
    Fir,
}

/// The packets of one stream to ask for in this turn: on the stack, at the generator's own bound.
struct Lost {
    seqs: [SeqNo; crate::limits::NACK_PENDING_MAX],
    len: usize,
}

impl Default for Lost {
    fn default() -> Self {
        Self { seqs: [SeqNo(0); crate::limits::NACK_PENDING_MAX], len: 0 }
    }
}

impl Lost {
    /// Sequence numbers in one NACK: at worst each takes an entry of 4 bytes.
    const PER_PACKET: usize = (crate::limits::RTCP_LEN_MAX - 32) / 4;

    fn push(&mut self, seq: SeqNo) {
        if let Some(entry) = self.seqs.get_mut(self.len) {
            *entry = seq;
            self.len += 1;
        }
    }

    fn seqs(&self) -> &[SeqNo] {
        &self.seqs[..self.len]
    }
}

/// Sends one compound packet: an empty receiver report as RFC 3550 §6.1 demands, then what `write` appends. False if the transport
/// cannot send, or nothing was appended.
pub(crate) fn send_rtcp(
    transport: &mut Transport,
    tx: &mut impl Tx,
    write: impl FnOnce(&mut rtcp::Writer<'_>) -> bool,
) -> bool {
    let mut buffer = [0; crate::limits::RTCP_LEN_MAX];
    let mut writer = rtcp::Writer::new(&mut buffer);
    if !writer.receiver_report(transport.local_ssrc, &[]) || !write(&mut writer) {
        return false;
    }
    protect_rtcp(transport, tx, writer.as_bytes())
}

/// Encrypts a compound packet into the send batch. False if the transport cannot send or the batch is full.
pub(crate) fn protect_rtcp(transport: &mut Transport, tx: &mut impl Tx, compound: &[u8]) -> bool {
    let flow = transport.flow();
    let (Some(path), Some(protection)) = (transport.rtcp_path(), &mut transport.protection) else {
        return false;
    };
    let len = compound.len() + protection.rtcp_overhead();
    let Some(slot) = tx.slot(flow, path, len) else { return false };
    let is_written = protection.protect_rtcp(compound, slot);
    if is_written {
        transport.traffic.sent.count(len);
    } else {
        tx.cancel();
    }
    is_written
}
