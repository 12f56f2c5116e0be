//! The audio level of one producer, and its speech activity: on three time scales, from the levels of its
//! packets (RFC 6464).
//!
//! Time is divided into slots of 20 ms, and a slot is *active* if it is well above the producer's own noise
//! floor. The last 64 slots are the bits of one word, so a packet costs a shift, and a time scale is a count
//! of bits. The flag V of RFC 6464 is not used: browsers set it differently.

use machine::Instant;
use std::time::Duration;

/// The state of a producer's levels.
#[derive(Clone, Copy, Debug)]
pub struct Voice {
    /// The newest slot since the epoch.
    slot: u64,
    /// Slots since the last packet.
    silent_slots: u64,
    /// The level of the newest slot.
    level: Loudness,
    /// Bit `n` set: the slot `n` before the newest was active.
    active: u64,
    /// Rises within a few slots, falls slowly, similar to hearing.
    smoothed: Loudness,
    /// The producer's noise floor, its level without speech.
    floor: Loudness,
}

/// Above silence, in 1/256 dB: RFC 6464's 127 dB below overload are 0 here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loudness(u16);

impl Loudness {
    /// This number of decibels.
    pub const fn db(db: u16) -> Self {
        Self(db << 8)
    }

    /// From RFC 6464's byte: decibels below overload.
    fn from_level(level_dbov: u8) -> Self {
        Self::db(127 - u16::from(level_dbov.min(127)))
    }

    /// Relative to overload, rounded: −127 to 0.
    pub fn dbov(self) -> i8 {
        ((self.0 + 128) >> 8).min(127) as i8 - 127
    }

    /// How much louder than `other`; zero if it is not.
    pub fn above(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Voice {
    /// Without levels.
    pub const fn new() -> Self {
        Self {
            slot: 0,
            silent_slots: 0,
            level: Loudness(0),
            active: 0,
            smoothed: Loudness(0),
            floor: FLOOR_MIN,
        }
    }

    /// A packet with this level (RFC 6464: decibels below overload) arrived.
    pub fn on_level(&mut self, now: Instant, level_dbov: u8) {
        let level = Loudness::from_level(level_dbov);
        let slot = slot_of(now);
        if slot <= self.slot {
            // Several packets in a slot, of 10 ms or in a burst: the maximum is its level.
            self.level = self.level.max(level);
            self.active |= u64::from(self.is_above_floor(self.level));
        } else {
            self.pass(slot - 1);
            self.slot = slot;
            self.level = level;
            self.step(level);
        }
        self.silent_slots = 0;
    }

    /// Advances to `now`, perhaps without packets: the level decreases.
    pub fn catch_up(&mut self, now: Instant) {
        self.pass(slot_of(now));
    }

    /// The smoothed level.
    pub fn loudness(&self) -> Loudness {
        self.smoothed
    }

    /// The shortest time scale: the present level above the floor.
    pub fn immediate(&self) -> Loudness {
        self.smoothed.above(self.floor)
    }

    /// The middle time scale: active slots of the last [`MEDIUM_SLOTS`].
    pub fn medium(&self) -> u32 {
        (self.active & ((1 << MEDIUM_SLOTS) - 1)).count_ones()
    }

    /// The longest time scale: active slots of the last [`LONG_SLOTS`].
    pub fn long(&self) -> u32 {
        (self.active & ((1 << LONG_SLOTS) - 1)).count_ones()
    }

    /// Whether its newest slot is active.
    pub fn is_active(&self) -> bool {
        self.active & 1 != 0
    }

    /// Whether one of its last `slots` slots, at most 64, was active.
    pub fn was_active_within(&self, slots: u32) -> bool {
        self.active.trailing_zeros() < slots
    }

    /// Handles every slot up to `slot` without a packet. A packet covers up to 60 ms (RFC 7587 §4.2 allows
    /// more, browsers send 20): the last level is used that long; after that there is silence, as with
    /// discontinuous transmission.
    fn pass(&mut self, slot: u64) {
        let passed = slot.saturating_sub(self.slot);
        if passed > u64::from(u64::BITS) {
            let slot = self.slot + passed;
            *self = Self { slot, silent_slots: passed, ..Self::new() };
            return;
        }
        for _ in 0..passed {
            self.silent_slots += 1;
            if self.silent_slots >= HELD_SLOTS {
                self.level = Loudness(0);
            }
            self.step(self.level);
        }
        self.slot += passed;
    }

    /// One slot of this level.
    fn step(&mut self, level: Loudness) {
        self.active = self.active << 1 | u64::from(self.is_above_floor(level));
        let (louder, quieter) = (level.above(self.smoothed).0, self.smoothed.above(level).0);
        self.smoothed = Loudness(self.smoothed.0 + louder.div_ceil(2) - quieter.div_ceil(16));
        self.floor = if level < self.floor { level.max(FLOOR_MIN) } else { self.floor.plus(FLOOR_RISE) };
    }

    fn is_above_floor(&self, level: Loudness) -> bool {
        level >= self.floor.plus(ACTIVE_MARGIN)
    }
}

fn slot_of(at: Instant) -> u64 {
    at.as_nanos() / SLOT.as_nanos() as u64
}

/// The packet duration of browsers.
pub const SLOT: Duration = Duration::from_millis(20);

/// 400 ms: a word.
pub const MEDIUM_SLOTS: u32 = 20;

/// 1.2 s: a phrase.
pub const LONG_SLOTS: u32 = 60;

/// Slots that one packet may cover.
const HELD_SLOTS: u64 = 3;

/// −70 dBov: quieter levels are silence, whatever the floor.
const FLOOR_MIN: Loudness = Loudness::db(57);

/// 2 dB/s: a constant noise becomes the floor after some seconds, and the pauses between words prevent that
/// for speech.
const FLOOR_RISE: Loudness = Loudness(10);

/// Margin of speech above noise.
const ACTIVE_MARGIN: Loudness = Loudness::db(9);

#[cfg(test)]
mod tests;
