//! Requests to a publisher: keyframes, and missing packets.

use crate::base::slots::Slot;
use crate::egress::consumer::Consumer;
use crate::limits;
use crate::objects::Objects;
use crate::shard::pipe_out::ask_origins;
use crate::shard::rearm::rearm_producer;
use crate::shard::rtcp_out::{COMPOUND_BEGIN_LEN_MAX, begin_compound, protect_rtcp};
use crate::shard::timers::Timers;
use crate::shard::turn::Turn;
use crate::transport::Transport;
use control::{Counter, Counters, Kind};
use machine::{Tx, meter};
use rtp::SeqNo;

/// The encoding whose keyframe helps a consumer.
pub(super) fn stream_of_interest(objects: &Objects, consumer: &Consumer) -> usize {
    objects.producers.find(consumer.producer).map_or(0, |producer| consumer.stream_of_interest(producer))
}

/// A consumer needs a keyframe of this encoding. It is requested when timers run next, or when the governor
/// allows it: for any number of requests in the meantime, this costs the same.
pub(super) fn want_keyframe(objects: &mut Objects, timers: &mut Timers, slot: Slot, stream: usize) {
    let Some(producer) = objects.producers.find_mut(slot) else { return };
    if producer.kind() == Kind::Audio || producer.paused {
        return;
    }
    let Some(stream) = producer.streams.get_mut(stream) else { return };
    stream.keyframes.want();
    rearm_producer(objects, timers, slot);
}

/// Requests the keyframes that are due from the peer's producers.
pub(super) fn request_keyframes(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    if transport.pipe().is_some() {
        return ask_origins(objects, turn, slot);
    }
    if transport.send_path().is_none() {
        return; // Keyframes are requested when the transport can send.
    }
    let mut buffer = [0; limits::RTCP_LEN_MAX];
    let mut requests = Requests::new(&mut buffer);
    for index in 0..transport.producers.len() {
        let Some(producer) = objects.producers.find_mut(transport.producers[index]) else { continue };
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
            let written = requests.add(transport, turn.tx, turn.counters, |writer| {
                if can_pli { writer.pli(sender, media) } else { writer.fir(sender, &[(media, fir_seq)]) }
            });
            if written {
                *(if can_pli { &mut stream.counts.plis } else { &mut stream.counts.firs }) += 1;
                turn.counters.count(Counter::KeyframeRequestsOut);
            }
        }
    }
    requests.send(transport, turn.tx, turn.counters);
}

/// Requests missing packets of the peer's producers.
pub(super) fn request_repairs(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    if transport.send_path().is_none() {
        return;
    }
    let mut buffer = [0; limits::RTCP_LEN_MAX];
    let mut requests = Requests::new(&mut buffer);
    let mut looked_at = 0;
    for index in 0..transport.producers.len() {
        let producer = objects.producers.find_mut(transport.producers[index]);
        let Some(producer) = producer.filter(|producer| producer.is_forwarded()) else { continue };
        meter::charge(producer.streams.len(), 20);
        for stream in &mut producer.streams {
            let (Some(media), Some(nack)) = (stream.ssrc, &mut stream.nack) else { continue };
            if nack.next_timeout().is_none_or(|due| due > now) || looked_at >= limits::REPAIRS_PER_TIMEOUT {
                continue;
            }
            looked_at += nack.missing();
            let mut lost = Lost::default();
            nack.poll(now, |seq| lost.push(seq));
            turn.counters.add(Counter::NacksGivenUp, nack.take_given_up());
            let sender = transport.local_ssrc;
            for chunk in lost.seqs().chunks(Lost::PER_PACKET) {
                let seqs = chunk.iter().map(|seq| seq.seq());
                let written = requests.add(transport, turn.tx, turn.counters, |writer| {
                    writer.nack(sender, media, seqs.clone())
                });
                if written {
                    turn.counters.add(Counter::NacksOut, chunk.len() as u64);
                    stream.counts.nacks += chunk.len() as u64;
                }
            }
        }
    }
    requests.send(transport, turn.tx, turn.counters);
}

/// Feedback to one peer in as few compound packets as possible: each costs as much as a packet of media.
struct Requests<'a> {
    writer: rtcp::Writer<'a>,
    /// Start of the first request; 0 without one.
    begun: usize,
}

impl<'a> Requests<'a> {
    fn new(buffer: &'a mut [u8]) -> Self {
        Self { writer: rtcp::Writer::new(buffer), begun: 0 }
    }

    /// Adds a packet. If it does not fit, it starts the next compound. False if it fits nowhere.
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

/// The packets of one stream to request in this turn: on the stack, with the generator's bound.
struct Lost {
    seqs: [SeqNo; limits::NACK_PENDING_MAX],
    len: usize,
}

impl Default for Lost {
    fn default() -> Self {
        Self { seqs: [SeqNo(0); limits::NACK_PENDING_MAX], len: 0 }
    }
}

impl Lost {
    /// Sequence numbers in one NACK: at worst each needs an entry of 4 bytes.
    const PER_PACKET: usize = (limits::RTCP_LEN_MAX - COMPOUND_BEGIN_LEN_MAX - 12) / 4;

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
