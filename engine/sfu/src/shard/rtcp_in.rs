//! RTCP from peers: reports, and what they ask for.

use crate::base::slots::Slot;
use crate::egress::consumer::Consumer;
use crate::shard::Shard;
use crate::transport::Transport;
use control::{Counter, Counters, Discard, Kind, Stage};
use machine::{Datagram, Instant, Tx, meter};
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
        let plain = match protection.unprotect_rtcp(datagram.bytes) {
            Err(Discard::SsrcLimit) => return Err(self.on_keys_used_up(slot)),
            unprotected => unprotected?,
        };
        if transport.on_authentic(now, datagram.path) {
            self.deadlines.hasten(slot.index(), now);
        }
        // One malformed packet is no reason to lose the others. A datagram without a sound one is not RTCP.
        if !Walk::new(plain).any(|packet| packet.is_ok()) {
            return Err(Discard::RtcpMalformed);
        }
        self.counters.count(Counter::RtcpIn);
        transport.traffic.received.count(len);
        let budget = &mut Budget::new();
        for packet in Walk::new(plain) {
            meter::charge(1, 50);
            let taken = match packet {
                Ok(packet) => self.on_rtcp_packet(now, slot, datagram.received_at, &packet, budget, tx),
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
        budget: &mut Budget,
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
            Packet::Twcc(twcc) => self.on_twcc(now, slot, twcc, &mut budget.statuses),
            Packet::Remb(remb) => {
                self.on_remb(now, slot, remb);
                Ok(())
            }
            Packet::Nack(nack) => self.on_nack(now, slot, nack, budget, tx),
            Packet::Pli(pli) => self.on_keyframe_request(slot, pli.media(), Asked::Pli, budget),
            Packet::Fir(fir) => fir
                .entries()
                .try_for_each(|(media, _)| self.on_keyframe_request(slot, media, Asked::Fir, budget)),
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
            self.send_clock_to_subscribers(source.producer, usize::from(source.stream));
        }
        Ok(())
    }

    /// A report on an SSRC that is no consumer's is one on a retransmission stream, or late.
    fn on_report_block(&mut self, now: Instant, slot: Slot, block: &ReportBlock) {
        meter::charge(1, 500);
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
        self.report_score(now, consumer_slot);
    }

    fn on_nack(
        &mut self,
        now: Instant,
        slot: Slot,
        nack: &Nack<'_>,
        budget: &mut Budget,
        tx: &mut impl Tx,
    ) -> Result<(), Discard> {
        let transport = self.transports.find_mut(slot).ok_or(Discard::RtcpUnknownSsrc)?;
        let consumer = transport.consumer(nack.media()).ok_or(Discard::RtcpUnknownSsrc)?;
        let consumer = self.consumers.find_mut(consumer).ok_or(Discard::RtcpUnknownSsrc)?;
        let producer = self.producers.find(consumer.producer).ok_or(Discard::RtcpUnknownSsrc)?;
        let asked = nack.loss_count();
        self.counters.add(Counter::NacksIn, asked as u64);
        consumer.counts.nacks += asked as u64;
        if consumer.paused {
            return Ok(());
        }
        let Some(out) = &mut transport.egress(now, tx, &mut self.counters) else { return Ok(()) };
        for (nth, seq) in nack.losses().enumerate() {
            if budget.losses == 0 {
                out.counters.add(Counter::NacksOverBudget, (asked - nth) as u64);
                break;
            }
            budget.losses -= 1;
            meter::charge(1, 100);
            if consumer.resend(seq, producer, budget.resends == 0, out) {
                budget.resends -= 1;
            }
        }
        self.rearm_send_side(slot);
        Ok(())
    }

    fn on_keyframe_request(
        &mut self,
        slot: Slot,
        media: Ssrc,
        asked: Asked,
        budget: &mut Budget,
    ) -> Result<(), Discard> {
        meter::charge(1, 20);
        if !budget.is_first_request(media) {
            return Ok(());
        }
        meter::charge(1, 400);
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
            self.want_keyframe(producer, stream);
        }
        Ok(())
    }

    /// The encoding whose keyframe helps a consumer.
    pub(crate) fn stream_of_interest(&self, consumer: &Consumer) -> usize {
        self.producers.find(consumer.producer).map_or(0, |producer| consumer.stream_of_interest(producer))
    }

    /// A consumer needs a keyframe of this encoding. The publisher is asked when timers run next, or when the governor allows: however
    /// many ask in the meantime, this costs each of them the same.
    pub(crate) fn want_keyframe(&mut self, slot: Slot, stream: usize) {
        let Some(producer) = self.producers.find_mut(slot) else { return };
        if producer.kind() == Kind::Audio || producer.paused {
            return;
        }
        let Some(stream) = producer.streams.get_mut(stream) else { return };
        stream.keyframes.want();
        self.rearm_producer(slot);
    }

    /// Asks the peer for the keyframes that its producers' governors want now.
    pub(crate) fn request_keyframes(&mut self, now: Instant, slot: Slot, tx: &mut impl Tx) {
        let Some(transport) = self.transports.find_mut(slot) else { return };
        if transport.pipe().is_some() {
            return self.ask_origins(now, slot);
        }
        if transport.send_path().is_none() {
            return; // Keyframes are wanted again when the transport can ask.
        }
        let mut buffer = [0; crate::limits::RTCP_LEN_MAX];
        let mut requests = Requests::new(&mut buffer);
        for index in 0..transport.producers.len() {
            let Some(producer) = self.producers.find_mut(transport.producers[index]) else { continue };
            meter::charge(producer.streams.len(), 20);
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
                let written = requests.add(transport, tx, &mut self.counters, |writer| {
                    if can_pli { writer.pli(sender, media) } else { writer.fir(sender, &[(media, fir_seq)]) }
                });
                if written {
                    *(if can_pli { &mut stream.counts.plis } else { &mut stream.counts.firs }) += 1;
                    self.counters.count(Counter::KeyframeRequestsOut);
                }
            }
        }
        requests.send(transport, tx, &mut self.counters);
    }

    /// Asks the peer for packets of its producers that are missing.
    pub(crate) fn request_repairs(&mut self, now: Instant, slot: Slot, tx: &mut impl Tx) {
        let Some(transport) = self.transports.find_mut(slot) else { return };
        if transport.send_path().is_none() {
            return;
        }
        let mut buffer = [0; crate::limits::RTCP_LEN_MAX];
        let mut requests = Requests::new(&mut buffer);
        let mut looked_at = 0;
        for index in 0..transport.producers.len() {
            let producer = self.producers.find_mut(transport.producers[index]);
            let Some(producer) = producer.filter(|producer| producer.is_forwarded()) else { continue };
            meter::charge(producer.streams.len(), 20);
            for stream in &mut producer.streams {
                let (Some(media), Some(nack)) = (stream.ssrc, &mut stream.nack) else { continue };
                if nack.next_timeout().is_none_or(|due| due > now)
                    || looked_at >= crate::limits::REPAIRS_PER_TIMEOUT
                {
                    continue;
                }
                looked_at += nack.missing();
                let mut lost = Lost::default();
                nack.poll(now, |seq| lost.push(seq));
                self.counters.add(Counter::NacksGivenUp, nack.take_given_up());
                let sender = transport.local_ssrc;
                for chunk in lost.seqs().chunks(Lost::PER_PACKET) {
                    let seqs = chunk.iter().map(|seq| seq.seq());
                    let written = requests.add(transport, tx, &mut self.counters, |writer| {
                        writer.nack(sender, media, seqs.clone())
                    });
                    if written {
                        self.counters.add(Counter::NacksOut, chunk.len() as u64);
                        stream.counts.nacks += chunk.len() as u64;
                    }
                }
            }
        }
        requests.send(transport, tx, &mut self.counters);
    }
}

