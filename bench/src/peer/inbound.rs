//! One received stream: which packets arrived, in which order, and which were lost.

use super::rtcp::Block;
use crate::measure::Tally;
use crate::media::Stamp;

/// A stream, as announced by signaling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The expected track.
    pub track: u32,
    /// Of the media.
    pub ssrc: u32,
    /// Of its retransmissions.
    pub rtx_ssrc: Option<u32>,
    /// Id of the transport-wide sequence number's extension.
    pub transport_cc_id: Option<u8>,
    /// Whether missing packets may be requested.
    pub nack: bool,
    /// Whether it has keyframes.
    pub is_video: bool,
}

/// Its reception.
#[derive(Debug)]
pub struct Inbound {
    /// The expected stream.
    pub incoming: Incoming,
    window: Option<Window>,
    rtx_window: Option<Window>,
    /// Packets of media, each once, since the beginning.
    received: u64,
    span: Option<Span>,
    missing: Vec<Missing>,
    /// The middle of the last sender report's NTP time, and its arrival in microseconds.
    last_report: Option<(u32, u64)>,
    reported_expected: u64,
    reported_received: u64,
}

/// A missing packet.
#[derive(Clone, Copy, Debug)]
struct Missing {
    seq: u64,
    /// How often it was requested.
    asked: u8,
}

/// Stored missing packets; beyond this, the oldest are given up.
const MISSING_MAX: usize = 128;

/// Maximum requests for one.
const ASKED_MAX: u8 = 5;

/// From the first to the last received packet of an encoding: the sent and the received ones.
#[derive(Clone, Copy, Debug)]
struct Span {
    track: u32,
    first: u64,
    first_received: u64,
    last: u64,
    last_received: u64,
}

/// A packet's position relative to earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// After all of them.
    Next,
    /// Before some.
    Late,
    /// It was received already, or is too old to know.
    Again,
}

impl Inbound {
    /// No packet has arrived yet.
    pub fn new(incoming: Incoming) -> Self {
        Self {
            incoming,
            window: None,
            rtx_window: None,
            received: 0,
            span: None,
            missing: Vec::new(),
            last_report: None,
            reported_expected: 0,
            reported_received: 0,
        }
    }

    /// Whether any packet has arrived.
    pub fn has_begun(&self) -> bool {
        self.received > 0
    }

    /// The extended number of a packet of the media or of the retransmissions, without storing it.
    pub fn extend(&self, seq: u16, is_rtx: bool) -> u64 {
        let window = if is_rtx { &self.rtx_window } else { &self.window };
        window.as_ref().map_or(u64::from(seq), |window| window.extend(seq))
    }

    /// Stores a retransmission by its own number.
    pub fn take_rtx(&mut self, seq: u64) {
        self.rtx_window.get_or_insert_with(|| Window::new(seq)).take(seq);
    }

    /// Stores a packet of the media by its extended number.
    pub fn take(&mut self, seq: u64) -> Order {
        let Some(window) = &mut self.window else {
            self.window = Some(Window::new(seq));
            self.received = 1;
            return Order::Next;
        };
        let before = window.highest;
        let order = window.take(seq);
        match order {
            Order::Next if self.incoming.nack => {
                self.missing.extend((before + 1..seq).map(|seq| Missing { seq, asked: 0 }));
                let excess = self.missing.len().saturating_sub(MISSING_MAX);
                self.missing.drain(..excess);
            }
            Order::Late => self.missing.retain(|missing| missing.seq != seq),
            Order::Next | Order::Again => {}
        }
        self.received += u64::from(order != Order::Again);
        order
    }

    /// A packet's stamp was read. False if it belongs to another track.
    pub fn read(&mut self, stamp: &Stamp, tally: &mut Tally) -> bool {
        let (number, received) = (stamp.number, self.received);
        match &mut self.span {
            Some(span) if span.track == stamp.track => {
                if number > span.last {
                    (span.last, span.last_received) = (number, received);
                }
            }
            _ => {
                // The first, or another encoding than before.
                self.close_span(tally);
                let track = stamp.track;
                self.span = Some(Span {
                    track,
                    first: number,
                    first_received: received,
                    last: number,
                    last_received: received,
                });
            }
        }
        stamp.track & !0xf == self.incoming.track
    }