/// What one datagram of RTCP may still cost. One compound holds hundreds of requests; without this, work would grow with what a peer
/// puts into it.
struct Budget {
    /// Statuses of transport-wide feedback to look at.
    statuses: usize,
    /// Missing packets to look for.
    losses: usize,
    /// Packets to send again at once.
    resends: usize,
    /// Whose keyframe has been asked for; a ring.
    requested: [Option<Ssrc>; Self::REQUESTED_LEN],
    requests: usize,
}

impl Budget {
    /// Streams that a repeated request is recognised for.
    const REQUESTED_LEN: usize = 8;

    fn new() -> Self {
        Self {
            statuses: crate::limits::STATUSES_PER_DATAGRAM,
            losses: crate::limits::LOSSES_PER_DATAGRAM,
            resends: crate::limits::RESENDS_PER_DATAGRAM,
            requested: [None; Self::REQUESTED_LEN],
            requests: 0,
        }
    }

    /// Requests for a keyframe of one stream count as one, whether by PLI or by FIR.
    fn is_first_request(&mut self, media: Ssrc) -> bool {
        let is_too_much = self.requests >= crate::limits::KEYFRAME_REQUESTS_PER_DATAGRAM;
        if is_too_much || self.requested.contains(&Some(media)) {
            return false;
        }
        self.requested[self.requests % Self::REQUESTED_LEN] = Some(media);
        self.requests += 1;
        true
    }
}

/// Feedback to one peer in as few compound packets as it fits into: each costs as much as a packet of media.
struct Requests<'a> {
    writer: rtcp::Writer<'a>,
    /// Where the first request begins; 0 before there is one.
    begun: usize,
}

impl<'a> Requests<'a> {
    fn new(buffer: &'a mut [u8]) -> Self {
        Self { writer: rtcp::Writer::new(buffer), begun: 0 }
    }

    /// Adds a packet. One that does not fit any more goes into the next compound. False if it fits nowhere.
    fn add(
        &mut self,
        transport: &mut Transport,
        tx: &mut impl Tx,
        counters: &mut Counters,
        write: impl Fn(&mut rtcp::Writer<'_>) -> bool,
    ) -> bool {
        if self.begun > 0 && write(&mut self.writer) {
            return true;
        }
        self.send(transport, tx, counters);
        self.begun = if begin_compound(transport, &mut self.writer) { self.writer.len() } else { 0 };
        self.begun > 0 && write(&mut self.writer)
    }

    /// Sends what has been added.
    fn send(&mut self, transport: &mut Transport, tx: &mut impl Tx, counters: &mut Counters) {
        if self.writer.len() > self.begun && protect_rtcp(transport, tx, self.writer.as_bytes()) {
            counters.count(Counter::RtcpOut);
        }
        self.writer.truncate(0);
        self.begun = 0;
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
    const PER_PACKET: usize = (crate::limits::RTCP_LEN_MAX - COMPOUND_BEGIN_LEN_MAX - 12) / 4;

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

/// Bytes of a compound packet's [beginning](begin_compound): 8 of the report, 20 of the name.
pub(crate) const COMPOUND_BEGIN_LEN_MAX: usize = 28;

/// Begins a compound packet as RFC 3550 §6.1 demands: with a report, here an empty one, and the name of who sends it. A peer that
/// takes reduced-size RTCP (RFC 5506) takes this too.
pub(crate) fn begin_compound(transport: &Transport, writer: &mut rtcp::Writer<'_>) -> bool {
    writer.receiver_report(transport.local_ssrc, &[])
        && writer.sdes_cname(transport.local_ssrc, transport.cname())
}

/// Sends one compound packet: its [beginning](begin_compound), then what `write` appends. False if the transport cannot send, or
/// nothing was appended.
pub(crate) fn send_rtcp(
    transport: &mut Transport,
    tx: &mut impl Tx,
    write: impl FnOnce(&mut rtcp::Writer<'_>) -> bool,
) -> bool {
    let mut buffer = [0; crate::limits::RTCP_LEN_MAX];
    let mut writer = rtcp::Writer::new(&mut buffer);
    if !begin_compound(transport, &mut writer) || !write(&mut writer) {
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