    /// Adds the missing packets so far to the tally, and restarts counting.
    pub fn close_span(&mut self, tally: &mut Tally) {
        self.add_span(tally);
        self.span = None;
    }

    /// Adds the missing packets so far to the tally.
    pub fn add_span(&self, tally: &mut Tally) {
        let Some(span) = self.span else { return };
        let expected = span.last - span.first;
        tally.expected += expected;
        tally.lost += expected.saturating_sub(span.last_received - span.first_received);
    }

    /// The packets to request now: those not requested yet or, with `again`, all that are still missing.
    pub fn wanted(&mut self, again: bool) -> Vec<u16> {
        if self.missing.is_empty() {
            return Vec::new();
        }
        let wanted: Vec<u16> = self
            .missing
            .iter_mut()
            .filter(|missing| again || missing.asked == 0)
            .map(|missing| {
                missing.asked += 1;
                missing.seq as u16
            })
            .collect();
        self.missing.retain(|missing| missing.asked < ASKED_MAX);
        wanted
    }

    /// A sender report arrived.
    pub fn on_sender_report(&mut self, ntp_middle: u32, at_us: u64) {
        self.last_report = Some((ntp_middle, at_us));
    }

    /// The next report about it; `None` before the first packet.
    pub fn report(&mut self, now_us: u64) -> Option<Block> {
        let window = self.window.as_ref()?;
        let expected = window.highest - window.first + 1;
        let (new_expected, new_received) =
            (expected - self.reported_expected, self.received - self.reported_received);
        (self.reported_expected, self.reported_received) = (expected, self.received);
        let lost = new_expected.saturating_sub(new_received);
        Some(Block {
            ssrc: self.incoming.ssrc,
            fraction_lost: (lost * 256).checked_div(new_expected).map_or(0, |part| part.min(255) as u8),
            lost: expected.saturating_sub(self.received) as u32,
            highest_seq: window.highest as u32,
            jitter: 0,
            last_sr: self.last_report.map_or(0, |(middle, _)| middle),
            delay: self
                .last_report
                .map_or(0, |(_, at_us)| ((now_us.saturating_sub(at_us)) * 65_536 / 1_000_000) as u32),
        })
    }
}

/// The latest numbers that have arrived.
#[derive(Debug)]
struct Window {
    first: u64,
    highest: u64,
    bits: [u64; WINDOW as usize / 64],
}

/// Numbers that are remembered: three seconds of a stream.
const WINDOW: u64 = 1024;

impl Window {
    fn new(seq: u64) -> Self {
        let mut window = Self { first: seq, highest: seq, bits: [0; WINDOW as usize / 64] };
        window.set(seq);
        window
    }

    fn extend(&self, seq: u16) -> u64 {
        self.highest.saturating_add_signed(i64::from(seq.wrapping_sub(self.highest as u16) as i16))
    }

    fn take(&mut self, seq: u64) -> Order {
        if seq > self.highest {
            for skipped in (self.highest + 1..seq).take(WINDOW as usize) {
                self.clear(skipped);
            }
            self.highest = seq;
            self.set(seq);
            return Order::Next;
        }
        if self.highest - seq >= WINDOW || self.has(seq) {
            return Order::Again;
        }
        self.set(seq);
        self.first = self.first.min(seq);
        Order::Late
    }

    fn place(seq: u64) -> (usize, u64) {
        ((seq % WINDOW / 64) as usize, 1 << (seq % 64))
    }

    fn has(&self, seq: u64) -> bool {
        let (word, bit) = Self::place(seq);
        self.bits[word] & bit != 0
    }

    fn set(&mut self, seq: u64) {
        let (word, bit) = Self::place(seq);
        self.bits[word] |= bit;
    }

    fn clear(&mut self, seq: u64) {
        let (word, bit) = Self::place(seq);
        self.bits[word] &= !bit;
    }
}

#[cfg(test)]
mod tests;
